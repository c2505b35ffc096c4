"""TrivialAugment: one operation for each image, drawn evenly, at a strength drawn evenly.

Source: Müller and Hutter 2021, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation", the wide space.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from convscope.data.augmentation.batch_rng import BatchRng
from convscope.data.preprocessing import Normalization

# Luma of ITU-R BT.601, in the digits that torchvision takes.
LUMA = (0.2989, 0.587, 0.114)


def identity(images: Tensor, magnitude: Tensor) -> Tensor:
    """Return the images as they are."""
    return images


def shear_x(images: Tensor, magnitude: Tensor) -> Tensor:
    """Move each row sideways by `magnitude` times its distance from the upper edge; black comes in."""
    one, zero = torch.ones_like(magnitude), torch.zeros_like(magnitude)
    return _warp(images, (one, magnitude, magnitude * images.shape[2] / 2), (zero, one, zero))


def shear_y(images: Tensor, magnitude: Tensor) -> Tensor:
    """Move each column up or down by `magnitude` times its distance from the left edge; black comes in."""
    one, zero = torch.ones_like(magnitude), torch.zeros_like(magnitude)
    return _warp(images, (one, zero, zero), (magnitude, one, magnitude * images.shape[3] / 2))


def translate_x(images: Tensor, magnitude: Tensor) -> Tensor:
    """Move right by `magnitude` whole pixels; black comes in."""
    one, zero = torch.ones_like(magnitude), torch.zeros_like(magnitude)
    return _warp(images, (one, zero, -magnitude.trunc()), (zero, one, zero))


def translate_y(images: Tensor, magnitude: Tensor) -> Tensor:
    """Move down by `magnitude` whole pixels; black comes in."""
    one, zero = torch.ones_like(magnitude), torch.zeros_like(magnitude)
    return _warp(images, (one, zero, zero), (zero, one, -magnitude.trunc()))


def rotate(images: Tensor, magnitude: Tensor) -> Tensor:
    """Turn counter-clockwise about the centre by `magnitude` degrees; black comes in."""
    angle = magnitude * (math.pi / 180)
    cosine, sine, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    return _warp(images, (cosine, -sine, zero), (sine, cosine, zero))


def brightness(images: Tensor, magnitude: Tensor) -> Tensor:
    """Move levels away from black by `magnitude`: -1 is black, 0 changes nothing."""
    return _away_from(torch.zeros_like(images), images, magnitude)


def color(images: Tensor, magnitude: Tensor) -> Tensor:
    """Move colours away from grey by `magnitude`: -1 is grey; a grey image stays."""
    return images if images.shape[1] == 1 else _away_from(_grey(images), images, magnitude)


def contrast(images: Tensor, magnitude: Tensor) -> Tensor:
    """Move levels away from the image's mean grey by `magnitude`."""
    return _away_from(_grey(images).mean((1, 2, 3), keepdim=True), images, magnitude)


def sharpness(images: Tensor, magnitude: Tensor) -> Tensor:
    """Move levels away from the blurred image (3x3, the middle weighs 5 of 13) by `magnitude`; edge pixels stay."""
    channels, height, width = images.shape[1:]
    if min(height, width) < 3:
        return images
    kernel = torch.ones(channels, 1, 3, 3, device=images.device, dtype=images.dtype)
    kernel[:, :, 1, 1] = 5
    blurred = images.clone()
    blurred[:, :, 1:-1, 1:-1] = functional.conv2d(images, kernel / 13, groups=channels).round()
    return _away_from(blurred, images, magnitude)


def posterize(images: Tensor, magnitude: Tensor) -> Tensor:
    """Keep the highest `magnitude` bits of each level."""
    step = torch.exp2(8 - magnitude)[:, None, None, None]
    return (images / step).floor() * step


def solarize(images: Tensor, magnitude: Tensor) -> Tensor:
    """Invert the levels that are at least `magnitude`."""
    return torch.where(images >= magnitude[:, None, None, None], 255 - images, images)


