"""Whether mirrored images of one class look like another class, found in a sample of the training images.

For two classes A and B, two questions are put to the same held-out images: how well is A told from B, and how well
the mirror image of A from B. Where a mirror leaves a class what it is, or makes something of it that no class holds,
both answers are alike. Where it makes A into B, the second is a coin's. A linear discriminant on cheap features
answers both, cross-validated; of the images on which the two answers differ, a sign test says whether that is chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from convscope.data.listing import Listing
from convscope.data.pixels.sample import read_rows
from convscope.data.records import Decoding, Labels
from convscope.train.auto.shape_features import reduced, shape_features

# Images of each class that are looked at, and classes up to which it is done: of more, names alone decide.
FEWEST, OF_A_CLASS, MOST_CLASSES = 8, 48, 100
# Images in all, and pixels to decode in all, beyond which each class gets fewer, but no less than LEAST.
IN_ALL, PIXELS, LEAST = 600, 10**9, 12
FOLDS = 4
# The within-class covariance is moved so far towards a multiple of the identity.
RIDGE = 0.1
# What a mirror must take of all that tells two classes apart, and how improbable that must be over all pairs.
FALL, CHANCE = 0.25, 1e-3

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Two classes that a change of the images makes alike: shares of held-out images that are told apart."""

    first: str
    second: str
    as_they_are: float
    changed: float

    def told(self, changed: str) -> str:
        """Return it in words; `changed` says what was done to the images of the first class."""
        return (
            f"{changed} {self.first!r} looks like {self.second!r} "
            f"(told apart {self.as_they_are:.0%} as it is, {self.changed:.0%} {changed})"
        )


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Small images (N, C, H, W) of 0 to 1 with their labels (N,), which index `classes`."""

    images: Tensor
    labels: Labels
    classes: tuple[str, ...]


def read_sample(listing: Listing, rows: Labels, decoding: Decoding, *, seed: int) -> Sample | None:
    """Decode some of the rows, as many of each class; None where there are too many classes, or too few images.

    Of images with several labels those with one alone count.
    """
    if listing.targets is None:
        labels = listing.labels[rows]
    else:
        targets = listing.targets[rows]
        rows, labels = rows[targets.sum(1) == 1], targets[targets.sum(1) == 1].argmax(1)
    counts = np.bincount(labels, minlength=len(listing.classes))
    classes = np.flatnonzero(counts >= FEWEST)
    if not 2 <= len(classes) <= MOST_CLASSES:
        return None
    height, width = listing.image_size
    in_all = min(IN_ALL, PIXELS // max(1, height * width))
    of_each = max(LEAST, min(OF_A_CLASS, in_all // len(classes)))
    draw = np.random.default_rng(seed)
    chosen = np.concatenate([draw.permutation(np.flatnonzero(labels == label))[:of_each] for label in classes])
    chosen.sort()  # in the order in which they lie on the disk
    pixels, read = read_rows(listing, rows[chosen], decoding)
    places = np.searchsorted(classes, labels[chosen][np.isin(rows[chosen], read)])
    if np.bincount(places, minlength=len(classes)).min() < FOLDS:
        return None
    names = tuple(listing.classes[label] for label in classes.tolist())
    return Sample(images=reduced(pixels), labels=places, classes=names)


def find_confusion(sample: Sample, change: Callable[[Tensor], Tensor], *, seed: int) -> Confusion | None:
    """Return the two classes that a change of the images (N, C, H, W) makes alike most surely; None where none are."""
    plain = shape_features(sample.images)
    changed = shape_features(change(sample.images).contiguous())
    if plain.shape != changed.shape:
        return None
    count = len(sample.classes)
    of_plain, of_changed = _held_out_scores(plain, changed, sample.labels, count, seed)
    chance = CHANCE / math.comb(count, 2)
    worst: Confusion | None = None
    for first in range(count):
        for second in range(count):
            if first == second:
                continue
            a, b = sample.labels == first, sample.labels == second
            before = _told_apart(of_plain[a], of_plain[b], first, second)
            after = _told_apart(of_changed[a], of_plain[b], count + first, second)
            probability = _sign_test(int((before & ~after).sum()), int((after & ~before).sum()))
            was, became = float(before.mean()), float(after.mean())
            if probability < chance and was - became >= FALL * (was - 0.5):
                chance = probability
                worst = Confusion(
                    first=sample.classes[first], second=sample.classes[second], as_they_are=was, changed=became
                )
    return worst


def _held_out_scores(
    plain: Floats, changed: Floats, labels: Labels, classes: int, seed: int
) -> tuple[Floats, Floats]:
    """Linear discriminant scores (N, 2 classes) of images and changed images: of each class, and of each changed one.

    Each image is scored by means and a covariance to which neither it nor its changed self has contributed.
    """
    both = np.concatenate([plain, changed])
    spread = both.std(0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    plain, changed = (plain - both.mean(0)) / scale, (changed - both.mean(0)) / scale
    fold = np.empty(len(labels), np.int64)
    draw = np.random.default_rng(seed)
    for label in range(classes):
        rows = draw.permutation(np.flatnonzero(labels == label))
        fold[rows] = np.arange(len(rows)) % FOLDS
    of_plain, of_changed = np.empty((len(labels), 2 * classes)), np.empty((len(labels), 2 * classes))
    for number in range(FOLDS):
        held, learned = fold == number, fold != number
        own = [learned & (labels == label) for label in range(classes)]
        means = np.stack([plain[rows].mean(0) for rows in own] + [changed[rows].mean(0) for rows in own])
        rest = np.concatenate(
            [plain[learned] - means[labels[learned]], changed[learned] - means[classes + labels[learned]]]
        )
        covariance = rest.T @ rest / len(rest)
        features = len(covariance)
        covariance[np.diag_indices(features)] += RIDGE * np.trace(covariance) / features + 1e-9
        weights = np.linalg.solve(covariance, means.T)
        offsets = -0.5 * (means.T * weights).sum(0)
        of_plain[held], of_changed[held] = plain[held] @ weights + offsets, changed[held] @ weights + offsets
    return of_plain, of_changed


def _told_apart(first: Floats, second: Floats, own: int, other: int) -> Booleans:
    """Which images of two classes are told apart by columns `own` and `other` of their scores: the first's, then."""
    return np.concatenate([first[:, own] > first[:, other], second[:, other] > second[:, own]])


def _sign_test(losses: int, gains: int) -> float:
    """The probability of so many losses or more among all differences, were both as likely.

    >>> _sign_test(3, 0), _sign_test(1, 1), _sign_test(0, 0)
    (0.125, 0.75, 1.0)
    """
    together = losses + gains
    return sum(math.comb(together, number) for number in range(losses, together + 1)) / 2**together
