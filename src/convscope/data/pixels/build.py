"""Decode all rows of a listing, on as many threads as are faster, into the cache or into memory.

Threads, not processes: simplejpeg and Pillow release the interpreter's lock while they decode and resize, and threads
start at once, need no copy of the images and no guard around the user's main module. For images of a few
thousand pixels handing the lock over costs more than it gains: there one thread alone is the fastest (CIFAR's JPEGs on
two busy cores: one thread 34,000 to 38,000 images/s, two threads 21,000 to 34,000). So a few images are timed first.
"""

from __future__ import annotations

import contextlib
import os
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from convscope.api.warning_filters import warnings_ignored
from convscope.data.listing import Listing
from convscope.data.pixels.cache import (
    CacheEntry,
    DecodeOutcome,
    NewEntry,
    checksum,
    entry_key,
    open_entry,
    remove_entry,
)
from convscope.data.pixels.cache_budget import cache_limit
from convscope.data.records import Decoding, Labels, Pixels
from convscope.files.regular import UnreadableError, is_folder
from convscope.report.progress import Progress

# Rows that one task decodes: enough to hide the cost of handing it out, few enough for a progress bar that moves.
TASK_ROWS = 64
TASK_BYTES = 16 * 2**20
MOST_THREADS = 32
# An image holds the interpreter's lock for some 15 microseconds; with less than this for each thread they queue for it.
SECONDS_FOR_A_THREAD = 30e-6
TIMED_ROWS = 32
# Beside decoding, an image is hashed, compared with others and written.
SECONDS_TO_KEEP = 20e-6
# Number of files that are read again and compared, of images that are found decoded.
COMPARED_ROWS = 64
COMPARED_AT_ONCE = 1024
TIMED_SECONDS = 0.5
SAMPLE_THREADS = 8

# Digests of what rows were decoded from, uint32 (rows,).
Digests: TypeAlias = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Decoded:
    """The pixels of every row, uint8 (N, H, W, C), and the remarks and problems of decoding."""

    pixels: Pixels
    outcome: DecodeOutcome
    hit: bool
    path: Path | None
    # Of what was found decoded: how many files were read again, and the rows of those that had changed.
    compared: int = 0
    changed: tuple[int, ...] = ()


def decode_rows(listing: Listing, decoding: Decoding, *, directory: Path, progress: Progress, verify: bool) -> Decoded:
    """Open the listing's cache entry, or decode its rows and write it; raises DataError if there is no room.

    An entry is found by its files' sizes and times. A few files, or with `verify` all, are compared with the digests
    in the entry, which is made anew where one has changed all the same.
    """
    shape = (len(listing.labels), *decoding.image_shape)
    if listing.identity is None:
        pixels = np.zeros(shape, np.uint8)
        checksums = np.zeros(len(pixels), np.uint32)

        def store(first_row: int, block: Pixels, _: Digests) -> None:
            pixels[first_row : first_row + len(block)] = block
            checksums[first_row : first_row + len(block)] = [checksum(row) for row in block]

        outcome = _decode_all(listing, decoding, store, progress)
        outcome.same = _equal_rows(pixels, checksums, outcome.bad)
        return Decoded(pixels, outcome, hit=False, path=None)

    cache_limit()  # a setting that is no number is said also where nothing is to be written
    key = entry_key(listing.identity, decoding)
    entry = open_entry(directory, key, shape)
    compared, changed = ([], []) if entry is None else _changed_rows(listing, entry, verify=verify, progress=progress)
    if entry is not None and changed:
        remove_entry(entry.path)
        entry = None
    hit = entry is not None
    if entry is None:
        with NewEntry(directory, key, shape) as new:
            outcome = _decode_all(listing, decoding, new.write, progress)
            outcome.same = _equal_rows(new.pixels(), new.checksums, outcome.bad)
            # Another layout reads the folders in another order: those of cross-validation take turns.
            part = f"{listing.which}#{listing.layout}"
            entry = new.keep(outcome, source=listing.source, part=part, decoding=decoding)
    return Decoded(
        entry.pixels,
        entry.outcome,
        hit=hit,
        path=entry.path,
        compared=len(compared),
        changed=tuple(changed),
    )


def _changed_rows(
    listing: Listing, entry: CacheEntry, *, verify: bool, progress: Progress
) -> tuple[list[int], list[int]]:
    """Return the rows that were read again, and those of them whose content has changed."""
    count = len(listing.labels)
    if verify:
        rows = list(range(count))
    elif listing.read.reads_single_rows:
        # Others each time, so that a change is found sooner or later.
        rows = sorted(random.SystemRandom().sample(range(count), min(COMPARED_ROWS, count)))
    else:
        rows = []
    changed: list[int] = []
    what = "comparing files with what was decoded"
    threads = _cores() if verify else 1
    with ThreadPoolExecutor(threads, "convscope-compare") as pool:
        for start in range(0, len(rows), COMPARED_AT_ONCE):
            some = rows[start : start + COMPARED_AT_ONCE]
            digests = pool.map(lambda row: _digest(listing, row), some)
            changed += [row for row, digest in zip(some, digests, strict=True) if digest != int(entry.digests[row])]
            if verify:
                progress(start + len(some), count, what)
    return rows, changed


