"""Measure over a data set how often two crops of an image are predicted as the same class.

Zhang, "Making convolutional networks shift-invariant again", ICML 2019, section 4.1: classification consistency is the
share of image pairs from two crops, 0 to 31 pixels apart, with the same top-1 class. Images are never rolled: crops are
of the image's own pixels where it is larger than the network's input, else of the image with a mirrored margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from convscope.api.annotations import Seed
from convscope.api.public import public
from convscope.arrays import Array, Floats, Integers
from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet, Pixels
from convscope.errors import DataError
from convscope.interpret.equivariance.prediction_consistency import PredictionConsistency
from convscope.interpret.opened_run import opened_run
from convscope.interpret.replay.replays import Replays
from convscope.report.progress import Progress, ProgressOption, no_progress
from convscope.runs.predictor import Predictor
from convscope.runs.run_like import RunLike
from convscope.scoring.answer import evaluation_batch
from convscope.scoring.objective import Objective

# Of an image of 224 pixels; of smaller ones in proportion.
FARTHEST, OF_SIDE = 31, 224


def farthest_of(side: int) -> int:
    """Return the largest distance of two crops of this side, in pixels: 31 from 224 on, else in proportion.

    >>> farthest_of(224), farthest_of(299), farthest_of(32)
    (31, 31, 4)
    """
    return max(1, min(FARTHEST, round(FARTHEST * side / OF_SIDE)))


@public
def consistency(
    run: RunLike | Predictor,
    split: str | None = None,
    *,
    farthest: int | None = None,
    seed: Seed = 0,
    progress: ProgressOption = False,
) -> PredictionConsistency:
    """Measure how often a run's prediction stays the same between two crops of an image of its data.

    Args:
        run: its directory, what `convscope.train` returned, or a predictor of it.
        split: test, val or train; test, or else val, unless given.
        farthest: the largest distance of the crops along each axis, in pixels; 31 unless given, in proportion where
            the network's input is smaller than 224.
        seed: of the places of the crops.
        progress: True shows a bar; a function is called as `progress(done, total, what)`.

    Raises:
        RunError: no such run.
        DataError: its images can't be read, there is no such split, or an image has several labels.

    See `prediction_consistency` for the definition.

    Here `run` is LeNet-5 after an epoch on the built-in digits:

    >>> found = consistency(run, farthest=2)
    >>> found.images, 0 < found.consistency < 1
    (179, True)
    """
    with opened_run(run, split, progress) as found:
        return prediction_consistency(
            found.replays,
            found.images,
            found.normalization,
            farthest=farthest,
            seed=seed,
            objective=found.spec.objective,
            data=found.data,
            classes=found.spec.classes,
            progress=found.progress,
        )


def prediction_consistency(
    replays: Replays,
    images: ImageSet,
    normalization: Normalization,
    *,
    crop: tuple[int, int] | None = None,
    farthest: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    objective: Objective | None = None,
    data: str = "the images",
    classes: Sequence[str] = (),
    progress: Progress = no_progress,
) -> PredictionConsistency:
    """Return how often two crops of an image are predicted as the same class, and how much its probability changes.

    Each image has one pair of crops, whose places are drawn evenly by seed and row. Memory is that of one batch, and an
    interrupt returns the images that were gone through.

    Args:
        replays: the network.
        images: uint8 (N, H, W, C), with one class each.
        normalization: of their pixels.
        crop: height and width of the network's input; the images' own unless given.
        farthest: the largest distance of the crops along each axis; 31 pixels unless given, in proportion where the
            crop is smaller than 224.
        seed: of the places.
        batch_size: images in a forward pass; by the crop's size unless given.
        objective: how scores become probabilities; a softmax unless given. Its temperature is not applied.
        data: the name of the images.
        classes: the names of their labels.
        progress: called after each batch.

    Raises:
        DataError: no images, images of several labels, or a crop or distance that the images are too small for.
        CaptureError: the network does not run on the crops.

    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    >>> pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 1), dtype=np.uint8)
    >>> given = ImageSet(pixels, np.zeros(20, np.int64), [str(row) for row in range(20)])
    >>> found = prediction_consistency(Replays(network), given, Normalization.default(1))
    >>> found.farthest, found.mirrored, found.predicted.shape
    (2, True, (20, 2))
    """
    height, width = crop or images.images.shape[1:3]
    most = farthest_of(min(height, width)) if farthest is None else farthest
    margins = _margins(images, (height, width), most, data)
    draws = np.random.default_rng(seed).integers(0, most + 1, (len(images), 2, 2))
    size = batch_size or max(1, evaluation_batch((height, width, images.images.shape[3])) // 2)
    plain = replace(objective or Objective(), temperature=1.0)
    predicted: list[Integers] = []
    probabilities: list[Floats] = []
    done = 0
    try:
        for start in range(0, len(images), size):
            rows = np.arange(start, min(start + size, len(images)))
            padded, corner = _with_margin(np.asarray(images.images[rows]), margins, (height, width), most)
            offsets = draws[rows] + corner
            crops = _cropped(padded, offsets, (height, width))
            scores = replays.class_scores(to_floats(crops, normalization, device=replays.device)).double()
            of_crops = plain.probabilities(scores.cpu()).numpy().reshape(len(rows), 2, -1)
            classes_of = scores.cpu().numpy().reshape(of_crops.shape).argmax(axis=2)
            predicted.append(classes_of)
            first = classes_of[:, :1, None].repeat(2, axis=1)
            probabilities.append(np.take_along_axis(of_crops, first, axis=2)[:, :, 0])
            done += len(rows)
            progress(done, len(images), "comparing crops")
    except KeyboardInterrupt:
        if not done:
            raise
    done = min(done, sum(map(len, predicted)), sum(map(len, probabilities)))
    return PredictionConsistency(
        network=replays.name or "the network",
        data=data,
        planned=len(images),
        farthest=most,
        mirrored=any(margins),
        names=tuple(images.names[row] for row in range(done)),
        labels=np.asarray(images.labels[:done], np.int64),
        offsets=draws[:done],
        predicted=np.concatenate(predicted)[:done],
        probabilities=np.concatenate(probabilities)[:done],
        classes=tuple(classes),
    )


def _margins(images: ImageSet, crop: tuple[int, int], most: int, data: str) -> tuple[int, int]:
    """Return how many pixels are mirrored along rows and columns, both sides together; raise DataError."""
    if not len(images):
        raise DataError(f"{data} has no images, so nothing is known of any prediction")
    if images.targets is not None:
        raise DataError(f"the images of {data} have several labels: consistency is that of one class an image")
    height, width = images.images.shape[1:3]
    if crop[0] > height or crop[1] > width or min(crop) < 1:
        raise DataError(f"a crop of {crop[0]}x{crop[1]} is no part of images of {height}x{width}: give a smaller one")
    if min(height, width) < 2:
        raise DataError(f"images of {height}x{width} have no two crops that are apart: give larger ones")
    if not 1 <= most < min(height, width):
        raise DataError(f"crops {most} pixels apart: give 1 to {min(height, width) - 1} for {height}x{width} images")
    return max(0, crop[0] + most - height), max(0, crop[1] + most - width)


def _with_margin(pixels: Pixels, margins: tuple[int, int], crop: tuple[int, int], most: int) -> tuple[Pixels, Integers]:
    """Return images with their margin, and the first row and column of the region that all crops lie in."""
    before = [margin // 2 for margin in margins]
    around = [(first, margin - first) for first, margin in zip(before, margins, strict=True)]
    padded = np.pad(pixels, [(0, 0), *around, (0, 0)], mode="reflect") if any(margins) else pixels
    spare = [size - side - most for size, side in zip(padded.shape[1:3], crop, strict=True)]
    return padded, np.array([room // 2 for room in spare], np.int64)


def _cropped(padded: Pixels, offsets: Array, crop: tuple[int, int]) -> Pixels:
    """Return the two crops of each image, (2 N, H, W, C), those of one image beside each other."""
    found = [
        image[row : row + crop[0], column : column + crop[1]]
        for image, pair in zip(padded, offsets, strict=True)
        for row, column in pair
    ]
    return np.stack(found)
