"""Seeds: how large one may be, and those of several trainings."""

from __future__ import annotations

from convscope.errors import RunError

# Seeds are below this: torch takes no larger ones.
SEEDS = 2**63
# More trainings than this are a slip of the hand.
MOST_TRAININGS = 100_000


def following_seeds(first: int, count: int) -> tuple[int, ...]:
    """The seeds of so many trainings: the first, the next, and so on.

    Raises:
        RunError: a seed that would be too large, or more than 100,000 of them.

    >>> following_seeds(7, 3)
    (7, 8, 9)
    """
    if count > MOST_TRAININGS:
        raise RunError(f"{count} trainings: give {MOST_TRAININGS:,} or fewer")
    if first + count > SEEDS:
        raise RunError(
            f"seed {first}: {count} trainings take this seed and those after it, and the largest is {SEEDS - 1}: "
            "take a lower one"
        )
    return tuple(range(first, first + count))
