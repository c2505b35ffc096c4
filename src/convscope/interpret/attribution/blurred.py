"""An image without its details: what a removed pixel is replaced by."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

SPREAD = 1 / 8  # standard deviation of the Gaussian, as a share of the image's side


def blurred(images: torch.Tensor, *, axes: Sequence[int] | None = None, spread: float = SPREAD) -> torch.Tensor:
    """Return images under a Gaussian blur along each axis of positions, with their edges continued.

    Args:
        images: of floating-point numbers.
        axes: of positions; those of (N, C, *S) unless given.
        spread: standard deviation of the Gaussian, as a share of each axis.
    """
    found = images.detach()
    for axis in range(2, images.ndim) if axes is None else axes:
        side = images.shape[axis]
        deviation = spread * side
        reach = max(1, round(3 * deviation))
        places = torch.arange(-reach, reach + 1, dtype=torch.float64)
        weights = torch.exp(-0.5 * (places / max(deviation, 1e-6)) ** 2)
        weights = (weights / weights.sum()).to(found.dtype)
        lines = found.movedim(axis, -1)
        flat = lines.reshape(-1, 1, side)
        padded = functional.pad(flat, (reach, reach), mode="replicate")
        found = functional.conv1d(padded, weights[None, None]).reshape(lines.shape).movedim(-1, axis)
    return found.contiguous()
