"""Padded crops, resized crops and cutout, at a random position for each image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from convscope.data.augmentation.batch_rng import BatchRng
from convscope.errors import DataError


def padded_crop(batch: Tensor, padding: int, mode: str, draws: BatchRng) -> Tensor:
    """Pad on all sides and crop the old size at a random position for each image (He et al. 2016, 4.2)."""
    count, _, height, width = batch.shape
    if mode == "reflect":
        if padding >= min(height, width):
            raise DataError(
                f"random_crop_padding {padding} is too large for {height}x{width} images: use at most "
                f"{min(height, width) - 1}"
            )
        padded = functional.pad(batch, (padding,) * 4, mode="reflect")
    else:
        padded = functional.pad(batch, (padding,) * 4)
    rows = draws.integers(2 * padding + 1)[:, None] + torch.arange(height, device=batch.device)
    columns = draws.integers(2 * padding + 1)[:, None] + torch.arange(width, device=batch.device)
    images = torch.arange(count, device=batch.device)
    # Indexing channels-last puts each pixel's channels together: one gather for the whole batch.
    cut = padded.permute(0, 2, 3, 1)[images[:, None, None], rows[:, :, None], columns[:, None, :]]
    return cut.permute(0, 3, 1, 2)


def random_resized_crop(batch: Tensor, area: tuple[float, float], draws: BatchRng) -> Tensor:
    """Cut a window of random area and shape and scale it back to the full size (bilinear; Szegedy et al. 2015)."""
    count, _, height, width = batch.shape
    areas = draws.uniform(area[0], area[1])
    # Shapes are drawn evenly on the log scale, so that 3:4 is as likely as 4:3.
    shapes = torch.exp(draws.uniform(-1.0, 1.0) * torch.log(torch.tensor(4 / 3)))
    tall = torch.clamp(torch.sqrt(areas / shapes), max=1.0)
    wide = torch.clamp(torch.sqrt(areas * shapes), max=1.0)
    # In the units of affine_grid, -1 to 1 over the whole image, a window of size t has its centre in +-(1 - t).
    up = draws.uniform(-1.0, 1.0) * (1 - tall)
    left = draws.uniform(-1.0, 1.0) * (1 - wide)
    zero = torch.zeros_like(up)
    windows = torch.stack([torch.stack([wide, zero, left], 1), torch.stack([zero, tall, up], 1)], 1).to(batch.dtype)
    grid = functional.affine_grid(windows, [count, 1, height, width], align_corners=False)
    return functional.grid_sample(batch, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def cutout(batch: Tensor, side: int, draws: BatchRng) -> Tensor:
    """Set a square of each image to 0 (DeVries and Taylor 2017); its centre lies anywhere, so it may hang over."""
    height, width = batch.shape[2:]
    top = draws.integers(height) - side // 2
    left = draws.integers(width) - side // 2
    hole = box(top, top + side, height)[:, None, :, None] & box(left, left + side, width)[:, None, None, :]
    return batch.masked_fill(hole, 0.0)


def box(first: Tensor, end: Tensor, size: int) -> Tensor:
    """Return which of `size` positions lie in [first, end): bool (N, size) from int64 (N,) each."""
    places = torch.arange(size, device=first.device)[None, :]
    return (places >= first[:, None]) & (places < end[:, None])
