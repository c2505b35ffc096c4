"""Write docs/notes-checked.md from the claims in convscope.claims: `python docs/generate_notes_checked.py`."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from convscope.claims.claim import NOTES, VERDICTS, Proof
from convscope.claims.sets import CLAIMS
from convscope.claims.text import computed_text, stated_text, summary

ROOT = Path(__file__).parents[1]

INTRODUCTION = """# The lecture notes, checked

convscope began with five sets of lecture notes on convolutional networks. This is every number in them that can be
computed, beside the number that convscope computes; and what they state in words, where an experiment or a publication
decides it. A question that the notes leave to the reader is answered in the same table.

```console
$ convscope notes --wrong
$ convscope notes crops-of-256
$ convscope notes pooling --from overview --json
```

computes it all again and says whether each verdict follows: with a filter each claim in full, with the command that
shows the same. `--verdict`, `--from` and words filter; the exit code is 1 where a verdict does not follow.

Written by `docs/generate_notes_checked.py` from the claims in `convscope.claims`; `tests/laws/test_notes.py` holds each
row to its verdict. Figures are the notes', sentences are ours. A worked example of strides has lost its image, and the
accuracies that exercises lead one to expect are measured in [experiments](experiments.md), not computed.

On this page: [where the notes are wrong](#where-the-notes-are-wrong),
[what was lost in copying](#what-was-lost-when-the-notes-were-copied), [a convention](#a-convention),
[what can't be decided](#what-cant-be-decided-here); every claim, by notes:
[output sizes and parameters](#lecture-notes-on-output-sizes-and-parameters),
[edge detection, padding and strides](#lecture-notes-on-edge-detection-padding-and-strides),
[simple networks](#lecture-notes-on-simple-convolutional-networks),
[the functional view](#handwritten-notes-on-the-functional-view-of-a-cnn),
[pooling and receptive fields](#lecture-notes-on-pooling-and-receptive-fields),
[LeNet to AlexNet](#lecture-notes-from-lenet-to-alexnet), [exercises](#exercises-on-convolutional-networks),
[architectures](#overview-notes-on-cnn-architectures).
"""


def why(proof: Proof) -> str:
    """Return one line of a list: what is said, and what is right."""
    claim = proof.claim
    right = (
        f"; computed: {computed_text(proof)}" if proof.computed is not None else f" ({claim.by})" if claim.by else ""
    )
    return f"- `{claim.id}`: {claim.says}. Notes: {stated_text(claim)}{right}. {claim.why[0].upper()}{claim.why[1:]}."


def row(proof: Proof) -> str:
    """Return one line of the table."""
    claim = proof.claim
    by = f"`{claim.by}`" if proof.computed is not None else claim.by
    verdict = claim.verdict if claim.verdict in ("right", "answered") else f"**{claim.verdict}**"
    cells = (f"`{claim.id}`", claim.says, stated_text(claim), computed_text(proof), verdict, by)
    return f"| {' | '.join(cells)} |"


def page() -> str:
    """Return the whole page."""
    proofs = [claim.prove() for claim in CLAIMS]
    parts = [INTRODUCTION, f"{summary(proofs)}.\n"]
    parts.append(
        "\n".join(["| verdict | means |", "|---|---|", *(f"| {v} | {m} |" for v, m in VERDICTS.items())]) + "\n"
    )
    headings = {
        "wrong": "Where the notes are wrong",
        "transcription noise": "What was lost when the notes were copied",
        "convention": "A convention",
        "not decidable": "What can't be decided here",
    }
    for verdict, heading in headings.items():
        lines = [why(proof) for proof in proofs if proof.claim.verdict == verdict]
        parts.append(f"## {heading}\n\n" + "\n".join(lines) + "\n")
    for notes, group in groupby(proofs, key=lambda proof: proof.claim.notes):
        title = NOTES[notes]
        head = "| claim | what | notes | computed | verdict | by |\n|---|---|---|---|---|---|"
        parts.append(f"## {title[0].upper()}{title[1:]}\n\n" + "\n".join([head, *map(row, group)]) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    (ROOT / "docs" / "notes-checked.md").write_text(page(), encoding="utf-8")
