"""`notes`: figures of the lecture notes beside the computed ones, proved as they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from convscope.api.public import public
from convscope.claims.claim import NoteSet, Proof, Verdict
from convscope.claims.text import proof_dict, proof_lines, proof_table, summary
from convscope.report.document import Block, Callout, Document, Fact, Facts, Heading, Paragraph
from convscope.report.documented import Documented


@dataclass(frozen=True, eq=False, repr=False)
class Notes(Documented):
    """Claims of the lecture notes with what is computed for each.

    Args:
        proofs: of each claim, in the order of the notes.
        in_full: whether each is shown with its reason, not as a line of a table.
    """

    proofs: tuple[Proof, ...]
    in_full: bool = True

    @property
    def failed(self) -> tuple[str, ...]:
        """The claims whose verdict does not follow from what is computed."""
        return tuple(proof.claim.id for proof in self.proofs if not proof.holds)

    def headline(self) -> str:
        """Return how many claims there are of each verdict."""
        return summary(self.proofs)

    def to_dict(self) -> dict[str, Any]:
        """Return the claims as JSON's types.

        Keys:
            claims: of each its id, the set of notes, what is stated and computed, by what, the verdict, the reason,
                a command that shows it, and whether the verdict holds.
        """
        return {"claims": [proof_dict(proof) for proof in self.proofs]}

    def document(self) -> Document:
        """Return what is shown: the claims, how many of each verdict, and verdicts that do not follow."""
        titles = [f"{proof.claim.id}: {proof.claim.verdict}" for proof in self.proofs]
        title = titles[0] if len(titles) == 1 and self.in_full else "Figures of the lecture notes"
        blocks: list[Block] = [] if self.in_full else [proof_table(self.proofs)]
        for proof, heading in zip(self.proofs, titles, strict=True) if self.in_full else ():
            blocks += [Heading(heading)] if heading != title else []
            blocks.append(Facts(tuple(Fact(name, text) for name, text in proof_lines(proof))))
        failed = [
            Callout("error", f"the verdict on {name} does not follow from what is computed") for name in self.failed
        ]
        return Document(
            title,
            tuple(blocks),
            summary=(Paragraph(summary(self.proofs)), *failed),
            footer="Made by convscope notes.",
        )


@public
def notes(*words: str, verdicts: Sequence[Verdict] = (), sets: Sequence[NoteSet] = ()) -> Notes:
    """Check figures of the lecture notes, each against the one computed now.

    Args:
        words: each is a claim's name, or a part of its text; all must match.
        verdicts: such as ["wrong"]; all unless given.
        sets: sets of notes; all unless given.

    Raises:
        ConvscopeError: no claim matches.

    >>> notes("crops-of-256").proofs[0].computed
    1089
    """
    from convscope.claims.sets import select

    proofs = tuple(claim.prove() for claim in select(words, notes=sets, verdicts=verdicts))
    return Notes(proofs, in_full=bool(words or verdicts or sets))
