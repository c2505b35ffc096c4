"""The claims, a file per set of notes, each with the function that computes the right value."""

from __future__ import annotations

from collections.abc import Sequence

from convscope.claims.claim import NOTES, Claim, Verdict
from convscope.claims.sets import (
    edges,
    exercises,
    functional_view,
    history,
    output_sizes,
    overview,
    receptive_fields,
    simple_networks,
)
from convscope.errors import ConvscopeError, did_you_mean

CLAIMS: tuple[Claim, ...] = (
    *output_sizes.CLAIMS,
    *edges.CLAIMS,
    *simple_networks.CLAIMS,
    *functional_view.CLAIMS,
    *receptive_fields.CLAIMS,
    *history.CLAIMS,
    *exercises.CLAIMS,
    *overview.CLAIMS,
)


def select(
    words: Sequence[str] = (), *, notes: Sequence[str] = (), verdicts: Sequence[Verdict] = ()
) -> tuple[Claim, ...]:
    """Return the selected claims, in the order of the notes.

    Args:
        words: each is the id of a claim, or a part of its text; all must match.
        notes: sets of notes, keys of `NOTES`; all unless given.
        verdicts: all unless given.

    Raises:
        ConvscopeError: there is none.

    >>> [claim.id for claim in select(["crops-of-256"])]
    ['crops-of-256']
    """
    found = [
        claim for claim in CLAIMS if (not notes or claim.notes in notes) and (not verdicts or claim.verdict in verdicts)
    ]
    ids = {claim.id for claim in found}
    for word in words:
        found = [claim for claim in found if _mentions(claim, word, exactly=word in ids)]
        if not found:
            among = " among those asked for" if len(words) > 1 or notes or verdicts else ""
            hint = did_you_mean(word, [claim.id for claim in CLAIMS])
            raise ConvscopeError(
                f"no claim{among} is named {word!r} or has it in its text.{hint or ' convscope notes lists all'}"
            )
    if not found:
        raise ConvscopeError(f"{' and '.join(notes)} has no claim that is {' or '.join(verdicts)}")
    return tuple(found)


def _mentions(claim: Claim, word: str, *, exactly: bool) -> bool:
    if exactly:
        return claim.id == word
    text = " ".join((claim.id, claim.notes, NOTES[claim.notes], claim.says, claim.why, claim.by))
    return word.casefold() in text.casefold()
