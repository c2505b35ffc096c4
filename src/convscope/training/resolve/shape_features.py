"""Cheap features of small images that tell a shape from its mirror image, wherever it lies and whatever its colours.

Gradient orientations, soft-assigned to four directions without a sign, so that dark on light equals light on dark;
how often two directions occur at a fixed offset from each other (co-occurrence histograms of oriented gradients,
Watanabe, Ito, Yokoi 2009), which a mirror changes even where it leaves each direction's own share; their shares by
place; and a coarse grid of colour.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from convscope.data.records import Pixels

# Images are reduced to this longer side first, and then halved twice.
SIDE = 48
LEVELS = 3
SMALLEST_SIDE = 8  # a level of fewer pixels is left out
DIRECTIONS = 4
OFFSETS = ((0, 2), (2, 0), (2, 2), (2, -2), (0, 4), (4, 0), (4, 4), (4, -4))  # (down, right), in pixels of a level
GRID = 4
# Images that are worked on at once: what bounds the memory.
CHUNK = 64


def reduced(pixels: Pixels) -> Tensor:
    """Return images (N, H, W, C) of 0 to 255 as float32 (N, C, h, w) of 0 to 1, the longer side at most 48 pixels."""
    height, width = pixels.shape[1:3]
    scale = min(1.0, SIDE / max(height, width))
    size = tuple(max(1, round(side * scale)) for side in (height, width))
    small = []
    for first in range(0, len(pixels), CHUNK):
        levels = torch.from_numpy(pixels[first : first + CHUNK].copy()).permute(0, 3, 1, 2).float() / 255
        small.append(functional.interpolate(levels, size=size, mode="bilinear", antialias=True))
    return torch.cat(small)


def shape_features(images: Tensor) -> npt.NDArray[np.float64]:
    """Return features (N, D) of images (N, C, H, W) of 0 to 1; D depends on H and W alone.

    >>> shape_features(torch.rand(2, 3, 40, 40)).shape
    (2, 528)
    """
    found = torch.cat([_features(images[first : first + CHUNK]) for first in range(0, len(images), CHUNK)])
    # Counts spread as their size does: their square roots spread evenly.
    return np.asarray(found.double().sqrt().numpy())


def _features(images: Tensor) -> Tensor:
    parts = [functional.adaptive_avg_pool2d(images, GRID).flatten(1)]
    level = images
    for number in range(LEVELS):
        if min(level.shape[2:]) < SMALLEST_SIDE:
            break
        if number:
            level = functional.avg_pool2d(level, 2)
        directions = _directions(level)
        parts.append(functional.adaptive_avg_pool2d(directions, GRID if number == 0 else GRID // 2).flatten(1))
        parts += [_together(directions, down, right) for down, right in OFFSETS]
    return torch.cat(parts, dim=1)


def _directions(images: Tensor) -> Tensor:
    """How strong the gradient is in each of four directions (N, 4, H - 2, W - 2), relative to the image's mean."""
    across = images[:, :, 1:-1, 2:] - images[:, :, 1:-1, :-2]
    along = images[:, :, 2:, 1:-1] - images[:, :, :-2, 1:-1]
    # The doubled angle makes opposite gradients equal; summed over channels it does not matter which one has the edge.
    cosine, sine = (across**2 - along**2).sum(1), (2 * across * along).sum(1)
    strength = (across**2 + along**2).sum(1).sqrt() + 1e-3
    angles = [2 * math.pi * number / DIRECTIONS for number in range(DIRECTIONS)]
    each = [(cosine * math.cos(angle) + sine * math.sin(angle)).relu() / strength for angle in angles]
    directions = torch.stack(each, dim=1)
    return directions / (directions.mean((1, 2, 3), keepdim=True) + 1e-4)


def _together(directions: Tensor, down: int, right: int) -> Tensor:
    """How often each pair of directions occurs at an offset (N, 16); zeros where the image is smaller than that."""
    height, width = directions.shape[2:]
    if down >= height or abs(right) >= width:
        return directions.new_zeros(len(directions), DIRECTIONS**2)
    here = directions[:, :, : height - down, max(0, -right) : width - max(0, right)].flatten(2)
    there = directions[:, :, down:, max(0, right) : width - max(0, -right)].flatten(2)
    return torch.bmm(here, there.transpose(1, 2)).flatten(1) / (height * width)
