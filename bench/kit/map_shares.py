"""Where a map's positive part lies: shares of it in boxes, and where its largest value is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.nn import functional

from convscope.arrays import Floats


def mean_share(maps: Sequence[Floats], boxes: np.ndarray, wider: int) -> float:
    """Return the mean share of the positive part in boxes, wider on every side; maps without one are left out."""
    shares = [
        float(positive[inside].sum() / positive.sum())
        for found, inside in within(maps, boxes, wider)
        if (positive := np.maximum(found, 0)).any()
    ]
    return float(np.mean(shares)) if shares else float("nan")


def net_share(maps: Sequence[Floats], boxes: np.ndarray) -> float:
    """Return the mean sum of the maps in boxes, negative part included, as a share of their absolute sum."""
    return float(np.mean([found[inside].sum() / np.abs(found).sum() for found, inside in within(maps, boxes, 0)]))


def pointing(maps: Sequence[Floats], boxes: np.ndarray, wider: int) -> float:
    """Return how often the largest value is in the box, wider on every side."""
    return float(
        np.mean([inside[np.unravel_index(found.argmax(), found.shape)] for found, inside in within(maps, boxes, wider)])
    )


def within(maps: Sequence[Floats], boxes: np.ndarray, wider: int) -> Iterator[tuple[Floats, np.ndarray]]:
    """Yield each map with the mask of its box."""
    for found, (top, left, bottom, right) in zip(maps, boxes, strict=True):
        inside = np.zeros(found.shape, bool)
        inside[max(0, top - wider) : bottom + wider, max(0, left - wider) : right + wider] = True
        yield found, inside


def box_mean(found: Floats, side: int) -> Floats:
    """Return a map smoothed by the mean over a square."""
    if side == 1:
        return found
    made: Floats = functional.avg_pool2d(
        torch.from_numpy(found)[None, None], side, 1, side // 2, count_include_pad=False
    )[0, 0].numpy()
    return made
