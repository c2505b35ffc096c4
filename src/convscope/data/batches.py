"""uint8 images become normalised float batches on a device, in an order decided by (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import KW_ONLY, dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.data.streamed import Streamed
from convscope.errors import DataError

# Images looked at for the mean and standard deviation: more would change neither in the third digit.
STATISTICS_SAMPLE = 10_000


def measure_normalization(images: ImageSet) -> Normalization:
    """Return the mean and standard deviation of each channel over (at most 10,000 evenly spaced) images.

    A channel that never changes gets a standard deviation of 1, so that normalising it gives 0 and not NaN.
    """
    if not len(images):
        raise DataError("no images to measure the mean and standard deviation of")
    step = max(1, -(-len(images) // STATISTICS_SAMPLE))
    rows = np.arange(0, len(images), step)
    channels = images.images.shape[3]
    total = np.zeros(channels)
    squares = np.zeros(channels)
    count = 0
    for start in range(0, len(rows), 256):
        # Summed over the images first and then over the places, which is quick; in whole numbers, which are exact.
        values = images.images[rows[start : start + 256]]
        total += values.sum(0, dtype=np.uint32).sum((0, 1), dtype=np.int64)
        squares += np.square(values, dtype=np.uint16).sum(0, dtype=np.uint32).sum((0, 1), dtype=np.int64)
        count += values.size // channels
    mean = total / (255 * count)
    std = np.sqrt(np.maximum(squares / (255**2 * count) - mean**2, 0))
    std[std < 1e-4] = 1.0
    return Normalization(tuple(float(x) for x in mean), tuple(float(x) for x in std))


@dataclass(frozen=True)
class Batches:
    """Iterates over (images, labels, indices): float32 (n, C, H, W), int64 (n,), int64 (n,).

    Where the image set has targets, they take the place of labels: float32 (n, classes) of 0 and 1.

    Images are scaled to 0..1 and, with a `normalization`, to mean 0 and deviation 1. They lie channels-last in memory.
    `indices` are the rows of the image set. Shuffled, the order depends on (seed, epoch) alone: use
    `dataclasses.replace(batches, epoch=n)` for the next one. Every row comes exactly once; with `join_single`, a last
    batch of one image is joined to the one before it. With a `share`, of each batch's images only the rows
    `share(images)` are read: one process's part of it, which may be empty. Raises DataError for a batch size below 1.
    """

    image_set: ImageSet
    _: KW_ONLY
    batch_size: int
    shuffle: bool = False
    seed: int = 0
    epoch: int = 0
    device: torch.device | str = "cpu"
    normalization: Normalization | None = None
    join_single: bool = False
    share: Callable[[int], slice] | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise DataError(f"batch size {self.batch_size} must be at least 1")

    def __len__(self) -> int:
        whole, left_over = divmod(len(self.image_set), self.batch_size)
        joined = self.join_single and whole and left_over == 1
        return whole + int(left_over > 0 and not joined)

    def size_of(self, batch: int) -> int:
        """Return the number of images in a batch, whatever one process's share of them is."""
        before = batch * self.batch_size
        return len(self.image_set) - before if batch == len(self) - 1 else self.batch_size

    def order(self) -> npt.NDArray[np.int64]:
        """Return the rows of this epoch, in order."""
        if not self.shuffle:
            return np.arange(len(self.image_set))
        if isinstance(images := self.image_set.images, Streamed):
            return images.epoch_order(self.seed, self.epoch).learning
        return np.random.default_rng([self.seed, self.epoch]).permutation(len(self.image_set))

    def __iter__(self) -> Generator[tuple[Tensor, Tensor, Tensor]]:
        targets = self.image_set.targets
        for pixels, rows in self._read():
            images = to_floats(pixels, self.normalization, device=self.device)
            answers = self.image_set.labels[rows] if targets is None else targets[rows].astype(np.float32)
            labels = to_device(torch.from_numpy(answers), self.device)
            yield images, labels, torch.from_numpy(rows)

    def _read(self) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]:
        """Yield each batch's pixels (n, H, W, C) and rows; a stream is read ahead."""
        order, images = self.order(), self.image_set.images
        starts = [batch * self.batch_size for batch in range(len(self))]
        parts = [order[start : start + self.size_of(batch)] for batch, start in enumerate(starts)]
        if self.share is not None:
            parts = [rows[self.share(len(rows))] for rows in parts]
        if isinstance(images, Streamed):
            reading = images.epoch_order(self.seed, self.epoch).reading if self.shuffle else order
            yield from images.read(parts, reading)
        else:
            yield from ((images[rows], rows) for rows in parts)


def to_floats(
    images: npt.NDArray[np.uint8], normalization: Normalization | None, *, device: torch.device | str = "cpu"
) -> Tensor:
    """Return uint8 (N, H, W, C) as float32 (N, C, H, W), 0..1 or normalised, channels-last in memory."""
    # Bytes are copied to the device, a quarter of the floats, which are made there.
    owned = np.require(images, requirements=["C", "W"])
    pixels = to_device(torch.from_numpy(owned), device).permute(0, 3, 1, 2)
    floats = pixels.to(torch.float32)
    if normalization is None:
        return floats.div_(255)
    mean, std = to_device(torch.tensor([normalization.mean, normalization.std]).mul_(255), device)[
        :, None, :, None, None
    ]
    return floats.sub_(mean).div_(std)


def to_device(values: Tensor, device: torch.device | str) -> Tensor:
    """Copy the values to a device; to a GPU asynchronously, through pinned memory."""
    if torch.device(device).type != "cuda" or values.is_cuda:
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