def autocontrast(images: Tensor, magnitude: Tensor) -> Tensor:
    """Stretch each channel so that its levels go from 0 to 255."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    flat = high == low
    stretched = (images - low) * (255 / torch.where(flat, torch.ones_like(high), high - low))
    return torch.where(flat, images, stretched.clamp(0, 255).floor())


def equalize(images: Tensor, magnitude: Tensor) -> Tensor:
    """Spread each channel's levels so that each is about as frequent as any other."""
    count, channels, height, width = images.shape
    levels = images.reshape(count * channels, height * width).long()
    histogram = torch.zeros(count * channels, 256, dtype=torch.int64, device=images.device)
    histogram.scatter_add_(1, levels, torch.ones_like(levels))
    # The pixels of the highest level that occurs don't count: it becomes 255.
    step = (height * width - histogram.gather(1, levels.amax(1, keepdim=True))) // 255
    table = (histogram.cumsum(1) + step // 2) // step.clamp(min=1)
    table = functional.pad(table, (1, 0))[:, :-1].clamp(0, 255)
    spread = table.gather(1, levels)
    return torch.where(step == 0, levels, spread).reshape(images.shape).to(images.dtype)


def _away_from(origin: Tensor, images: Tensor, magnitude: Tensor) -> Tensor:
    """Return the images at 1 + `magnitude` times their distance from `origin`, as levels: Pillow's ImageEnhance."""
    # Written so that a pixel that equals its origin stays exactly as it is.
    return (origin + (1 + magnitude)[:, None, None, None] * (images - origin)).clamp(0, 255).floor()


def _grey(images: Tensor) -> Tensor:
    """Return the luma (N, 1, H, W), in whole levels."""
    if images.shape[1] == 1:
        return images
    red, green, blue = LUMA
    return (red * images[:, :1] + green * images[:, 1:2] + blue * images[:, 2:3]).floor()


def _warp(images: Tensor, x: tuple[Tensor, Tensor, Tensor], y: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Take each pixel from the nearest one at `x[0] u + x[1] v + x[2]`, `y[0] u + y[1] v + y[2]`, or black outside.

    (u, v) is the pixel's own place, in pixels right and down from the centre.
    """
    height, width = images.shape[2:]
    across, down = width / 2, height / 2
    # affine_grid counts half sides: divide the result by the half side, and multiply what it is made of.
    rows = [
        torch.stack([x[0], x[1] * down / across, x[2] / across], 1),
        torch.stack([y[0] * across / down, y[1], y[2] / down], 1),
    ]
    grid = functional.affine_grid(torch.stack(rows, 1), [len(images), 1, height, width], align_corners=False)
    return functional.grid_sample(images, grid, mode="nearest", padding_mode="zeros", align_corners=False)


# Strengths that can be drawn, evenly spaced from none to the strongest.
BINS = 31


@dataclass(frozen=True, kw_only=True)
class Operation:
    """An operation and its weakest and strongest magnitude.

    With `signed`, half of the draws are negative; with `whole`, magnitudes are whole numbers.
    """

    apply: Callable[[Tensor, Tensor], Tensor]
    weakest: float = 0.0
    strongest: float = 0.0
    signed: bool = False
    whole: bool = False


# The paper's table 1, "wide": translations are in pixels, rotations in degrees, posterize in bits.
SPACE: dict[str, Operation] = {
    "identity": Operation(apply=identity),
    "shear_x": Operation(apply=shear_x, strongest=0.99, signed=True),
    "shear_y": Operation(apply=shear_y, strongest=0.99, signed=True),
    "translate_x": Operation(apply=translate_x, strongest=32, signed=True),
    "translate_y": Operation(apply=translate_y, strongest=32, signed=True),
    "rotate": Operation(apply=rotate, strongest=135, signed=True),
    "brightness": Operation(apply=brightness, strongest=0.99, signed=True),
    "color": Operation(apply=color, strongest=0.99, signed=True),
    "contrast": Operation(apply=contrast, strongest=0.99, signed=True),
    "sharpness": Operation(apply=sharpness, strongest=0.99, signed=True),
    "posterize": Operation(apply=posterize, weakest=8, strongest=2, whole=True),
    "solarize": Operation(apply=solarize, weakest=255, strongest=0),
    "autocontrast": Operation(apply=autocontrast),
    "equalize": Operation(apply=equalize),
}


def magnitude_of(operation: Operation, strength: Tensor, negative: Tensor) -> Tensor:
    """Return magnitudes (N,) from strengths of 0 to 30 (N,) and whether a signed one is negative (N,)."""
    spread = operation.weakest + (operation.strongest - operation.weakest) * strength / (BINS - 1)
    if operation.whole:
        spread = spread.round()
    return torch.where(negative, -spread, spread) if operation.signed else spread


def trivial_augment(batch: Tensor, normalization: Normalization, draws: BatchRng) -> Tensor:
    """Apply one operation to each image of a normalised batch (N, C, H, W), in levels of 0 to 255."""
    chosen, strength, negative = draws.integers(len(SPACE)), draws.integers(BINS), draws.integers(2) == 1
    mean = torch.tensor(normalization.mean, device=batch.device)[:, None, None]
    std = torch.tensor(normalization.std, device=batch.device)[:, None, None]
    # The images of one operation lie side by side, so that each computes its own alone, at one wait for the counts.
    order = torch.argsort(chosen, stable=True)
    counts: list[int] = torch.bincount(chosen, minlength=len(SPACE)).tolist()
    done = batch.clone()
    start = 0
    for operation, count in zip(SPACE.values(), counts, strict=True):
        rows = order[start : start + count]
        start += count
        if not count or operation.apply is identity:
            continue
        levels = ((batch[rows] * std + mean) * 255).round().clamp(0, 255)
        changed = operation.apply(levels, magnitude_of(operation, strength[rows], negative[rows]))
        done[rows] = ((changed / 255 - mean) / std).to(batch.dtype)
    return done
