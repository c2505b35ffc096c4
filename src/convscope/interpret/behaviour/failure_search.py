"""Find the smallest distortion that changes the prediction of each image.

The grid's strengths are tried from the smallest on, in every direction, until the prediction differs; between the
last strength that left it and the first that changed it the boundary is bisected. A change that lies wholly between two
strengths of the grid is not found: the grid is stated with the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from convscope.arrays import Floats, Integers
from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import SEVERAL, ImageSet
from convscope.errors import DataError
from convscope.interpret.behaviour.distortions import Distortion, distortions
from convscope.interpret.behaviour.labelled_images import (
    NO_PREDICTION,
    class_names,
    predictions,
    replay_batch,
)
from convscope.interpret.behaviour.robustness_profile import DistortionFailures, FailureExample, RobustnessProfile
from convscope.interpret.replay.on_images import first_input
from convscope.interpret.replay.replays import Replays
from convscope.report.progress import Progress, no_progress

BISECTIONS = 4  # halvings of a grid's step; where only whole strengths exist, until none is between
EXAMPLES = 3  # pictures kept of each distortion
_Predict = Callable[[Tensor], Integers]


def failure_search(
    replays: Replays,
    images: ImageSet,
    normalization: Normalization,
    *,
    tried: Sequence[Distortion] = (),
    data: str = "the images",
    classes: Sequence[str] = (),
    batch_size: int | None = None,
    dtype: torch.dtype | None = None,
    progress: Progress = no_progress,
) -> RobustnessProfile:
    """Return for each image the smallest strength of each distortion at which its prediction differs.

    Interrupted, it is of the images that were gone through.

    Args:
        replays: the network.
        images: the data set; labels are read to tell failures of right predictions from others.
        normalization: of the network's input.
        tried: distortions with their grids; those of `distortions` for the images' size unless given.
        data: what to call the images.
        classes: names of the network's classes.
        batch_size: images in a forward pass; by the memory that one takes unless given.
        dtype: that the network computes in; float32 unless given.
        progress: called after each batch of images.

    Raises:
        DataError: no images.
        CaptureError: the network does not run on them.

    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    >>> pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    >>> given = ImageSet(pixels, np.arange(20) % 3, [""] * 20)
    >>> found = failure_search(Replays(network), given, Normalization.default(1))
    >>> [failures.distortion.name for failures in found.failures]
    ['shift', 'rotation', 'blur', 'brightness', 'crop']
    """
    if not len(images):
        raise DataError(f"there are no images in {data}, so no prediction fails")
    _, height, width, _ = images.images.shape
    one = first_input(replays, images, normalization)
    one = one.to(dtype or one.dtype)
    graph, _ = replays.graph_on(one)
    count = int(replays.class_scores(one).shape[1])
    size = batch_size or replay_batch(graph, len(images))
    predict = _predictor(replays, normalization, size, one)
    searches = [_DistortionSearch(distortion) for distortion in tried or distortions(height, width)]
    predicted: list[Integers] = []
    try:
        for start in range(0, len(images), size):
            rows = np.arange(start, min(start + size, len(images)))
            levels = to_floats(np.asarray(images.images[rows]), None, device=replays.device)
            own = predict(levels)
            # Every search ends before one is added to: an interrupt leaves whole batches.
            found = [_failures(search.distortion, levels, own, predict) for search in searches]
            for search, batch in zip(searches, found, strict=True):
                search.add(batch, levels, own, rows)
            predicted.append(own)
            progress(int(rows[-1]) + 1, len(images), "searching for failures")
    except KeyboardInterrupt:
        if not predicted:
            raise
    done = sum(map(len, predicted))
    labels = np.asarray(images.labels[:done], np.int64)
    return RobustnessProfile(
        network=graph.name,
        data=data,
        planned=len(images),
        classes=class_names(classes, count),
        labels=np.full(done, SEVERAL) if images.targets is not None else labels,
        predicted=np.concatenate(predicted),
        failures=tuple(search.result(images.names) for search in searches),
    )


@dataclass(frozen=True, slots=True)
class _SmallestStrengths:
    """Of each image of a batch the smallest strength, its direction and the class that is predicted then."""

    strengths: Floats
    directions: Integers
    classes: Integers


class _DistortionSearch:
    """What was found so far of one distortion, with the pictures that it takes least to change."""

    def __init__(self, distortion: Distortion) -> None:
        self.distortion = distortion
        self._found: list[_SmallestStrengths] = []
        self._nearest: list[tuple[float, int, Tensor, int]] = []  # strength, row, levels, class as it was

    def add(self, found: _SmallestStrengths, levels: Tensor, own: Integers, rows: Integers) -> None:
        """Add a batch."""
        self._found.append(found)
        for place in np.argsort(found.strengths, kind="stable")[:EXAMPLES]:
            if np.isfinite(found.strengths[place]):
                self._nearest.append((float(found.strengths[place]), int(rows[place]), levels[place].cpu(),
                                      int(own[place])))  # fmt: skip
        self._nearest = sorted(self._nearest, key=lambda each: each[:2])[:EXAMPLES]

    def result(self, names: Sequence[str]) -> DistortionFailures:
        """Return what was found."""
        strengths = np.concatenate([found.strengths for found in self._found])
        directions = np.concatenate([found.directions for found in self._found])
        classes = np.concatenate([found.classes for found in self._found])
        examples = []
        for strength, row, levels, own in self._nearest:
            way = torch.tensor([int(directions[row])])
            after = self.distortion.apply(levels[None], torch.tensor([strength], dtype=torch.float32), way)[0]
            examples.append(FailureExample(name=names[row], row=row, before=_pixels(levels), after=_pixels(after),
                                           predicted=own, becomes=int(classes[row])))  # fmt: skip
        return DistortionFailures(distortion=self.distortion, strengths=strengths, directions=directions,
                                  becomes=classes, examples=tuple(examples))  # fmt: skip


def _failures(distortion: Distortion, levels: Tensor, own: Integers, predict: _Predict) -> _SmallestStrengths:
    """Return the smallest strengths that change the predictions of a batch; NaN where none of the grid does."""
    count = len(levels)
    found = _SmallestStrengths(np.full(count, np.nan), np.full(count, -1), np.full(count, NO_PREDICTION))
    below = np.zeros(count)
    waiting = np.arange(count)
    ways = len(distortion.directions)
    for strength in distortion.grid:
        if not len(waiting):
            break
        # Every direction of every image that is left, image by image.
        rows, directions = np.repeat(waiting, ways), np.tile(np.arange(ways), len(waiting))
        classes = _predicted(distortion, levels, rows, np.full(len(rows), strength), directions, predict)
        changed = (classes != own[rows]).reshape(-1, ways)
        which = changed.argmax(axis=1)
        hit = changed.any(axis=1)
        at = waiting[hit]
        found.strengths[at], found.directions[at] = strength, which[hit]
        found.classes[at] = classes.reshape(-1, ways)[hit, which[hit]]
        waiting = waiting[~hit]
        below[waiting] = strength
    _bisect(distortion, levels, own, below, found, predict)
    return found


def _bisect(
    distortion: Distortion, levels: Tensor, own: Integers, below: Floats, found: _SmallestStrengths, predict: _Predict
) -> None:
    """Lower the strengths that were found towards those below that change nothing, in place."""
    rows = np.flatnonzero(np.isfinite(found.strengths))
    steps = np.diff((0.0, *distortion.grid))
    for _ in range(int(steps.max()).bit_length() if distortion.whole else BISECTIONS):
        middle = (below[rows] + found.strengths[rows]) / 2
        middle = np.floor(middle) if distortion.whole else middle
        between = middle > below[rows]
        rows, middle = rows[between], middle[between]
        if not len(rows):
            break
        classes = _predicted(distortion, levels, rows, middle, found.directions[rows], predict)
        changed = classes != own[rows]
        found.strengths[rows[changed]], found.classes[rows[changed]] = middle[changed], classes[changed]
        below[rows[~changed]] = middle[~changed]


def _predicted(
    distortion: Distortion, levels: Tensor, rows: Integers, strengths: Floats, directions: Integers, predict: _Predict
) -> Integers:
    device = levels.device
    given = levels[torch.from_numpy(rows).to(device)]
    return predict(
        distortion.apply(
            given,
            torch.from_numpy(strengths).to(device, given.dtype),
            torch.from_numpy(np.asarray(directions, np.int64)).to(device),
        )
    )


def _predictor(replays: Replays, normalization: Normalization, size: int, like: Tensor) -> _Predict:
    """Return the function from levels (N, C, H, W), 0 to 1, to predicted classes (N,).

    Their device and type are those of `like`.
    """
    mean, std = (torch.tensor(levels, device=like.device)[None, :, None, None] for levels in
                 (normalization.mean, normalization.std))  # fmt: skip

    def predict(levels: Tensor) -> Integers:
        found = []
        for start in range(0, len(levels), size):
            part = levels[start : start + size]
            # A power of two at most, the last image repeated: a network is captured once for each size.
            padded = min(size, 1 << (len(part) - 1).bit_length())
            rows = torch.arange(padded, device=part.device).clamp(max=len(part) - 1)
            scores = replays.class_scores(((part[rows] - mean) / std).to(like.dtype))
            found.append(predictions(scores)[: len(part)])
        return np.concatenate(found)

    return predict


def _pixels(levels: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray((levels.permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8).numpy())
