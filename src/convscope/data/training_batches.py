"""The batches that a network is trained on: order, share of a process, augmentation, mixing, progressive resizing.

Everything that needs a training batch takes it from here: the loop, the learning-rate range test, the trials of the
autotune and the doctor, and the report. All draws are decided by (seed, epoch, step), so all see the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from convscope.data.augment import AlternatingFlip, Augmentation, augment, generator_for
from convscope.data.augmentation.batch_rng import BatchPart
from convscope.data.augmentation.mixing import mix
from convscope.data.batches import Batches
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet

# Sides grow by this part of the full size at a time: convolutions are set up anew for each size. The last part is a
# jump: seven eighths of the side are 77 % of the pixels, so hardly cheaper.
GROWTH = 1 / 8
LARGEST_EARLY = 3 / 4


@dataclass(frozen=True)
class TrainingBatch:
    """Pixels (n, C, H, W) and targets of a step: int64 (n,), or float32 (n, classes) of several labels or of mixing.

    n is this process's share of `images`, the images of the whole batch. A process without a share of a small batch has
    n = 0, and pixels (0, C, H, W) that are neither augmented nor resized.
    """

    pixels: Tensor
    targets: Tensor
    images: int


@dataclass(frozen=True)
class TrainingBatches:
    """The batches of a training, epoch by epoch: each image once in each.

    A last batch of one image is joined to the one before: batch normalization has no variance of one value.

    Args:
        image_set: the training images.
        batch_size, seed, device, normalization, augmentation: as in the recipe, with "auto" resolved.
        schedule_steps: how many steps the schedule has; 0: those of one epoch.
        place: `place(step)` is the place of a step in the schedule; None for the step itself. Step n of epoch e is step
            `e * len(batches) + n`.
        share: `share(images)` are the rows that this process trains on, of a batch of `images`; None for all.
        progressive_resize_start, progressive_resize_share: sides begin at `start` of the full size and grow until
            `share` of the schedule's steps are done.

    Raises:
        DataError: a batch size below 1.
    """

    image_set: ImageSet
    _: KW_ONLY
    batch_size: int
    seed: int
    augmentation: Augmentation
    normalization: Normalization
    device: torch.device | str = "cpu"
    schedule_steps: int = 0
    place: Callable[[int], float] | None = None
    share: Callable[[int], slice] | None = None
    progressive_resize_start: float = 1.0
    progressive_resize_share: float = 0.0

    def __len__(self) -> int:
        return steps_of_epoch(self.image_set, self.batch_size)

    def epoch(self, epoch: int) -> Generator[TrainingBatch]:
        """Yield the batches of an epoch, counted from 0; close the generator to end the threads that decode."""
        batches = self._plain(epoch)
        with closing(iter(batches)) as source:
            for step, (pixels, targets, rows) in enumerate(source):
                images = batches.size_of(step)
                if not len(pixels):
                    yield TrainingBatch(pixels, targets, images)
                    continue
                start = 0 if self.share is None else self.share(images).start
                part = BatchPart(start=start, total=images)
                generator = generator_for(self.seed, epoch, step, device=pixels.device)
                mirrored = None if self._alternating is None else self._alternating.mirrored(rows, epoch)
                pixels = augment(pixels, self.augmentation, generator=generator, part=part, mirrored=mirrored)
                pixels, targets = mix(pixels, targets, self.augmentation.mixing, generator=generator, part=part)
                # Steps are counted by place: a resumed run with more epochs goes on at its place in the new schedule.
                number = epoch * len(batches) + step
                place = number if self.place is None else self.place(number)
                pixels = self._resized(pixels, place=place, steps=self.schedule_steps or len(batches))
                yield TrainingBatch(pixels, targets, images)

    def first(self) -> TrainingBatch:
        """Return the batch of the first step; a stream reads no more than that."""
        with closing(self.epoch(0)) as batches:
            return next(batches)

    @cached_property
    def _alternating(self) -> AlternatingFlip | None:
        if not self.augmentation.flip or self.augmentation.flip_mode == "random":
            return None
        return AlternatingFlip(len(self.image_set), seed=self.seed, device=self.device)

    def _plain(self, epoch: int) -> Batches:
        """Return the epoch's batches as decoded: in order, on the device, normalised, without augmentation."""
        return Batches(
            self.image_set,
            batch_size=self.batch_size,
            shuffle=True,
            seed=self.seed,
            epoch=epoch,
            device=self.device,
            normalization=self.normalization,
            join_single=True,
            share=self.share,
        )

    def _resized(self, pixels: Tensor, *, place: float, steps: int) -> Tensor:
        early = self.progressive_resize_share * steps
        if place >= early:
            return pixels
        height, width = pixels.shape[2:]
        return scaled_down(pixels, early_size((height, width), self.progressive_resize_start, place / early))


def steps_of_epoch(image_set: ImageSet, batch_size: int) -> int:
    """Return how many batches an epoch of training has."""
    return len(Batches(image_set, batch_size=batch_size, join_single=True))


def side_shares(start: float, share: float) -> tuple[tuple[float, float], ...]:
    """Return the parts of a schedule with progressive resizing: (share of the steps from which it holds, side).

    A side is a share of the full one; the arguments are those of `TrainingBatches`.

    >>> [(round(done, 3), side) for done, side in side_shares(0.5, 0.6)]
    [(0.0, 0.5), (0.2, 0.625), (0.4, 0.75), (0.6, 1.0)]
    >>> side_shares(1.0, 0.5), side_shares(0.5, 0.0)
    (((0.0, 1.0),), ((0.0, 1.0),))
    """
    if start >= 1 or not share:
        return ((0.0, 1.0),)
    times = _times_grown(start)
    early = ((share * number / (times + 1), start + GROWTH * number) for number in range(times + 1))
    return (*early, (share, 1.0))


def early_size(size: tuple[int, int], start: float, done: float = 0.0) -> tuple[int, int]:
    """Return (height, width) of images after a share `done` (0 to 1) of the steps with progressive resizing.

    Sides begin at `start` of the full size and grow to three quarters at most, an eighth of the full size at a time,
    each for as many steps; then comes the full size (Howard, fast.ai's entry to DAWNBench, 2018).

    >>> [early_size((32, 48), 0.5, done)[0] for done in (0, 0.3, 0.4, 0.6, 0.7, 1)]
    [16, 16, 20, 20, 24, 24]
    """
    times = _times_grown(start)
    part = start + GROWTH * min(times, int(done * (times + 1) + 1e-9))
    height, width = (max(1, round(side * part)) for side in size)
    return height, width


def _times_grown(start: float) -> int:
    return int(max(0.0, LARGEST_EARLY - start) / GROWTH + 1e-9)


def scaled_down(batch: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the batch (N, C, H, W) at (height, width), bilinear, each pixel the mean of all that it covers."""
    if tuple(batch.shape[2:]) == size:
        return batch
    return functional.interpolate(batch, size=size, mode="bilinear", antialias=True, align_corners=False)
