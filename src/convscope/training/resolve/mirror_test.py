"""Whether mirrored images of one class look like another class, found in a sample of the training images.

A linear discriminant on cheap features, cross-validated, separates the held-out images of two classes A and B. Two
signs say that a mirror makes A into B:

- mirrored images are exchanged: most of each class are taken for the other, and as surely as the other's own are;
- mirrored images of A can't be separated from B, by a discriminant of their own, where A itself can be.

The first sees a change in spite of a background that reveals a flip; the second also sees it where B holds more
than mirrored images of A. Both need more images that show it than chance allows, over all pairs of classes.
Where a mirror leaves classes what they are, or makes something of them that no class holds, neither comes about: a
photograph's mirror image is not another photograph.

The features separate a shape from its mirror image, at any position and in any colour: gradient orientations,
soft-assigned to four directions without a sign, so that dark on light equals light on dark; how often two directions
occur at a fixed offset from each other (co-occurrence histograms of oriented gradients, Watanabe, Ito, Yokoi 2009),
which a mirror changes even where it leaves each direction's own share; their shares by place; and a coarse grid of
colour.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from convscope.api.thread_count import threads_of_this_thread
from convscope.arrays import Booleans, Floats
from convscope.data.listing import Listing
from convscope.data.pixels.build import read_rows
from convscope.data.records import Decoding, Labels, Pixels
from convscope.report.units import percent

# Images of each class that are looked at, and classes up to which it is done: of more, names alone decide.
FEWEST, OF_A_CLASS, MOST_CLASSES = 8, 150, 100
# Images in all, and pixels to decode in all, beyond which each class gets fewer, but no less than LEAST.
IN_ALL, PIXELS, LEAST = 600, 10**9, 12
FOLDS = 4
# The within-class covariance is moved so far towards a multiple of the identity.
RIDGE = 0.1
# What a change must leave, reversed, of the distance between two classes along their discriminant; or what it must take
# of how much more than half of their images are separated.
EXCHANGED, FALL = 0.6, 0.3
# How improbable that must be by chance, over all pairs of classes.
CHANCE = 1e-3

# Images are reduced to this longer side first, and then halved twice.
SIDE = 48
LEVELS = 3
SMALLEST_SIDE = 8  # a level of fewer pixels is left out
DIRECTIONS = 4
OFFSETS = ((0, 2), (2, 0), (2, 2), (2, -2), (0, 4), (4, 0), (4, 4), (4, -4))  # (down, right), in pixels of a level
GRID = 4
# Images that are worked on at once: what bounds the memory.
CHUNK = 64


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Two classes of which a change of the images makes the first into the second.

    `right` and `changed` are shares of held-out images of both that are separated, as they are and changed.
    """

    first: str
    second: str
    right: float
    changed: float

    def text(self, changed: str) -> str:
        """Return the confusion as a line; `changed` names what was done to the images."""
        shares = f"{percent(self.right, decimals=0)} right as they are, {percent(self.changed, decimals=0)} {changed}"
        return f"{changed} images of {self.first!r} look like {self.second!r} ({shares})"


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
    with threads_of_this_thread(1):  # on small arrays several wait for each other, and sums may differ
        return Sample(images=reduced(pixels), labels=places, classes=names)


def find_confusion(sample: Sample, change: Callable[[Tensor], Tensor], *, seed: int) -> Confusion | None:
    """Return the two classes that a change of the images (N, C, H, W) confuses most surely; None where it does not."""
    count, labels = len(sample.classes), sample.labels
    with threads_of_this_thread(1):  # on small arrays several wait for each other, and sums may differ
        plain = shape_features(sample.images)
        changed = shape_features(change(sample.images).contiguous())
        if plain.shape != changed.shape:
            return None
        scores = _held_out_scores(plain, changed, labels, count, seed)
    least = CHANCE / math.comb(count, 2)
    worst: Confusion | None = None
    for first, second in permutations(range(count), 2):
        rows = labels == first, labels == second
        for sign in (_exchanged, _alike):
            probability, right, share = sign(*scores, *rows, first, second)
            if probability < least:
                least = probability
                names = sample.classes[first], sample.classes[second]
                worst = Confusion(first=names[0], second=names[1], right=right, changed=share)
    return worst


def _exchanged(
    of_plain: Floats, of_changed: Floats, a: Booleans, b: Booleans, first: int, second: int
) -> tuple[float, float, float]:
    """Return the probability that changed images are exchanged by chance, and the accuracies before and after."""
    right = float(_separated(of_plain[a], of_plain[b], first, second).mean())
    after = _separated(of_changed[a], of_changed[b], first, second)
    own, others = after[: a.sum()].mean(), after[a.sum() :].mean()
    # A photograph's mirror image lies on some side of any line too, but seldom far from it: what the discriminant says
    # of a class must be reversed, not only changed.
    before, reversed_ = (
        float((some[a, first] - some[a, second]).mean() - (some[b, first] - some[b, second]).mean())
        for some in (of_plain, of_changed)
    )
    if max(own, others) >= 0.5 or -reversed_ < EXCHANGED * before:
        return 1.0, right, 0.0
    return _sign_test(int((~after).sum()), int(after.sum())), right, float(after.mean())


