"""Smaller images at the beginning of a run: less to compute while there is coarse structure to learn."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

# Sides grow by so large a part of the whole at a time: convolutions are set up anew for each size. The last part is a
# jump: seven eighths of the side are 77 % of the pixels, so hardly cheaper.
GROWTH = 1 / 8
LARGEST_EARLY = 3 / 4


def early_size(size: tuple[int, int], start: float, gone: float = 0.0) -> tuple[int, int]:
    """(height, width) of images when `gone` (0 to 1) of the first part of a run has gone.

    Sides begin at `start` of the whole and grow to three quarters at most, an eighth of the whole at a time, each for
    as many steps; the whole comes after the first part (progressive resizing; Howard, fast.ai's entry to DAWNBench,
    2018).

    >>> [early_size((32, 48), 0.5, gone)[0] for gone in (0, 0.3, 0.4, 0.6, 0.7, 1)]
    [16, 16, 20, 20, 24, 24]
    """
    times = int(max(0.0, LARGEST_EARLY - start) / GROWTH + 1e-9)
    part = start + GROWTH * min(times, int(gone * (times + 1) + 1e-9))
    height, width = (max(1, round(side * part)) for side in size)
    return height, width


def scaled_down(batch: Tensor, size: tuple[int, int]) -> Tensor:
    """The batch (N, C, H, W) at (height, width), bilinear, each pixel the mean of all that it covers."""
    if tuple(batch.shape[2:]) == size:
        return batch
    return functional.interpolate(batch, size=size, mode="bilinear", antialias=True, align_corners=False)
