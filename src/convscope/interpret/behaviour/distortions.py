"""Distortions of a picture with a strength: shift, rotation, blur, brightness, crop. Strength 0 changes nothing.

Levels are 0 to 1. What a distortion moves in from outside the picture is its nearest edge pixel: nothing is rolled
round, and no black border appears.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, pi

import torch
from torch import Tensor
from torch.nn import functional

from convscope.errors import GeometryError
from convscope.report.short_repr import ShortRepr

Distort = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`distort(images, strengths, directions)`: images (N, C, H, W), strengths (N,), directions (N,), numbers of names."""

_WIDTH = 3  # standard deviations to either side that a blur's window has


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Distortion(ShortRepr):
    """A distortion and the strengths at which it is tried.

    Args:
        name: such as "rotation".
        unit: of its strength.
        grid: strengths above 0, ascending.
        directions: names of the ways in which it may go, such as "left".
        apply: the distortion itself.
        whole: whether only whole strengths exist.

    Raises:
        GeometryError: a grid that does not ascend from above 0, or without strengths.
    """

    name: str
    unit: str
    grid: tuple[float, ...]
    directions: tuple[str, ...]
    apply: Distort
    whole: bool = False

    def __post_init__(self) -> None:
        if not self.grid or self.grid[0] <= 0 or any(a >= b for a, b in zip(self.grid, self.grid[1:], strict=False)):
            raise GeometryError(f"{self.name}: strengths {self.grid}: give some above 0 in ascending order")

    def headline(self) -> str:
        """Return the name and the strengths."""
        return f"{self.name}: {len(self.grid)} strengths up to {self.grid[-1]:g} {self.unit}"

    def short_text(self, strength: float, direction: int) -> str:
        """Return a strength with its direction, such as "3 left"."""
        return " ".join(filter(None, (f"{strength:.3g}", self.directions[direction])))

    def text(self, strength: float, direction: int) -> str:
        """Return a strength with its unit and direction, such as "3 pixels left"."""
        way = self.directions[direction]
        unit = self.unit.removesuffix("s") if strength == 1 else self.unit
        return " ".join(filter(None, (f"{strength:.3g}", unit, way)))


def distortions(height: int, width: int) -> tuple[Distortion, ...]:
    """Return the distortions that are searched for images of a size, with their grids.

    Shifts go up to a quarter of the shorter side, by whole pixels (16 strengths at most); rotations to 60 degrees, by
    3; blurs to a standard deviation of an eighth of the shorter side, 4 pixels at least, in 16 steps; brightness to
    0.8 times lighter or darker, by 0.05; crops to 60 % of each side, by 4.

    >>> [(found.name, found.grid[0], found.grid[-1]) for found in distortions(32, 32)]
    [('shift', 1, 8), ('rotation', 3, 60), ('blur', 0.25, 4.0), ('brightness', 0.05, 0.8), ('crop', 4, 60)]
    """
    short = min(height, width)
    farthest = max(1, short // 4)
    step = ceil(farthest / 16)
    widest = max(4.0, short / 8)
    return (
        Distortion(name="shift", unit="pixels", grid=tuple(range(step, farthest + 1, step)),
                   directions=("left", "right", "up", "down"), apply=shift, whole=True),
        Distortion(name="rotation", unit="degrees", grid=tuple(range(3, 61, 3)),
                   directions=("counter-clockwise", "clockwise"), apply=rotation),
        Distortion(name="blur", unit="pixels of standard deviation",
                   grid=tuple(widest * number / 16 for number in range(1, 17)), directions=("",), apply=blur),
        Distortion(name="brightness", unit="of the level", grid=tuple(n / 20 for n in range(1, 17)),
                   directions=("lighter", "darker"), apply=brightness),
        Distortion(name="crop", unit="% of each side", grid=tuple(range(4, 61, 4)), directions=("",), apply=crop),
    )  # fmt: skip


def shift(images: Tensor, strengths: Tensor, directions: Tensor) -> Tensor:
    """Move pictures left (0), right (1), up (2) or down (3) by whole pixels; edge pixels fill what comes in.

    >>> row = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    >>> shift(row, torch.tensor([1.0]), torch.tensor([0])).flatten().tolist()
    [2.0, 3.0, 3.0]
    """
    count, _, height, width = images.shape
    sign = torch.where(directions % 2 == 0, 1, -1)  # where a pixel comes from, in pixels
    by = strengths.round().long() * sign
    down, across = torch.where(directions >= 2, by, 0), torch.where(directions < 2, by, 0)
    rows = (torch.arange(height, device=images.device) + down[:, None]).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) + across[:, None]).clamp(0, width - 1)
    batch = torch.arange(count, device=images.device)[:, None, None]
    moved: Tensor = images.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def rotation(images: Tensor, strengths: Tensor, directions: Tensor) -> Tensor:
    """Turn pictures about their centre by degrees, counter-clockwise (0) or clockwise (1), bilinearly."""
    angle = torch.where(directions == 0, strengths, -strengths) * (pi / 180)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    height, width = images.shape[2:]
    # Positions are -1 to 1 along either axis, so a turn of pixels has the sides' ratio in it.
    zero = torch.zeros_like(cosine)
    first = torch.stack([cosine, -sine * (height / width), zero], dim=1)
    second = torch.stack([sine * (width / height), cosine, zero], dim=1)
    return _sampled(images, torch.stack([first, second], dim=1))


