"""An image without its details: what a removed pixel is replaced by."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

SPREAD = 1 / 8  # standard deviation of the Gaussian, as a share of the image's side
_LONGEST = 1024  # positions along an axis that are blurred by a matrix; more are, in less memory, by a convolution


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
        places = torch.arange(-reach, reach + 1)
        weights = torch.exp(-0.5 * (places.double() / max(deviation, 1e-6)) ** 2)
        weights /= weights.sum()
        lines = found.movedim(axis, -1)
        if side <= _LONGEST:
            # Row by row what each position takes of every other; beyond an edge is the edge.
            read = (torch.arange(side)[:, None] + places).clamp(0, side - 1)
            rows = torch.zeros(side, side, dtype=torch.float64).scatter_add_(1, read, weights.expand(side, -1))
            made = lines @ rows.T.to(lines)
        else:
            padded = functional.pad(lines.reshape(-1, 1, side), (reach, reach), mode="replicate")
            made = functional.conv1d(padded, weights.to(lines)[None, None]).reshape(lines.shape)
        found = made.movedim(-1, axis)
    return found.contiguous()
