"""Confusions: how many images of each class are predicted as each class, kept as the pairs that occur.

The matrix of 21,000 classes takes 3.5 GB, and almost all of it is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.arrays import Integers
from convscope.report.short_repr import ShortRepr
from convscope.report.units import plural

# Classes up to which a whole matrix is written into files: 32 MB as an array.
MOST_IN_MATRIX = 2_000


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ConfusionCounts(ShortRepr):
    """Images by true and predicted class, of the pairs that occur.

    Args:
        classes: how many classes there are.
        true: of each pair the true class, (P,), in ascending order.
        predicted: the predicted class, (P,), in ascending order for each true one.
        images: how many, (P,).
    """

    classes: int
    true: Integers
    predicted: Integers
    images: Integers

    def headline(self) -> str:
        """Return how many images, classes and pairs there are."""
        return f"{plural(int(self.images.sum()), 'image')} of {plural(self.classes, 'class', 'classes')}"

    @property
    def right(self) -> Integers:
        """The right predictions of each class, (classes,)."""
        same = self.true == self.predicted
        return self._by_class(self.true[same], self.images[same])

    @property
    def support(self) -> Integers:
        """The images of each class, (classes,): its support."""
        return self._by_class(self.true, self.images)

    @property
    def predictions(self) -> Integers:
        """The images that are predicted as each class, (classes,)."""
        return self._by_class(self.predicted, self.images)

    @property
    def wrong(self) -> ConfusionCounts:
        """The wrong predictions alone."""
        kept = self.true != self.predicted
        return ConfusionCounts(self.classes, self.true[kept], self.predicted[kept], self.images[kept])

    def of(self, true: int, predicted: int) -> int:
        """Return how many images of a class are predicted as a class."""
        return int(self.images[(self.true == true) & (self.predicted == predicted)].sum())

    def most_frequent(self, most: int | None = None) -> list[tuple[int, int, int]]:
        """Return true class, predicted class and images, the most images first, equal ones by number of class.

        >>> count_confusions(np.array([1, 1, 0, 1]), np.array([0, 0, 1, 1]), classes=2).wrong.most_frequent()
        [(0, 1, 2), (1, 0, 1)]
        """
        order = np.argsort(-self.images, kind="stable")[:most]
        rows = np.stack([self.true, self.predicted, self.images], axis=1)[order]
        return [(true, predicted, images) for true, predicted, images in rows.tolist()]

    def matrix(self) -> Integers:
        """Return the confusion matrix, true by row and predicted by column, int64 (classes, classes)."""
        return self.among(np.arange(self.classes))

    def among(self, some: Integers) -> Integers:
        """Return the part of the matrix that is of some classes, by number and in their order, int64 (n, n)."""
        place = np.full(self.classes, -1)
        place[some] = np.arange(len(some))
        rows, columns = place[self.true], place[self.predicted]
        there = (rows >= 0) & (columns >= 0)
        found = np.zeros((len(some), len(some)), np.int64)
        found[rows[there], columns[there]] = self.images[there]
        return found

    def _by_class(self, classes: Integers, images: Integers) -> Integers:
        found = np.zeros(self.classes, np.int64)
        np.add.at(found, classes, images)
        return found


def count_confusions(predicted: Integers, labels: Integers, *, classes: int) -> ConfusionCounts:
    """Return the confusions of predictions (N,) and labels (N,), both below `classes`.

    >>> count_confusions(np.array([1, 1, 0]), np.array([0, 1, 0]), classes=2).matrix().tolist()
    [[1, 1], [0, 1]]
    """
    pairs, images = np.unique(labels.astype(np.int64) * classes + predicted, return_counts=True)
    return ConfusionCounts(classes, pairs // classes, pairs % classes, images.astype(np.int64))