def _digest(listing: Listing, row: int) -> int:
    """Return the digest of a row's encoded content, 0 if it can't be read."""
    try:
        return listing.read.digest(row)
    except UnreadableError:
        return 0


def _decode_all(
    listing: Listing, decoding: Decoding, store: Callable[[int, Pixels, Digests], None], progress: Progress
) -> DecodeOutcome:
    """Decode every row and store it, block by block; an interrupt or a full disk stops all threads."""
    count = len(listing.labels)
    what = "decoding images"
    outcome = DecodeOutcome()
    remarks: Counter[str] = Counter()
    stopped = threading.Event()

    def decode_block(first: int, last: int) -> tuple[int, dict[int, str], Counter[str]]:
        block = np.zeros((last - first, *decoding.image_shape), np.uint8)
        digests = np.zeros(last - first, np.uint32)
        bad: dict[int, str] = {}
        said: Counter[str] = Counter()
        for row in range(first, last):
            if stopped.is_set():
                break
            try:
                image = listing.read(row, decoding)
            except UnreadableError as reason:
                bad[row] = str(reason)
                digests[row - first] = _digest(listing, row)
            else:
                block[row - first], digests[row - first] = image.pixels, image.digest
                if image.remark is not None:
                    said[image.remark] += 1
        store(first, block, digests)
        return last - first, bad, said

    rows = rows_of_a_task(decoding)
    progress(0, count, what)
    done = 0
    # Pillow's warnings (odd metadata, mostly) are not for the user.
    with warnings_ignored():
        threads = threads_that_pay(listing, decoding)
        pool = ThreadPoolExecutor(threads, "convscope-decode")
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
            raise
        finally:
            pool.shutdown(cancel_futures=True)
    outcome.bad = dict(sorted(outcome.bad.items()))
    outcome.remarks = dict(sorted(remarks.items()))
    return outcome


def rows_of_a_task(decoding: Decoding) -> int:
    """Return the number of images that one task decodes."""
    return max(1, min(TASK_ROWS, TASK_BYTES // int(np.prod(decoding.image_shape))))


def threads_that_pay(listing: Listing, decoding: Decoding) -> int:
    """Return the number of threads that decode these images fastest, by timing a few images."""
    return _threads(_typical_seconds(listing, decoding))


def seconds_to_decode(listing: Listing, decoding: Decoding, *, directory: Path) -> float:
    """Return about how long decoding a listing takes, by timing a few images; 0 where the cache has them."""
    if listing.identity is not None and is_folder(directory / entry_key(listing.identity, decoding)):
        return 0.0
    each = _typical_seconds(listing, decoding)
    return len(listing.labels) * (each / _threads(each) + SECONDS_TO_KEEP)


def _threads(seconds: float) -> int:
    """Return the number of threads for this decoding time of an image, at most the cores that this process may use."""
    return max(1, min(_cores(), MOST_THREADS, int(seconds / SECONDS_FOR_A_THREAD)))


def _cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _typical_seconds(listing: Listing, decoding: Decoding) -> float:
    """Return the median time of reading and decoding an image, in seconds, over a few rows evenly spaced."""
    count = len(listing.labels)
    times: list[float] = []
    for row in range(0, count, max(1, count // TIMED_ROWS)):
        began = time.perf_counter()
        with contextlib.suppress(UnreadableError):
            listing.read(row, decoding)
            times.append(time.perf_counter() - began)
        if sum(times) > TIMED_SECONDS:
            break
    return statistics.median(times) if times else 0.0


def _equal_rows(pixels: Pixels, checksums: npt.NDArray[np.uint32], bad: dict[int, str]) -> list[tuple[int, int]]:
    """Return (row, first row with the same pixels) for every row that duplicates an earlier one."""
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


def read_rows(listing: Listing, rows: Labels, decoding: Decoding) -> tuple[Pixels, Labels]:
    """Decode some rows of a listing: pixels, uint8 (n, H, W, C), and the rows (n,) that they show, in the order asked.

    Rows that can't be read are left out. Nothing is written to the cache.
    """

    def read(row: int) -> Pixels | None:
        try:
            return listing.read(row, decoding)[0]
        except UnreadableError:
            return None

    threads = min(SAMPLE_THREADS, os.cpu_count() or 1)
    with warnings_ignored(), ThreadPoolExecutor(threads, "convscope-sample") as pool:
        found = list(pool.map(read, rows.tolist()))
    readable = np.array([pixels is not None for pixels in found], bool)
    block = np.empty((int(readable.sum()), *decoding.image_shape), np.uint8)
    for place, pixels in enumerate(pixels for pixels in found if pixels is not None):
        block[place] = pixels
    return block, rows[readable]
