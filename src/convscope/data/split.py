"""Cut one set of labelled images into parts: stratified, seeded, and the same for the same labels and seed."""

from __future__ import annotations

import numpy as np

from convscope.data.records import Labels
from convscope.errors import DataError


def stratified_split(labels: Labels, fractions: tuple[float, ...], *, seed: int) -> tuple[Labels, ...]:
    """Rows of each part: `fractions` of every class, and in the first place what is left over.

    Returns one sorted index array more than there are fractions: the rest, then a part for each fraction. Every row is
    in exactly one part. A class gives each part its share to the nearest image, at least one where it has enough
    to leave one over, and always keeps one in the rest. Raises DataError for fractions that don't work out.

    >>> rest, part = stratified_split(np.repeat([0, 1], 5), (0.2,), seed=0)
    >>> len(rest), len(part)
    (8, 2)
    """
    if any(not 0 <= fraction < 1 for fraction in fractions) or sum(fractions) >= 1:
        shown = " + ".join(f"{fraction:g}" for fraction in fractions)
        raise DataError(f"split fractions {shown} must each be at least 0 and sum to less than 1")
    if not len(labels):
        return tuple(np.empty(0, np.int64) for _ in range(len(fractions) + 1))
    parts: list[list[Labels]] = [[] for _ in range(len(fractions) + 1)]
    order = np.argsort(labels, kind="stable")
    values, starts = np.unique(labels[order], return_index=True)
    for label, rows in zip(values, np.split(order, starts[1:]), strict=True):
        # Each class has a stream of its own, so that one class's images don't move another's.
        shuffled = np.random.default_rng([seed, int(label)]).permutation(rows)
        start = 0
        for place, fraction in enumerate(fractions, start=1):
            wanted = round(len(rows) * fraction) or (1 if fraction > 0 else 0)
            taken = min(wanted, len(rows) - start - 1)
            parts[place].append(shuffled[start : start + taken])
            start += taken
        parts[0].append(shuffled[start:])
    return tuple(np.sort(np.concatenate(part)) if part else np.empty(0, np.int64) for part in parts)
