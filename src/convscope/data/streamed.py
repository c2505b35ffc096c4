"""Images that are decoded whenever they are asked for and kept nowhere, for what is too large to lie decoded on a disk.

They stand in the place of an array of pixels, so a sample of them is read as any other. An epoch goes through `read`:
threads decode in the order in which the images lie in their archives, a few batches ahead of what is learned from.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from convscope.data.epoch_order import EpochOrder, draw_epoch_order
from convscope.data.listing import Listing
from convscope.data.pixels.build import rows_of_a_task, threads_that_pay
from convscope.data.records import Decoding, Labels, Pixels, Problem
from convscope.errors import DataError
from convscope.files.regular import UnreadableError

# The window that images are shuffled in: so many of them, or fewer where that many take more than so many bytes.
WINDOW_IMAGES = 10_000
WINDOW_BYTES = 2**30
# Batches that are decoded before they are asked for.
AHEAD = 3
# Where no image of a batch can be read, more than so many in a row, those of batches before included, are no accident.
MOST_LOST = 4

_Read = list[tuple[int, Pixels | str]]


def window_of(decoding: Decoding) -> int:
    """How many images of archives wait at once to be learned from.

    >>> window_of(Decoding(size=(32, 32))), window_of(Decoding(size=(224, 224)))
    (10000, 7133)
    """
    return max(1, min(WINDOW_IMAGES, WINDOW_BYTES // int(np.prod(decoding.image_shape))))


def held_bytes(listing: Listing, decoding: Decoding, batch_size: int) -> int:
    """The most bytes of decoded images that an epoch holds at once: the window of archives, and the batches ahead."""
    window = 0 if listing.archives is None else window_of(decoding)
    return min(window + AHEAD * batch_size, len(listing.labels)) * int(np.prod(decoding.image_shape))


@contextmanager
def _pillow_unheard() -> Iterator[None]:
    """Pillow's warnings (odd metadata, mostly) are not for the user, in whatever thread.

    Only this one filter is taken back at the end: others may have set some of their own between two batches.
    """
    warnings.filterwarnings("ignore", module=r"PIL\b")
    own = warnings.filters[0]
    try:
        yield
    finally:
        warnings.filters = [kept for kept in warnings.filters if kept is not own]


@dataclass(frozen=True, eq=False)
class Streamed:
    """Some rows of a listing as uint8 (N, H, W, C), decoded when they are asked for.

    An image that can't be read is kept in `lost` with the reason, and in its batch the next one stands in for it, so
    that a batch keeps its size; with `strict` it raises DataError. `processes` share this machine's cores.
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
        """(N, H, W, C)."""
        return (len(self.rows), *self.decoding.image_shape)

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Always uint8."""
        return np.dtype(np.uint8)

    @property
    def window(self) -> int:
        """How many images an epoch is shuffled within: all, but for those in archives, which are read in a row.

        There it is decided by the images' size alone, so that every machine agrees.
        """
        return len(self) if self.listing.archives is None else window_of(self.decoding)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The images that could not be read so far."""
        return tuple(
            Problem(self.listing.names[row], f"{reason} (another image stands in for it)")
            for row, reason in self.lost.items()
        )

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> Pixels: ...
    @overload
    def __getitem__(self, index: slice | npt.NDArray[Any] | Sequence[int]) -> Pixels: ...
    def __getitem__(self, index: Any) -> Pixels:
        """One image (H, W, C) for an integer; (n, H, W, C) for a slice or an array of indices."""
        picked = np.arange(len(self))[index]
        pixels, _ = next(self.read([np.atleast_1d(picked)], np.arange(len(self))))
        return pixels if np.ndim(picked) else pixels[0]

    def part(self, rows: slice) -> Streamed:
        """Some of the rows; what is lost in them is lost in the whole."""
        return replace(self, rows=self.rows[rows])

    def epoch_order(self, seed: int, epoch: int) -> EpochOrder:
        """The order of an epoch."""
        archives = self.rows if self.listing.archives is None else self.listing.archives[self.rows]
        return draw_epoch_order(archives, self.window, seed=seed, epoch=epoch)

    def read(self, batches: Sequence[Labels], reading: Labels) -> Iterator[tuple[Pixels, Labels]]:
        """Each batch's pixels, and the indices of the images that they show: the batch's own, where all can be read.

        Of `reading`, which holds every index that occurs, what some batch needs is decoded in this order; the next
        batches are, while this one is at work. No more is held than lies between their places in both orders.
        """
        wanted = np.zeros(len(self), bool)
        for batch in batches:
            wanted[batch] = True
        sequence = reading[wanted[reading]]
        place = np.zeros(len(self), np.int64)
        place[sequence] = np.arange(1, len(sequence) + 1)
        # So much of the sequence must have been read before a batch is whole.
        needed = np.maximum.accumulate([int(place[batch].max(initial=0)) for batch in batches])
        waiting: dict[int, Pixels | str] = {}
        spare: tuple[int, Pixels] | None = None
        lost_since: list[int] = []
        for number, _ in enumerate(self._read_ahead(sequence, needed, waiting)):
            pixels, rows, spare = self._gathered(batches[number], waiting, spare, lost_since)
            yield pixels, rows

    def _read_ahead(self, sequence: Labels, needed: Labels, waiting: dict[int, Pixels | str]) -> Iterator[None]:
        """For each batch, when all that it needs has been put into `waiting`."""
        size = rows_of_a_task(self.decoding)
        stopped = threading.Event()
        tasks: deque[Future[_Read]] = deque()
        asked = there = 0
        with _pillow_unheard():
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
        """The pixels of some images, or the reason why there are none."""
        found: _Read = []
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
        """A batch out of what waits, the indices that it shows, and an image to stand in where a later one has none.

        `lost_since` holds the indices that were lost since the last image that could be read; it is brought up to date.
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
        good = np.setdiff1d(np.arange(len(batch)), lost)
        if len(lost_since) > MOST_LOST and not len(good):
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
