"""Claims and their proofs as text, as a table and as JSON's types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from convscope.claims.claim import NOTES, VERDICTS, Claim, ClaimValue, Proof
from convscope.report.table import Column, Row, Table

NOT_COMPUTED = "–"


def value_text(value: object) -> str:
    """Return a value as the page shows it: a shape with ×, several numbers with commas, a map row by row.

    >>> value_text(15052900), value_text((4, 4, 2)), value_text([27, 49]), value_text([[8, 7], [5, 9]])
    ('15,052,900', '4×4×2', '27, 49', '8 7; 5 9')
    """
    if isinstance(value, tuple):
        return "×".join(map(str, value))
    if isinstance(value, list):
        if isinstance(value[0], list):
            return "; ".join(" ".join(map(str, row)) for row in value)
        return ", ".join(map(value_text, value))
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def stated_text(claim: Claim) -> str:
    """Return the notes' figure, or their words if they give none."""
    return claim.stated_as or ("(asked)" if claim.stated is None else value_text(claim.stated))


def computed_text(proof: Proof) -> str:
    """Return the right value, or a dash if nothing computes it."""
    return NOT_COMPUTED if proof.computed is None else value_text(proof.computed)


def summary(proofs: Sequence[Proof]) -> str:
    """Return the number of claims of each verdict: "3 claims: 2 right, 1 wrong"."""
    counts = Counter(proof.claim.verdict for proof in proofs)
    parts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    return f"{len(proofs)} claim{'s' * (len(proofs) != 1)}: {parts}"


def proof_table(proofs: Sequence[Proof]) -> Table:
    """Return the claims as a table, a heading for each set of notes."""
    columns = (Column("claim"), Column("what"), Column("notes"), Column("computed"), Column("verdict"))
    rows: list[Row] = []
    notes = ""
    for proof in proofs:
        claim = proof.claim
        if claim.notes != notes:
            notes = claim.notes
            rows.append(Row((notes, NOTES[notes], "", "", ""), "group"))
        rows.append(Row((claim.id, claim.says, stated_text(claim), computed_text(proof), claim.verdict)))
    return Table(columns, tuple(rows))


def proof_lines(proof: Proof) -> list[tuple[str, str]]:
    """Return one claim in full: (what the line holds, its text)."""
    claim = proof.claim
    lines = [("from", NOTES[claim.notes]), ("says", claim.says), ("notes", stated_text(claim))]
    if proof.computed is not None:
        lines.append(("computed", f"{computed_text(proof)}, by {claim.by}"))
    elif claim.by:
        lines.append(("source", claim.by))
    if claim.why:
        lines.append(("why", claim.why))
    if claim.see:
        lines.append(("see", claim.see))
    return lines


def proof_dict(proof: Proof) -> dict[str, Any]:
    """Return a proof as JSON's types; what is not stated or not computed is null."""
    claim = proof.claim
    return {
        "id": claim.id,
        "notes": claim.notes,
        "says": claim.says,
        "stated": _json(claim.stated),
        "stated_as": claim.stated_as or None,
        "computed": _json(proof.computed),
        "by": claim.by or None,
        "verdict": claim.verdict,
        "why": claim.why or None,
        "see": claim.see or None,
        "holds": proof.holds,
    }


def _json(value: ClaimValue | None) -> object:
    return list(value) if isinstance(value, tuple) else value
