"""In which order the images of one epoch are read and learned from, where they are not all at hand at once.

Archives follow one another in a drawn order, and each is read from its beginning to its end. What was read waits in a
window of some thousand images, and leaves it in a drawn order: every image is learned from less than a window's length
before or after the place at which it is read. Both draws are decided by (seed, epoch).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.data.records import Labels


@dataclass(frozen=True)
class EpochOrder:
    """Rows in the order in which they are read, and in which they are learned from: both hold every row once."""

    reading: Labels
    learning: Labels


def draw_epoch_order(archives: Labels, window: int, *, seed: int, epoch: int) -> EpochOrder:
    """One epoch's course over rows of which row i lies in archive `archives[i]`; `window` counts images.

    What fits into the window as a whole is shuffled as a whole, as images that lie in memory are.

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
