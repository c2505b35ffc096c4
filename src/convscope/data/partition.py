"""Assign rows to splits: splits on the disk are kept, missing ones are made; duplicates stay together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.data.group_split import group_split
from convscope.data.listing import WHOLE, ImageGroups, Listing
from convscope.data.pixels.cache import DecodeOutcome
from convscope.data.records import Labels, Leak
from convscope.data.split import iterative_split, stratified_split
from convscope.errors import DataError
from convscope.report.printable import few
from convscope.report.units import percent, plural

# Classes that a note names.
MOST_NAMED = 5
# A part that is smaller or larger than asked by this factor is said.
FAR_OFF = 1.5
# Classes of few images give one each: said where a part is larger by this share of all images.
MORE = 0.1


@dataclass(frozen=True)
class Partition:
    """The sorted rows of each split that has any, the splits that were made here, and notes on them."""

    rows: dict[str, Labels]
    made: tuple[str, ...]
    notes: tuple[str, ...]


def partition(
    listing: Listing, outcome: DecodeOutcome, *, validation_fraction: float, test_fraction: float, seed: int
) -> Partition:
    """Return the splits of the rows that could be read; made ones are stratified. Val is never cut from test."""
    good = np.ones(len(listing.labels), bool)
    good[list(outcome.bad)] = False
    rows = {name: found[good[found]] for name, found in ((part, listing.rows_of(part)) for part in listing.parts)}
    if WHOLE in rows:
        asked = {"val": validation_fraction, "test": test_fraction}
        train, val, test = split_rows(listing, rows[WHOLE], tuple(asked.values()), seed=seed, same=outcome.same)
        notes = [f"split in memory (seed {seed}): train {len(train)}, val {len(val)}, test {len(test)}"]
        if not len(val) and not len(test):
            wanted = validation_fraction > 0 or test_fraction > 0
            notes = ["no class has an image to spare: none is held back to validate or to test"] if wanted else []
        made = {"train": train, "val": val, "test": test}
        notes += _lacking(listing, {"val": val, "test": test})
        notes += _far_off(listing.groups, made, asked)
        if len(val) and not len(test) and test_fraction > 0:
            notes.append("test: no class has a third image to spare, so none is held back to test")
        return Partition({name: found for name, found in made.items() if len(found)}, tuple(made), tuple(notes))
    if not len(rows.get("val", ())) and validation_fraction > 0:
        train, val = split_rows(listing, rows["train"], (validation_fraction,), seed=seed, same=outcome.same)
        note = f"val: {plural(len(val), 'image')} taken out of train (seed {seed})"
        if not len(val):
            note = "val: no image of train can be spared, so none is held back to validate"
        ordered = {"train": train, "val": val, "test": rows.get("test", val[:0])}
        made = {"train": train, "val": val}
        far_off = _far_off(listing.groups, made, {"val": validation_fraction})
        notes = [note, *_lacking(listing, {"val": val}), *far_off]
        return Partition({name: found for name, found in ordered.items() if len(found)}, ("val",), tuple(notes))
    return Partition({name: found for name, found in rows.items() if len(found)}, (), ())


def _lacking(listing: Listing, made: dict[str, Labels]) -> Iterator[str]:
    """Return the classes of which a part has no image: they do not count in its scores."""
    for name, rows in made.items():
        if len(rows):
            counts = listing.class_counts(rows)
            if missing := [label for label, count in zip(listing.classes, counts, strict=True) if not count]:
                yield f"{name} has no images of {few(missing, MOST_NAMED)}"


def _far_off(groups: ImageGroups | None, made: dict[str, Labels], asked: dict[str, float]) -> Iterator[str]:
    """Return notes on the parts that groups, or classes of few images, leave far smaller or larger than asked."""
    images = sum(len(rows) for rows in made.values())
    for name, fraction in asked.items() if images else ():
        share = len(made[name]) / images
        if groups is None:
            if fraction > 0 and share > max(FAR_OFF * fraction, fraction + MORE):
                one = f"{percent(share)} of the images, not {percent(fraction)}: one of each class at least"
                yield f"{name} has {one}, and classes are small"
            continue
        near = abs(share - fraction) * images <= 1 or fraction / FAR_OFF < share < fraction * FAR_OFF
        if fraction > 0 and not near:
            yield f"{name} has {percent(share)} of the images, not {percent(fraction)}: groups are not parted"


def split_rows(
    listing: Listing,
    rows: Labels,
    fractions: tuple[float, ...],
    *,
    seed: int,
    same: Sequence[tuple[int, int]] = (),
) -> tuple[Labels, ...]:
    """Return those of `rows` in each part: the rest, then one for each fraction; stratified as well as can be.

    Rows of one of the listing's groups get into one part, and so do the pairs of rows in `same`, of equal images.

    Raises:
        DataError: every class lies in one group alone, so that none can be held back.
    """
    if listing.groups is not None:
        together = _joined(listing.groups.numbers, same)[rows]
        _, group_of = np.unique(together, return_inverse=True)
        if sum(fractions) > 0:
            _require_spare(listing, listing.groups.by, rows, group_of)
        labels = listing.labels[rows] if listing.targets is None else listing.targets[rows]
        part_of = group_split(group_of, labels, len(listing.classes), fractions, seed=seed)[group_of]
        return tuple(rows[part_of == part] for part in range(len(fractions) + 1))
    leader_of = np.arange(len(listing.labels))
    for row, first in same:
        leader_of[row] = first
    _, leaders, member_of = np.unique(leader_of[rows], return_index=True, return_inverse=True)
    leading = rows[leaders]
    if listing.targets is not None:
        parts = iterative_split(listing.targets[leading], fractions, seed=seed)
    else:
        parts = stratified_split(listing.labels[leading], fractions, seed=seed)
    place = np.empty(len(leaders), np.int64)
    for number, part in enumerate(parts):
        place[part] = number
    return tuple(rows[place[member_of] == number] for number in range(len(parts)))


def _joined(numbers: Labels, same: Sequence[tuple[int, int]]) -> Labels:
    """Return the groups of rows, one group where equal images are in two.

    >>> _joined(np.array([0, 1, 1, 2]), [(2, 0)]).tolist()
    [1, 1, 1, 2]
    """
    into = list(range(int(numbers.max(initial=-1)) + 1))

    def root(group: int) -> int:
        while into[group] != group:
            into[group] = group = into[into[group]]
        return group

    for row, first in same:
        into[root(int(numbers[first]))] = root(int(numbers[row]))
    return np.array([root(group) for group in range(len(into))], np.int64)[numbers]


def _require_spare(listing: Listing, by: str, rows: Labels, group_of: Labels) -> None:
    """Raise DataError if each class lies in one group, which can't be learned and held back at once."""
    if listing.targets is None:
        pairs = np.unique(group_of * len(listing.classes) + listing.labels[rows]) % len(listing.classes)
    else:
        which, shown = np.nonzero(listing.targets[rows])
        pairs = np.unique(group_of[which] * len(listing.classes) + shown) % len(listing.classes)
    if np.bincount(pairs).max(initial=0) > 1:
        return
    raise DataError(
        f"{listing.source}: each class lies in one group of {by} alone, so none can be both learned and held back: "
        "name another group, or give val and test of their own"
    )


def find_leaks(splits: dict[str, Labels], outcome: DecodeOutcome, names: list[str]) -> tuple[Leak, ...]:
    """Return every row whose pixels equal those of an earlier row in another split."""
    split_of = {int(row): name for name, rows in splits.items() for row in rows} if outcome.same else {}
    leaks = []
    for row, first in outcome.same:
        here, there = split_of.get(row), split_of.get(first)
        if here is not None and there is not None and here != there:
            leaks.append(Leak(names[first], there, names[row], here))
    return tuple(leaks)


def find_conflicts(listing: Listing, outcome: DecodeOutcome) -> list[tuple[str, str]]:
    """Return the pairs of names with the same pixels and different classes."""
    said = listing.labels if listing.targets is None else listing.targets
    names = listing.names
    return [(names[first], names[row]) for row, first in outcome.same if not np.array_equal(said[row], said[first])]
