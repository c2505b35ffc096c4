"""Decode a sample of rows into memory, for settings that are resolved before all rows are decoded."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from convscope.data.listing import Listing
from convscope.data.records import Decoding, Labels, Pixels
from convscope.files.regular import UnreadableError

MOST_THREADS = 8


def read_rows(listing: Listing, rows: Labels, decoding: Decoding) -> tuple[Pixels, Labels]:
    """Decode some rows of a listing: pixels, uint8 (n, H, W, C), and the rows (n,) that they show, in the order asked.

    Rows that can't be read are left out. Nothing is written to the cache.
    """

    def read(row: int) -> Pixels | None:
        try:
            return listing.read(row, decoding)[0]
        except UnreadableError:
            return None

    threads = min(MOST_THREADS, os.cpu_count() or 1)
    # Pillow's warnings are not for the user; the filter is process-wide, and so set outside of the threads.
    with warnings.catch_warnings(), ThreadPoolExecutor(threads, "convscope-sample") as pool:
        warnings.simplefilter("ignore")
        found = list(pool.map(read, rows.tolist()))
    readable = np.array([pixels is not None for pixels in found], bool)
    block = np.empty((int(readable.sum()), *decoding.image_shape), np.uint8)
    for place, pixels in enumerate(pixels for pixels in found if pixels is not None):
        block[place] = pixels
    return block, rows[readable]
