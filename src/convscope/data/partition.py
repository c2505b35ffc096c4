"""Assign rows to splits: splits on the disk are kept, missing ones are made; duplicates stay together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from convscope.data.listing import WHOLE, Listing
from convscope.data.pixels.cache import DecodeOutcome
from convscope.data.records import Labels, Leak
from convscope.data.split import iterative_split, stratified_split
from convscope.report.units import few

# Classes that a note names.
MOST_NAMED = 5


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
    groups = np.arange(len(listing.labels))
    for row, first in outcome.same:
        groups[row] = first
    good = np.ones(len(groups), bool)
    good[list(outcome.bad)] = False
    rows = {name: found[good[found]] for name, found in ((part, listing.rows_of(part)) for part in listing.parts)}
    if WHOLE in rows:
        train, val, test = _cut(listing, rows[WHOLE], groups, (validation_fraction, test_fraction), seed)
        notes = [f"split in memory (seed {seed}): train {len(train)}, val {len(val)}, test {len(test)}"]
        if not len(val) and not len(test):
            wanted = validation_fraction > 0 or test_fraction > 0
            notes = ["no class has an image to spare: none is held back to validate or to test"] if wanted else []
        made = {"train": train, "val": val, "test": test}
        notes += _lacking(listing, {"val": val, "test": test})
        return Partition({name: found for name, found in made.items() if len(found)}, tuple(made), tuple(notes))
    if not len(rows.get("val", ())) and validation_fraction > 0:
        train, val = _cut(listing, rows["train"], groups, (validation_fraction,), seed)
        note = f"val: {len(val)} images taken out of train (seed {seed})"
        ordered = {"train": train, "val": val, "test": rows.get("test", val[:0])}
        notes = [note, *_lacking(listing, {"val": val})]
        return Partition({name: found for name, found in ordered.items() if len(found)}, ("val",), tuple(notes))
    return Partition({name: found for name, found in rows.items() if len(found)}, (), ())


def _lacking(listing: Listing, made: dict[str, Labels]) -> Iterator[str]:
    """Return the classes of which a part has no image: they do not count in its scores."""
    for name, rows in made.items():
        if len(rows):
            counts = listing.class_counts(rows)
            if missing := [label for label, count in zip(listing.classes, counts, strict=True) if not count]:
                yield f"{name} has no images of {few(missing, MOST_NAMED)}"


def split_rows(listing: Listing, rows: Labels, fractions: tuple[float, ...], *, seed: int) -> tuple[Labels, ...]:
    """Return the positions in `rows` of each part: the rest, then one for each fraction; stratified if possible."""
    if listing.targets is not None:
        return iterative_split(listing.targets[rows], fractions, seed=seed)
    return stratified_split(listing.labels[rows], fractions, seed=seed)


def _cut(listing: Listing, rows: Labels, groups: Labels, fractions: tuple[float, ...], seed: int) -> tuple[Labels, ...]:
    """Split rows so that all rows of one group land in one part."""
    _, leaders, member_of = np.unique(groups[rows], return_index=True, return_inverse=True)
    parts = split_rows(listing, rows[leaders], fractions, seed=seed)
    place = np.empty(len(leaders), np.int64)
    for number, part in enumerate(parts):
        place[part] = number
    return tuple(rows[place[member_of] == number] for number in range(len(parts)))


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
