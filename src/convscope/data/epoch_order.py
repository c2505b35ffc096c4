"""The order in which the images of one epoch are read and used, if they are streamed.

Archives are read in random order, each from start to end. Images then pass through a shuffle buffer of some thousand
images: every image is used less than the buffer's length before or after the position at which it is read. Both random
orders depend on (seed, epoch) alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.data.records import Labels


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
