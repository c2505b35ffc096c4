"""Smaller images at the beginning of a run: less to compute while there is coarse structure to learn."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def early_size(size: tuple[int, int], start: float) -> tuple[int, int]:
    """(height, width) of images in the first part of a run, whose sides are `start` of the whole.

    >>> early_size((32, 48), 0.75)
    (24, 36)
    """
    height, width = (max(1, round(side * start)) for side in size)
    return height, width


def scaled_down(batch: Tensor, size: tuple[int, int]) -> Tensor:
    """The batch (N, C, H, W) at (height, width), bilinear, each pixel the mean of all that it covers."""
    if tuple(batch.shape[2:]) == size:
        return batch
    return functional.interpolate(batch, size=size, mode="bilinear", antialias=True, align_corners=False)
