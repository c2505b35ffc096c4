"""A statement of the lecture notes, the computation of the right value, and the proof of the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from convscope.report.short_repr import ShortRepr

ClaimValue = int | float | str | tuple[object, ...] | list[object]
Verdict = Literal["right", "answered", "wrong", "transcription noise", "convention", "not decidable"]
NoteSet = Literal["sizes", "edges", "simple", "functional", "fields", "history", "exercises", "overview"]
Compare = Literal["equal", "about", "at least"]

VERDICTS: Mapping[Verdict, str] = {
    "right": "the computed value is the stated one",
    "answered": "the notes ask, or leave the number out",
    "wrong": "the computed value, or the publication that is named, is another one",
    "transcription noise": "written otherwise than the source of the notes has it, by all signs when it was copied",
    "convention": "a rule that one may adopt; frameworks compute without it",
    "not decidable": "nothing that can be computed decides it; where it was measured, the page is named",
}

# The sets of notes: what the command line calls them, and what they are.
NOTES: Mapping[str, str] = {
    "sizes": "lecture notes on output sizes and parameters",
    "edges": "lecture notes on edge detection, padding and strides",
    "simple": "lecture notes on simple convolutional networks",
    "functional": "handwritten notes on the functional view of a CNN",
    "fields": "lecture notes on pooling and receptive fields",
    "history": "lecture notes from LeNet to AlexNet",
    "exercises": "exercises on convolutional networks",
    "overview": "overview notes on CNN architectures",
}
assert tuple(NOTES) == get_args(NoteSet) and tuple(VERDICTS) == get_args(Verdict)


@dataclass(frozen=True, slots=True, repr=False)
class Claim(ShortRepr):
    """One statement.

    Args:
        notes: the set of notes, a key of `NOTES`.
        id: its name on the command line.
        says: what is stated, in our words.
        stated: the figure in the notes; None for a question that they leave to the reader.
        compute: the right value, computed; None where a publication decides, or nothing.
        by: the functions that compute it, or the publication.
        verdict: what follows from it.
        why: what is right and why; every verdict but "right" and "answered" has one.
        compare: when a computed value is the stated one: equal, about (within `within`), or at least as much.
        within: how far a rounded figure may be from the computed one, relative.
        stated_as: how the notes put it, where they give no figure or less than one.
        see: a command that shows it.
    """

    notes: str
    id: str
    says: str
    stated: ClaimValue | None
    compute: Callable[[], ClaimValue] | None
    by: str
    verdict: Verdict = "right"
    why: str = ""
    compare: Compare = "equal"
    within: float = 0.05
    stated_as: str = ""
    see: str = ""

    def headline(self) -> str:
        """Return its name and the verdict."""
        return f"{self.id}: {self.verdict}"

    def __post_init__(self) -> None:
        assert self.notes in NOTES and self.verdict in VERDICTS
        assert bool(self.why) == (self.verdict not in ("right", "answered")), f"{self.id}: a why, or none"
        assert (self.stated is None) == (self.verdict == "answered"), f"{self.id}: only a question states nothing"
        assert self.compute is not None or self.verdict in ("wrong", "not decidable"), f"{self.id}: no proof"

    @property
    def of_history(self) -> bool:
        """Whether it is about published networks: their years, layers, parameters and errors."""
        return self.notes in ("history", "exercises") or self.by in ("the catalogue", "the timeline")

    def agrees(self, computed: ClaimValue) -> bool:
        """Return whether a computed value agrees with the notes."""
        if self.compare != "equal" and isinstance(self.stated, int | float) and isinstance(computed, int | float):
            if self.compare == "at least":
                return computed >= self.stated
            return abs(computed - self.stated) <= self.within * abs(self.stated)
        return computed == self.stated

    def prove(self) -> Proof:
        """Compute the right value, and check the verdict against it."""
        if self.compute is None:
            return Proof(self, None, True)
        computed = self.compute()
        agrees = self.stated is not None and self.agrees(computed)
        holds = {"right": agrees, "answered": True, "not decidable": True}.get(self.verdict, not agrees)
        return Proof(self, computed, holds)


@dataclass(frozen=True, slots=True, repr=False)
class Proof(ShortRepr):
    """A claim with its computed value.

    Args:
        claim: what was proved.
        computed: the right value; None where a publication decides, or nothing.
        holds: whether the verdict follows from it.
    """

    claim: Claim
    computed: ClaimValue | None
    holds: bool

    def headline(self) -> str:
        """Return the claim's name and the verdict."""
        return self.claim.headline()