def blur(images: Tensor, strengths: Tensor, directions: Tensor) -> Tensor:
    """Blur pictures by a Gaussian of a standard deviation in pixels, cut off at 3; edge pixels are repeated outside."""
    reach = max(1, ceil(_WIDTH * float(strengths.max())))
    offsets = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    sigma = strengths.to(images.dtype)[:, None].clamp(min=1e-3)
    weights = torch.exp(-(offsets**2) / (2 * sigma**2)) * (offsets.abs() <= torch.ceil(_WIDTH * sigma))
    weights = weights / weights.sum(1, keepdim=True)
    count, channels = images.shape[:2]
    kernels = weights.repeat_interleave(channels, dim=0)[:, None]
    pages = images.reshape(1, count * channels, *images.shape[2:])
    pages = functional.pad(pages, (reach, reach, 0, 0), mode="replicate")
    pages = functional.conv2d(pages, kernels[:, :, None, :], groups=count * channels)
    pages = functional.pad(pages, (0, 0, reach, reach), mode="replicate")
    pages = functional.conv2d(pages, kernels[:, :, :, None], groups=count * channels)
    return pages.reshape(images.shape)


def brightness(images: Tensor, strengths: Tensor, directions: Tensor) -> Tensor:
    """Multiply levels by 1 + strength (0, lighter) or 1 - strength (1, darker); they stay within 0 and 1.

    >>> grey = torch.full((2, 1, 1, 1), 0.5)
    >>> brightness(grey, torch.tensor([0.2, 0.2]), torch.tensor([0, 1])).flatten().tolist()
    [0.6000000238418579, 0.4000000059604645]
    """
    factors = 1 + torch.where(directions == 0, strengths, -strengths).to(images.dtype)
    return (images * factors[:, None, None, None]).clamp(0, 1)


def crop(images: Tensor, strengths: Tensor, directions: Tensor) -> Tensor:
    """Cut `strengths` percent off each side's length, keep the centre, and enlarge to the old size, bilinearly."""
    kept, zero = 1 - strengths / 100, torch.zeros_like(strengths)
    first, second = torch.stack([kept, zero, zero], dim=1), torch.stack([zero, kept, zero], dim=1)
    return _sampled(images, torch.stack([first, second], dim=1))


def _sampled(images: Tensor, places: Tensor) -> Tensor:
    """Return pictures read at places that an affine map (N, 2, 3) of their own positions gives."""
    grid = functional.affine_grid(places.to(images.dtype), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
