"""An image without its details: what a removed pixel is replaced by."""

from __future__ import annotations

import torch
from torch.nn import functional

SPREAD = 1 / 8  # standard deviation of the Gaussian, as a share of the image's side


def blurred(images: torch.Tensor, *, spread: float = SPREAD) -> torch.Tensor:
    """Return images (N, C, *S) under a Gaussian blur along each axis, with their edges continued.

    Args:
        images: of floating-point numbers.
        spread: standard deviation of the Gaussian, as a share of each axis.
    """
    found = images.detach()
    for axis in range(2, images.ndim):
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
