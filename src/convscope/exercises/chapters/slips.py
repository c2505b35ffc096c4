"""Find the slip: one wrong statement of the lecture notes among right ones.

Where the mistake leads to a value for any numbers, the statement has other numbers in each draw (`statements`), and so
have the right ones around it. Else it is the statement of the notes, and each one around it is proved by its claim.
The statements are those of `convscope.claims`; what is proved by building a network is not proved here again, as torch
would be imported: `convscope notes NAME` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial

from convscope.claims.claim import NOTES, Claim, Proof
from convscope.claims.sets import CLAIMS
from convscope.claims.text import computed_text, stated_text
from convscope.exercises.chapters.statements import STATEMENTS, statement
from convscope.exercises.draw import Draw, Drawn, ExerciseRule
from convscope.exercises.texts import word
from convscope.report.document import sentence

PREFIX = "slip-"
SHOWN = 4  # statements

# By what a claim is proved where torch is needed.
_NETWORKS = ("capture", "build", "torch", "field")
# Right claims that can't be understood by themselves.
_NOT_ALONE = frozenset({
    "block-parameters", "block-total", "block-sizes", "crops-and-flips", "resnet-first-map", "fc6-785", "winners",
    "net-39-flat", "input-values", "slaps", "exercise-1a", "exercise-1b", "exercise-1c", "exercise-1d", "first-window",
    "numbers-map", "fundus-sizes", "five-neurons", "distinct-views", "edge-map-row", "padded-6", "pool-channels",
    "convolution-commutes", "causal-kernel", "max-pool-example", "fc-100-units-224", "values-3072", "stretched",
    "error-15.3", "error-18.2-to-15.4", "error-28.2",
})  # fmt: skip
# Slips without other numbers that chapter 6 of the course teaches; the others need chapter 7, on published networks.
_BEFORE_HISTORY = frozenset({"modern-kernels", "densenet-block-that-spans"})
# Where the same is asked with fresh numbers.
PRACTICE: Mapping[str, str] = {
    "equivariance-stride-2": "5c", "fc-growth": "1c", "conv-156": "4a", "growth-of-fields": "6b", "field-47": "6b",
    "crops-of-256": "quiz-crops", "crops-and-flips": "quiz-crops", "fundus-field-2": "design",
    "fundus-field-3": "design", "fundus-field-4": "design", "corners-equal": "3d", "pooling-doubles": "6b",
    "invariance-baked-in": "quiz-equivariance", "pooling-shift-1": "5c", "pool-height-formula": "5b",
    "filter-depth": "4a", "dot-product-15": "4a", "size-with-exponent": "3a", "weights-f-times-d": "4a",
    "weights-ffk-k": "4a", "n-channels": "4b", "depth-slice": "4b", "tensor-of-four-sizes": "4b",
    "bias-a-number": "4a", "pool-hyperparameters": "5b", "pool-summary-heading": "4a",
}  # fmt: skip


def _slips() -> tuple[Claim, ...]:
    return tuple(claim for claim in CLAIMS if claim.verdict in ("wrong", "transcription noise"))


@cache
def _companions() -> tuple[Claim, ...]:
    """Return the right claims that stand by themselves and are proved without torch."""
    return tuple(
        claim
        for claim in CLAIMS
        if claim.verdict == "right" and claim.id not in _NOT_ALONE and not any(way in claim.by for way in _NETWORKS)
    )


@cache
def _proof(claim_id: str) -> Proof:
    """Return a claim's proof; without the computed value where torch would be needed."""
    claim = next(claim for claim in CLAIMS if claim.id == claim_id)
    return Proof(claim, None, True) if any(way in claim.by for way in _NETWORKS) else claim.prove()


def _drawn_slip(slip: Claim, draw: Draw) -> Drawn:
    """Return the statement of a slip with other numbers, wrong, among right ones that need no later chapter."""
    known = [name for name, rule in STATEMENTS.items() if rule.chapter <= STATEMENTS[slip.id].chapter]
    company = draw.some([name for name in known if name != slip.id], SHOWN - 1)
    drawn = {claim_id: statement(claim_id, draw) for claim_id in draw.shuffled([slip.id, *company])}
    wrong = drawn[slip.id]
    practice, says = PRACTICE.get(slip.id), slip.says
    return Drawn(
        numbers={
            "stated": word("slip-stated", says=wrong.text("says"), stated=wrong.mistaken),
            "computed": word("slip-right-value", right=wrong.right, why=wrong.text("why")),
            "why": wrong.text("mistake"),
            "more": word("slip-notes-practice" if practice else "slip-notes", id=slip.id, name=practice, says=says,
                         stated=stated_text(slip)),
            "statements": tuple((one.id, one.numbers, one.right, one.mistaken) for one in drawn.values()),
        },
        answer=slip.id,
        wrong={claim_id: claim_id for claim_id in company},
        options=tuple(drawn),
        written={
            **{f"options.{claim_id}": one.line(wrong=one is wrong) for claim_id, one in drawn.items()},
            **{f"wrong.{one.id}": word("slip-right-drawn", why=one.text("why")) for one in drawn.values()
               if one is not wrong},
        },
    )  # fmt: skip


def _slip(slip: Claim, draw: Draw) -> Drawn:
    """Return the statement of a slip that has no other numbers, wrong, among right statements of the notes."""
    known = [claim for claim in _companions() if slip.id not in _BEFORE_HISTORY or not claim.of_history]
    near = [claim for claim in known if claim.notes == slip.notes]
    chosen = draw.some(near, min(2, len(near)))
    others = [claim for claim in known if claim not in chosen]
    chosen += draw.some(others, SHOWN - 1 - len(chosen))
    options = draw.shuffled([slip, *chosen])
    proof = _proof(slip.id)
    steps = {
        "stated": word("slip-stated", says=slip.says, stated=stated_text(slip)),
        "computed": word("slip-source", by=slip.by) if proof.computed is None
        else word("slip-computed", computed=computed_text(proof), by=slip.by),
        "why": sentence(slip.why),
        "more": word("slip-more", id=slip.id),
    }  # fmt: skip
    return Drawn(
        numbers=steps,
        answer=slip.id,
        wrong={claim.id: claim.id for claim in options if claim is not slip},
        options=tuple(claim.id for claim in options),
        written={
            **{f"options.{claim.id}": _line(claim) for claim in options},
            **{f"wrong.{claim.id}": _right_line(claim) for claim in options if claim is not slip},
        },
    )


def _line(claim: Claim) -> str:
    return f"{sentence(claim.says)[:-1]}: {stated_text(claim)}"


def _right_line(claim: Claim) -> str:
    return word("slip-right-line", says=claim.says, computed=computed_text(_proof(claim.id)), by=claim.by)


def title(name: str) -> str:
    """Return the title of a slip's exercise."""
    return word("slip-title", notes=NOTES[_claim_of(name).notes])


def _claim_of(name: str) -> Claim:
    return next(claim for claim in _slips() if PREFIX + claim.id == name)


RULES: Mapping[str, ExerciseRule] = {
    PREFIX + claim.id: ExerciseRule(
        kind="choice", draw=partial(_drawn_slip if claim.id in STATEMENTS else _slip, claim)
    )
    for claim in _slips()
}
