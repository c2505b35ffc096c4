"""What accuracy a network is expected to reach, by the committed table of what it reached on reference sets.

`accuracy_by_epochs.csv` beside this file is written by `bench/accuracy_by_epochs.py`. An expectation is that of the
reference set nearest to the images; there, the error falls along a line between two measured points when both it and
the number of images seen (epochs times training images) are on a logarithmic scale.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise

# How far apart two sets are: for each doubling of the side, of the images and of the classes, and grey from colour.
SIDE, IMAGES, CLASSES, CHANNELS = 1.0, 0.25, 0.25, 3.0
# A set further away than this, about two doublings of the side, is not used; so a grey one is not used for colour.
FARTHEST = 2.0
# Before the first point the line has BEFORE of its slope, and after the last one AFTER of it, for DOUBLINGS doublings.
BEFORE, AFTER, DOUBLINGS = 1.0, 0.5, 2.0
# No error is expected to be smaller.
LEAST_ERROR = 1e-3


@dataclass(frozen=True, kw_only=True)
class SetShape:
    """What is compared of a set of images: training images, classes, channels, and the typical side in pixels."""

    images: int
    classes: int
    channels: int
    side: int

    def distance(self, other: SetShape) -> float:
        """Return how unlike another set it is; 0 for one of the same shape.

        >>> one = SetShape(images=10_000, classes=10, channels=3, side=32)
        >>> one.distance(SetShape(images=10_000, classes=10, channels=1, side=64))
        4.0
        """
        return (
            SIDE * abs(math.log2(self.side / other.side))
            + IMAGES * abs(math.log2(self.images / other.images))
            + CLASSES * abs(math.log2(self.classes / other.classes))
            + CHANNELS * (self.channels != other.channels)
        )


@dataclass(frozen=True, kw_only=True)
class MeasuredPoint:
    """A row of the table: validation accuracy of a network after some epochs on images of one size."""

    set_name: str
    shape: SetShape
    network: str
    image_size: int
    epochs: int
    accuracy: float

    @property
    def seen(self) -> int:
        """How many images the training saw."""
        return self.epochs * self.shape.images


@dataclass(frozen=True, kw_only=True)
class AccuracyTable:
    """The measured points."""

    points: tuple[MeasuredPoint, ...]

    def nearest(self, shape: SetShape) -> str | None:
        """Return the name of the reference set that is most like a set; None where none is like it."""
        found = [(shape.distance(point.shape), point.set_name) for point in self.points]
        near = min(found, default=None)
        return near[1] if near is not None and near[0] <= FARTHEST else None

    def networks(self, set_name: str) -> tuple[tuple[str, int], ...]:
        """Return the networks measured on a set, each with the size of its images, in the table's order."""
        return tuple(dict.fromkeys((p.network, p.image_size) for p in self.points if p.set_name == set_name))

    def expected(self, set_name: str, network: str, image_size: int, *, seen: float) -> float | None:
        """Return the accuracy of a network after `seen` images of a set; None where it was not measured.

        A point below an earlier one counts as much as that: more training is never expected to do harm.
        """
        found = [p for p in self.points if (p.set_name, p.network, p.image_size) == (set_name, network, image_size)]
        by_seen: dict[int, list[float]] = {}
        for point in found:
            by_seen.setdefault(point.seen, []).append(point.accuracy)
        if not by_seen or seen <= 0:
            return None
        curve: list[tuple[float, float]] = []
        for images, accuracies in sorted(by_seen.items()):
            error = math.log2(max(LEAST_ERROR, 1 - sum(accuracies) / len(accuracies)))
            curve.append((math.log2(images), min(error, curve[-1][1] if curve else error)))
        error = 2 ** _on_line(curve, math.log2(seen))
        chance = 1 - 1 / found[0].shape.classes
        return 1 - min(chance, max(LEAST_ERROR, error))


# For images, or a start, of which no reference set says anything.
NO_TABLE = AccuracyTable(points=())


def _on_line(curve: list[tuple[float, float]], x: float) -> float:
    """Return y at x on the line through the points of a curve, which is sorted by x, and beyond its ends."""
    if len(curve) == 1:
        return curve[0][1]
    (first_x, first_y), (second_x, second_y) = curve[:2]
    if x <= first_x:
        slope = (second_y - first_y) / (second_x - first_x)
        return first_y - BEFORE * slope * (first_x - x)
    for (left, low), (right, high) in pairwise(curve):
        if x <= right:
            return low + (high - low) * (x - left) / (right - left)
    (before_x, before_y), (last_x, last_y) = curve[-2:]
    slope = (last_y - before_y) / (last_x - before_x)
    return last_y + AFTER * slope * min(DOUBLINGS, x - last_x)


def table_of(lines: Iterable[str]) -> AccuracyTable:
    """Return the table of the lines of a CSV with the columns of `bench/accuracy_by_epochs.py`."""
    points = []
    for row in csv.DictReader(lines):
        counts = {name: int(row[name]) for name in ("images", "classes", "channels", "side")}
        points.append(
            MeasuredPoint(
                set_name=row["set"],
                shape=SetShape(**counts),
                network=row["network"],
                image_size=int(row["image_size"]),
                epochs=int(row["epochs"]),
                accuracy=float(row["val_accuracy"]),
            )
        )
    return AccuracyTable(points=tuple(points))


@cache
def accuracy_table() -> AccuracyTable:
    """Return the table that comes with the package.

    >>> accuracy_table().nearest(SetShape(images=1_400, classes=10, channels=1, side=8))
    'digits'
    """
    text = resources.files("convscope.training.timing").joinpath("accuracy_by_epochs.csv").read_text("utf-8")
    return table_of(text.splitlines())