def _alike(
    of_plain: Floats, of_changed: Floats, a: Booleans, b: Booleans, first: int, second: int
) -> tuple[float, float, float]:
    """Return the probability that the change makes no difference between the classes, and both accuracies."""
    before = _separated(of_plain[a], of_plain[b], first, second)
    after = _separated(of_changed[a], of_plain[b], len(of_plain[0]) // 2 + first, second)
    right, share = float(before.mean()), float(after.mean())
    if right - share < FALL * (right - 0.5):
        return 1.0, right, share
    return _sign_test(int((before & ~after).sum()), int((after & ~before).sum())), right, share


def _held_out_scores(plain: Floats, changed: Floats, labels: Labels, classes: int, seed: int) -> tuple[Floats, Floats]:
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
        weights = _discriminants(torch.from_numpy(rest), torch.from_numpy(means))
        offsets = -0.5 * (means.T * weights).sum(0)
        of_plain[held], of_changed[held] = plain[held] @ weights + offsets, changed[held] @ weights + offsets
    return of_plain, of_changed


def _discriminants(rest: Tensor, means: Tensor) -> Floats:
    """Return the linear discriminants (D, classes) of class means (classes, D) and the images' residuals (N, D)."""
    covariance = rest.T @ rest / len(rest)
    features = len(covariance)
    covariance.diagonal().add_(RIDGE * covariance.trace() / features + 1e-9)
    return np.asarray(torch.linalg.solve(covariance, means.T).numpy())


def _separated(first: Floats, second: Floats, own: int, other: int) -> Booleans:
    """Return which images of two classes are separated by the columns `own` and `other` of their scores."""
    return np.concatenate([first[:, own] > first[:, other], second[:, other] > second[:, own]])


def _sign_test(losses: int, gains: int) -> float:
    """Return the probability of at least this many losses among all differences, if both are equally likely.

    >>> _sign_test(3, 0), _sign_test(1, 1), _sign_test(0, 0)
    (0.125, 0.75, 1.0)
    """
    together = losses + gains
    return float(sum(math.comb(together, number) for number in range(losses, together + 1)) / 2**together)


def reduced(pixels: Pixels) -> Tensor:
    """Return images (N, H, W, C) of 0 to 255 as float32 (N, C, h, w) of 0 to 1, the longer side at most 48 pixels."""
    height, width = pixels.shape[1:3]
    scale = min(1.0, SIDE / max(height, width))
    size = tuple(max(1, round(side * scale)) for side in (height, width))
    small = []
    for first in range(0, len(pixels), CHUNK):
        levels = torch.from_numpy(pixels[first : first + CHUNK].copy()).permute(0, 3, 1, 2).float() / 255
        small.append(functional.interpolate(levels, size=size, mode="bilinear", antialias=True))
    return torch.cat(small)


def shape_features(images: Tensor) -> Floats:
    """Return features (N, D) of images (N, C, H, W) of 0 to 1; D depends on H and W alone.

    >>> shape_features(torch.rand(2, 3, 40, 40)).shape
    (2, 528)
    """
    found = torch.cat([_features(images[first : first + CHUNK]) for first in range(0, len(images), CHUNK)])
    # Counts spread as their size does: their square roots spread evenly.
    return np.asarray(found.double().sqrt().numpy())


def _features(images: Tensor) -> Tensor:
    parts = [functional.adaptive_avg_pool2d(images, GRID).flatten(1)]
    level = images
    for number in range(LEVELS):
        if min(level.shape[2:]) < SMALLEST_SIDE:
            break
        if number:
            level = functional.avg_pool2d(level, 2)
        directions = _directions(level)
        parts.append(functional.adaptive_avg_pool2d(directions, GRID if number == 0 else GRID // 2).flatten(1))
        parts += [_together(directions, down, right) for down, right in OFFSETS]
    return torch.cat(parts, dim=1)


def _directions(images: Tensor) -> Tensor:
    """Return the gradient in each of four directions (N, 4, H - 2, W - 2), relative to the image's mean."""
    across = images[:, :, 1:-1, 2:] - images[:, :, 1:-1, :-2]
    along = images[:, :, 2:, 1:-1] - images[:, :, :-2, 1:-1]
    # The doubled angle makes opposite gradients equal; summed over channels it does not matter which one has the edge.
    cosine, sine = (across**2 - along**2).sum(1), (2 * across * along).sum(1)
    strength = (across**2 + along**2).sum(1).sqrt() + 1e-3
    angles = [2 * math.pi * number / DIRECTIONS for number in range(DIRECTIONS)]
    each = [(cosine * math.cos(angle) + sine * math.sin(angle)).relu() / strength for angle in angles]
    directions = torch.stack(each, dim=1)
    return directions / (directions.mean((1, 2, 3), keepdim=True) + 1e-4)


def _together(directions: Tensor, down: int, right: int) -> Tensor:
    """Return the frequency of each pair of directions at an offset (N, 16); zeros if the image is smaller."""
    height, width = directions.shape[2:]
    if down >= height or abs(right) >= width:
        return directions.new_zeros(len(directions), DIRECTIONS**2)
    here = directions[:, :, : height - down, max(0, -right) : width - max(0, right)].flatten(2)
    there = directions[:, :, down:, max(0, right) : width - max(0, -right)].flatten(2)
    return torch.bmm(here, there.transpose(1, 2)).flatten(1) / (height * width)
