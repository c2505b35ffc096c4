"""Stratified, seeded splits of labelled images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from convscope.data.records import Labels, Targets
from convscope.errors import DataError


def stratified_split(labels: Labels, fractions: tuple[float, ...], *, seed: int) -> tuple[Labels, ...]:
    """Split rows into a rest and a part for each of `fractions`, stratified by class.

    Returns one sorted index array more than there are fractions: the rest, then a part for each fraction. Every row is
    in exactly one part. Each part gets its share of a class to the nearest image, at least one if the class has enough,
    and the rest always keeps one. Raises DataError for fractions that don't work out.

    >>> rest, part = stratified_split(np.repeat([0, 1], 5), (0.2,), seed=0)
    >>> len(rest), len(part)
    (8, 2)
    """
    check_fractions(fractions)
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


def iterative_split(targets: Targets, fractions: tuple[float, ...], *, seed: int) -> tuple[Labels, ...]:
    """Split rows as `stratified_split` does, by multi-label `targets` (rows, classes).

    Sechidis, Tsoumakas and Vlahavas (2011, figure 1): the class with the fewest images left is assigned first, each
    image to the part that lacks most of this class, then to the one that lacks most images. A departure: every part
    gets at least one image of a class, if there are enough, and the rest always keeps one.

    >>> rest, part = iterative_split(np.array([[1, 0], [1, 1], [0, 1], [0, 0]] * 5, np.uint8), (0.2,), seed=0)
    >>> len(rest), len(part)
    (16, 4)
    """
    check_fractions(fractions)
    count = len(targets)
    shares = np.array([1 - sum(fractions), *fractions])
    shows = targets > 0
    owed = owed_by_part(shows.sum(0), fractions)
    room = shares * count
    order = np.random.default_rng(seed).permutation(count)
    part_of = np.full(count, -1)
    left = shows.sum(0)
    while left.any():
        rarest = int(np.where(left > 0, left, count + 1).argmin())
        rows = order[(part_of[order] < 0) & shows[order, rarest]]
        for row in rows:
            _deal(int(row), part_of, owed[:, rarest], room, shares)
            owed[part_of[row]] -= shows[row]
        left = left - shows[rows].sum(0)
    for row in order[part_of[order] < 0]:
        _deal(int(row), part_of, room, room, shares)
    _keep_one_in_the_rest(shows, part_of)
    return tuple(np.flatnonzero(part_of == part) for part in range(len(shares)))


def owed_by_part(counts: Labels, fractions: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Return the number of images of each class for each part, (parts, classes)."""
    owed = np.zeros((len(fractions) + 1, len(counts)))
    left = counts.astype(np.float64)
    for place, fraction in enumerate(fractions, start=1):
        if fraction > 0:
            owed[place] = np.minimum(np.maximum(counts * fraction, 1), np.maximum(left - 1, 0))
            left -= owed[place]
    owed[0] = left
    return owed


def _deal(
    row: int,
    part_of: Labels,
    lacks: npt.NDArray[np.float64],
    room: npt.NDArray[np.float64],
    shares: npt.NDArray[np.float64],
) -> None:
    """Assign a row to the part that lacks most of its class; a part of fraction 0 gets none."""
    best = max((float(lacks[part]), float(room[part]), -part) for part in range(len(shares)) if shares[part] > 0)
    part_of[row] = -best[2]
    room[part_of[row]] -= 1


def _keep_one_in_the_rest(shows: npt.NDArray[np.bool_], part_of: Labels) -> None:
    """Move an image of each class that the rest lacks back to the rest."""
    for name in np.flatnonzero(~shows[part_of == 0].any(0) & shows.any(0)):
        part_of[np.flatnonzero(shows[:, name])[0]] = 0


def check_fractions(fractions: tuple[float, ...]) -> None:
    """Raise DataError for fractions that don't work out."""
    if any(not 0 <= fraction < 1 for fraction in fractions) or sum(fractions) >= 1:
        shown = " + ".join(f"{fraction:g}" for fraction in fractions)
        raise DataError(f"split fractions {shown} must each be at least 0 and sum to less than 1")
