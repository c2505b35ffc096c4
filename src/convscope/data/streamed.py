"""Images that are decoded when they are read and not cached, for data sets too large to store decoded.

They have the interface of an array of pixels. An epoch uses `read`: threads decode in the order of the images in their
archives, a few batches ahead of training.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from convscope.api.warning_filters import warnings_ignored
from convscope.data.listing import Listing
from convscope.data.pixels.build import rows_of_a_task, threads_that_pay
from convscope.data.records import Decoding, Labels, Pixels, Problem
from convscope.errors import DataError
from convscope.files.regular import UnreadableError

# The window that images are shuffled in: a number of images, or fewer where those exceed a number of bytes.
WINDOW_IMAGES = 10_000
WINDOW_BYTES = 2**30
# Batches that are decoded before they are asked for.
AHEAD = 3
# Unreadable images in a row, across batches, beyond which a batch without any readable image is an error.
MOST_LOST = 4

_Read = list[tuple[int, Pixels | str]]


def window_of(decoding: Decoding) -> int:
    """Return the size of the shuffle buffer for archives, in images.

    >>> window_of(Decoding(size=(32, 32))), window_of(Decoding(size=(224, 224)))
    (10000, 7133)
    """
    return max(1, min(WINDOW_IMAGES, WINDOW_BYTES // int(np.prod(decoding.image_shape))))


def held_bytes(listing: Listing, decoding: Decoding, batch_size: int) -> int:
    """Return the most bytes of decoded images held in an epoch: the shuffle buffer and the batches ahead."""
    window = 0 if listing.archives is None else window_of(decoding)
    return min(window + AHEAD * batch_size, len(listing.labels)) * int(np.prod(decoding.image_shape))


@dataclass(frozen=True, eq=False)
class Streamed:
    """Some rows of a listing as uint8 (N, H, W, C), decoded when they are read.

    An image that can't be read is added to `lost` with the reason, and replaced in its batch by the next one, so that a
    batch keeps its size; with `strict` it raises DataError. `processes` share this machine's cores.
    """

    listing: Listing = field(repr=False)
    decoding: Decoding
    rows: Labels = field(repr=False)
    _: KW_ONLY
    strict: bool = False
    processes: int = 1
    lost: dict[int, str] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (N, H, W, C)."""
        return (len(self.rows), *self.decoding.image_shape)

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Always uint8."""
        return np.dtype(np.uint8)

    @property
    def window(self) -> int:
        """The size of the shuffle buffer: all images, except for archives, which are read sequentially.

        For archives it depends on the images' size alone, so that every machine has the same order.
        """
        return len(self) if self.listing.archives is None else window_of(self.decoding)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The images that could not be read so far, with the reasons."""
        return tuple(
            Problem(self.listing.names[row], f"{reason} (replaced by another image)")
            for row, reason in self.lost.items()
        )

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> Pixels: ...
    @overload
    def __getitem__(self, index: slice | npt.NDArray[Any] | Sequence[int]) -> Pixels: ...
    def __getitem__(self, index: Any) -> Pixels:
        """Return one image (H, W, C) for an integer; (n, H, W, C) for a slice or an array of indices."""
        picked = np.arange(len(self))[index]
        pixels, _ = next(self.read([np.atleast_1d(picked)], np.arange(len(self))))
        return pixels if np.ndim(picked) else pixels[0]

    def part(self, rows: slice) -> Streamed:
        """Return some of the rows; they share `lost` with the whole."""
        return replace(self, rows=self.rows[rows])

    def epoch_order(self, seed: int, epoch: int) -> EpochOrder:
        """Return the order of an epoch."""
        archives = self.rows if self.listing.archives is None else self.listing.archives[self.rows]
        return draw_epoch_order(archives, self.window, seed=seed, epoch=epoch)

    def read(self, batches: Sequence[Labels], reading: Labels) -> Iterator[tuple[Pixels, Labels]]:
        """Yield each batch's pixels, and the indices of the images that they show: the batch's own if all can be read.

        The images of the batches are decoded in the order of `reading`, which holds every index, a few batches ahead.
        Only images between their positions in both orders are held.
        """
        wanted = np.zeros(len(self), bool)
        for batch in batches:
            wanted[batch] = True
        sequence = reading[wanted[reading]]
        place = np.zeros(len(self), np.int64)
        place[sequence] = np.arange(1, len(sequence) + 1)
        # The length of the sequence that must have been read before each batch is complete.
        needed = np.maximum.accumulate([int(place[batch].max(initial=0)) for batch in batches])
        waiting: dict[int, Pixels | str] = {}
        spare: tuple[int, Pixels] | None = None
        lost_since: list[int] = []
        for number, _ in enumerate(self._read_ahead(sequence, needed, waiting)):
            pixels, rows, spare = self._gathered(batches[number], waiting, spare, lost_since)
            yield pixels, rows

    def _read_ahead(self, sequence: Labels, needed: Labels, waiting: dict[int, Pixels | str]) -> Iterator[None]:
        """Yield once for each batch, when all of its images are in `waiting`."""
        size = rows_of_a_task(self.decoding)
        stopped = threading.Event()
        tasks: deque[Future[_Read]] = deque()
        asked = there = 0
        pool = ThreadPoolExecutor(self._threads, "convscope-stream")
        try:
            for number, until in enumerate(needed):
                while asked < needed[min(number + AHEAD, len(needed) - 1)]:
                    rows = sequence[asked : asked + size]
                    tasks.append(pool.submit(self._decode, rows, stopped))
                    asked += len(rows)
                while there < until:
                    found = tasks.popleft().result()
                    waiting.update(found)
                    there += len(found)
                yield
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)

    @cached_property
    def _threads(self) -> int:
        return max(1, threads_that_pay(self.listing, self.decoding) // self.processes)

    def _decode(self, indices: Labels, stopped: threading.Event) -> _Read:
        """Return the pixels of some images, or for each the reason why it can't be read."""
        found: _Read = []
        with warnings_ignored():
            for index, row in zip(indices.tolist(), self.rows[indices].tolist(), strict=True):
                if stopped.is_set():
                    break
                try:
                    found.append((index, self.listing.read(row, self.decoding)[0]))
                except UnreadableError as reason:
                    found.append((index, str(reason)))
        return found

    def _gathered(
        self,
        batch: Labels,
        waiting: dict[int, Pixels | str],
        spare: tuple[int, Pixels] | None,
        lost_since: list[int],
    ) -> tuple[Pixels, Labels, tuple[int, Pixels] | None]:
        """Return a batch of decoded images, the indices that it shows, and an image to replace later unreadable ones.

        `waiting` holds decoded pixels, or the reason why there are none, by index; those of the batch are removed.
        `lost_since` holds the indices lost since the last readable image, and is updated.
        """
        block = np.empty((len(batch), *self.decoding.image_shape), np.uint8)
        shown = batch.copy()
        lost: list[int] = []
        for place, index in enumerate(batch.tolist()):
            found = waiting[index]
            if isinstance(found, str):
                self._lose(index, found)
                lost.append(place)
                lost_since.append(index)
            else:
                block[place] = found
                lost_since.clear()
        for index in batch.tolist():
            waiting.pop(index, None)
        # A batch keeps its size, on which the number of steps and a compiled step depend: an unreadable image is
        # replaced by the next readable one of its batch, or else the batch's first, or, where all are lost, by the last
        # readable one before it (`spare`). `shown` holds the indices of what stands there, so labels stay with pixels.
        # `spare` is a copy: as a part of `block` it would keep a whole batch in memory.
        good = np.setdiff1d(np.arange(len(batch)), lost)
        if len(lost_since) > MOST_LOST and lost and not len(good):
            row = int(self.rows[lost_since[0]])
            raise DataError(
                f"none of {len(lost_since)} images in a row can be read; the first is {self.listing.names[row]}: "
                f"{self.lost[row]}"
            )
        if len(good):
            spare = (int(batch[good[-1]]), block[good[-1]].copy())
        for place in lost:
            after = good[good > place]
            if len(good):
                other = int(after[0] if len(after) else good[0])
                block[place], shown[place] = block[other], batch[other]
            elif spare is not None:
                shown[place], block[place] = spare
            else:
                row = int(self.rows[batch[place]])
                raise DataError(f"{self.listing.names[row]}: {self.lost[row]}")
        return block, shown, spare

    def _lose(self, index: int, reason: str) -> None:
        row = int(self.rows[index])
        if self.strict:
            raise DataError(f"an image can't be read (strict): {self.listing.names[row]}: {reason}")
        self.lost.setdefault(row, reason)


@dataclass(frozen=True)
class EpochOrder:
    """The order in which rows are read, and that in which they are used; both hold every row once."""

    reading: Labels
    learning: Labels


def draw_epoch_order(archives: Labels, window: int, *, seed: int, epoch: int) -> EpochOrder:
    """Draw the order of an epoch; row i is in archive `archives[i]`, `window` is the buffer's size in images.

    If all rows fit into the buffer they are shuffled as a whole, as images in memory are.

    >>> epoch_order = draw_epoch_order(np.array([0, 0, 0, 0, 1, 1, 1, 1]), 3, seed=4, epoch=0)
    >>> epoch_order.reading.tolist(), epoch_order.learning.tolist()
    ([4, 5, 6, 7, 0, 1, 2, 3], [4, 6, 5, 7, 0, 2, 1, 3])
    """
    draw = np.random.default_rng([seed, epoch])
    rows = len(archives)
    if rows <= window:
        order = draw.permutation(rows)
        return EpochOrder(order, order)
    found, number_of = np.unique(archives, return_inverse=True)
    reading = np.argsort(draw.permutation(len(found))[number_of], kind="stable")
    # Sorted by "its place and up to a window's length more", no image moves by a window or further.
    leaving = np.arange(rows) + window * draw.random(rows)
    return EpochOrder(reading, reading[np.argsort(leaving, kind="stable")])
