"""All rows of a listing decoded at once, on every core, into the cache or into memory.

Threads, not processes: simplejpeg and Pillow let go of the interpreter's lock while they decode and resize, and
threads start at once, need no copy of the images and no guard around the user's main module.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from convscope.data.cache import NewEntry, Outcome, checksum, entry_key, open_entry
from convscope.data.listing import Listing
from convscope.data.records import Decoding, Pixels, Progress
from convscope.data.sniff import Unreadable

# Rows that one task decodes: enough to hide the cost of handing it out, few enough for a progress bar that moves.
TASK_ROWS = 64
TASK_BYTES = 16 * 2**20
MOST_THREADS = 32


@dataclass(frozen=True)
class Decoded:
    """Every row's pixels, uint8 (N, H, W, C), and what was found on the way."""

    pixels: Pixels
    outcome: Outcome
    hit: bool
    path: Path | None
    seconds: float


def decode_rows(listing: Listing, decoding: Decoding, *, directory: Path, progress: Progress) -> Decoded:
    """Open the listing's cache entry, or decode its rows and make it; raises DataError where the disk won't have it."""
    began = time.perf_counter()
    shape = (len(listing.labels), *decoding.image_shape)
    if listing.identity is None:
        pixels = np.zeros(shape, np.uint8)
        checksums = np.zeros(len(pixels), np.uint32)

        def store(first_row: int, block: Pixels) -> None:
            pixels[first_row : first_row + len(block)] = block
            checksums[first_row : first_row + len(block)] = [checksum(row) for row in block]

        outcome = _decode_all(listing, decoding, store, progress)
        outcome.same = _equal_rows(pixels, checksums, outcome.bad)
        return Decoded(pixels, outcome, hit=False, path=None, seconds=time.perf_counter() - began)

    key = entry_key(listing.identity, decoding)
    entry = open_entry(directory, key, shape)
    hit = entry is not None
    if entry is None:
        with NewEntry(directory, key, shape) as new:
            outcome = _decode_all(listing, decoding, new.write, progress)
            outcome.same = _equal_rows(new.pixels(), new.checksums, outcome.bad)
            entry = new.keep(outcome, source=listing.source, decoding=decoding)
    return Decoded(entry.pixels, entry.outcome, hit=hit, path=entry.path, seconds=time.perf_counter() - began)


def _decode_all(
    listing: Listing, decoding: Decoding, store: Callable[[int, Pixels], None], progress: Progress
) -> Outcome:
    """Decode every row and store it, block by block; an interrupt or a full disk stops all threads."""
    count = len(listing.labels)
    what = "decoding images"
    outcome = Outcome()
    remarks: Counter[str] = Counter()
    stopped = threading.Event()

    def decode_block(first: int, last: int) -> tuple[int, dict[int, str], Counter[str]]:
        block = np.zeros((last - first, *decoding.image_shape), np.uint8)
        bad: dict[int, str] = {}
        said: Counter[str] = Counter()
        for row in range(first, last):
            if stopped.is_set():
                break
            try:
                block[row - first], remark = listing.read(row, decoding)
            except Unreadable as reason:
                bad[row] = str(reason)
            else:
                if remark is not None:
                    said[remark] += 1
        store(first, block)
        return last - first, bad, said

    rows = max(1, min(TASK_ROWS, TASK_BYTES // int(np.prod(decoding.image_shape))))
    progress(0, count, what)
    done = 0
    # Pillow's warnings (odd metadata, mostly) are not for the user. The filter is process-wide: it is set once, here.
    with warnings.catch_warnings(), ThreadPoolExecutor(_threads(), "convscope-decode") as pool:
        warnings.simplefilter("ignore")
        tasks = [pool.submit(decode_block, first, min(first + rows, count)) for first in range(0, count, rows)]
        try:
            for task in as_completed(tasks):
                size, bad, said = task.result()
                done += size
                outcome.bad.update(bad)
                remarks.update(said)
                progress(done, count, what)
        except BaseException:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise
    outcome.bad = dict(sorted(outcome.bad.items()))
    outcome.remarks = dict(sorted(remarks.items()))
    return outcome


def _threads() -> int:
    """One thread for each core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_THREADS)


def _equal_rows(pixels: Pixels, checksums: npt.NDArray[np.uint32], bad: dict[int, str]) -> list[tuple[int, int]]:
    """(row, first row with the same pixels), for every row that has the pixels of an earlier one."""
    good = np.ones(len(pixels), bool)
    good[list(bad)] = False
    rows = np.flatnonzero(good)
    order = rows[np.argsort(checksums[rows], kind="stable")]
    alike = np.flatnonzero(checksums[order[1:]] == checksums[order[:-1]])
    same: list[tuple[int, int]] = []
    firsts: list[int] = []
    previous = -2
    for place in alike.tolist():
        if place != previous + 1:
            # A new run of equal checksums; equal checksums are not yet equal pixels.
            firsts = [int(order[place])]
        previous = place
        row = int(order[place + 1])
        twin = next((first for first in firsts if np.array_equal(pixels[first], pixels[row])), None)
        if twin is None:
            firsts.append(row)
        else:
            same.append((row, twin))
    return sorted(same)
