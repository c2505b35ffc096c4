"""Augmentation of whole batches, on the device where they are: flip, padded crop, random resized crop, cutout.

Every image of a batch gets its own draw; the draws come from one generator, so the same generator state gives the
same batch, whatever the number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from convscope.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is done to training images; the default does nothing.

    `flip`: half of the images are mirrored left to right. `crop_padding`: pad by so many pixels on each side
    (`padding_mode` "reflect" or "zero") and cut a window of the old size out at a random place (He et al. 2016, 4.2).
    `random_resized_crop`: cut a window of random area (`crop_area`, as fractions) and shape (3/4 to 4/3) and
    scale it back (Szegedy et al. 2015). `cutout`: a square of so many pixels, at a random centre, set to 0, the mean of
    normalised images (DeVries and Taylor 2017).
    """

    flip: bool = False
    crop_padding: int = 0
    padding_mode: Literal["reflect", "zero"] = "reflect"
    random_resized_crop: bool = False
    crop_area: tuple[float, float] = (0.25, 1.0)
    cutout: int = 0

    def __post_init__(self) -> None:
        if self.crop_padding < 0 or self.cutout < 0:
            raise DataError(f"crop_padding {self.crop_padding} and cutout {self.cutout} are pixels, 0 or more")
        if self.padding_mode not in ("reflect", "zero"):
            raise DataError(f"padding_mode {self.padding_mode!r} is not reflect or zero")
        low, high = self.crop_area
        if not 0 < low <= high <= 1:
            raise DataError(f"crop_area {self.crop_area} is not (low, high) with 0 < low <= high <= 1")


def generator_for(seed: int, epoch: int, step: int, *, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for one batch, decided by (seed, epoch, step) alone: an interrupted run draws the same again."""
    # torch's CPU generator looks at the low 32 bits of a seed only, so the three numbers are hashed into them.
    (mixed,) = np.random.SeedSequence([seed, epoch, step]).generate_state(1)
    return torch.Generator(device=device).manual_seed(int(mixed))


def augment(batch: Tensor, augmentation: Augmentation, *, generator: torch.Generator) -> Tensor:
    """The batch (N, C, H, W), float, augmented image by image; the same shape, a new tensor unless nothing is on."""
    if augmentation.random_resized_crop:
        batch = _random_resized_crop(batch, augmentation.crop_area, generator)
    if augmentation.crop_padding:
        batch = _padded_crop(batch, augmentation.crop_padding, augmentation.padding_mode, generator)
    if augmentation.flip:
        batch = _flip(batch, generator)
    if augmentation.cutout:
        batch = _cutout(batch, augmentation.cutout, generator)
    return batch


def _uniform(count: int, low: float, high: float, batch: Tensor, generator: torch.Generator) -> Tensor:
    """`count` float32 draws in [low, high) on the batch's device."""
    return torch.rand(count, generator=generator, device=batch.device) * (high - low) + low


def _flip(batch: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability one half."""
    mirrored = torch.rand(len(batch), generator=generator, device=batch.device) < 0.5
    return torch.where(mirrored[:, None, None, None], batch.flip(3), batch)


def _padded_crop(batch: Tensor, padding: int, mode: str, generator: torch.Generator) -> Tensor:
    """Pad on all sides and cut a window of the old size at a place of each image's own."""
    count, _, height, width = batch.shape
    if mode == "reflect":
        if padding >= min(height, width):
            raise DataError(
                f"crop_padding {padding} can't reflect images of {height}x{width}: use {min(height, width) - 1} or less"
            )
        padded = functional.pad(batch, (padding,) * 4, mode="reflect")
    else:
        padded = functional.pad(batch, (padding,) * 4)
    shifts = torch.randint(0, 2 * padding + 1, (2, count), generator=generator, device=batch.device)
    rows = shifts[0][:, None] + torch.arange(height, device=batch.device)
    columns = shifts[1][:, None] + torch.arange(width, device=batch.device)
    images = torch.arange(count, device=batch.device)
    # Indexing channels-last puts each pixel's channels together: one gather for the whole batch.
    cut = padded.permute(0, 2, 3, 1)[images[:, None, None], rows[:, :, None], columns[:, None, :]]
    return cut.permute(0, 3, 1, 2)


def _random_resized_crop(batch: Tensor, area: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Cut a window of random area and shape and scale it back to the full size (bilinear)."""
    count, _, height, width = batch.shape
    areas = _uniform(count, area[0], area[1], batch, generator)
    # Shapes are drawn evenly on the log scale, so that 3:4 is as likely as 4:3.
    shapes = torch.exp(_uniform(count, -1.0, 1.0, batch, generator) * torch.log(torch.tensor(4 / 3)))
    tall = torch.clamp(torch.sqrt(areas / shapes), max=1.0)
    wide = torch.clamp(torch.sqrt(areas * shapes), max=1.0)
    # In the units of affine_grid, -1 to 1 over the whole image, a window of size t has its centre in +-(1 - t).
    up = _uniform(count, -1.0, 1.0, batch, generator) * (1 - tall)
    left = _uniform(count, -1.0, 1.0, batch, generator) * (1 - wide)
    zero = torch.zeros_like(up)
    windows = torch.stack([torch.stack([wide, zero, left], 1), torch.stack([zero, tall, up], 1)], 1).to(batch.dtype)
    grid = functional.affine_grid(windows, [count, 1, height, width], align_corners=False)
    return functional.grid_sample(batch, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _cutout(batch: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Set a square of each image to 0; its centre lies anywhere, so it may hang over the edge."""
    count, _, height, width = batch.shape
    top = torch.randint(0, height, (count,), generator=generator, device=batch.device) - side // 2
    left = torch.randint(0, width, (count,), generator=generator, device=batch.device) - side // 2
    rows = torch.arange(height, device=batch.device)[None, :] - top[:, None]
    columns = torch.arange(width, device=batch.device)[None, :] - left[:, None]
    in_rows = (rows >= 0) & (rows < side)
    in_columns = (columns >= 0) & (columns < side)
    hole = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    return batch.masked_fill(hole, 0.0)
