"""Test-time views: the network sees an image several times, a little different each time; scores are averaged.

A network that learned from mirrored and shifted images answers each a little differently, and errs less on average
(Krizhevsky, Sutskever, Hinton 2012, section 4.1, averages ten crops). The views belong to how a run predicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from convscope.errors import RunError, did_you_mean
from convscope.hardware.mode import ForwardPass

# Apple's GPUs know no float64.
WITHOUT_FLOAT64 = ("mps",)

ONE = "one"
# AlexNet's crops of 224 pixels out of 256 lie up to 16 from the middle: a fourteenth of the side.
CROP_SHIFT = 1 / 14

# Views with their weights, which add up to 1; the first is the image itself.
Views = Iterator[tuple[Tensor, float]]


def _one(pixels: Tensor) -> Views:
    yield pixels, 1.0


def _flip(pixels: Tensor) -> Views:
    yield pixels, 0.5
    yield pixels.flip(3), 0.5


def _flip_shift(pixels: Tensor) -> Views:
    """Yield views: half of the weight on the image and its flip, half on both shifted by a pixel along the diagonal."""
    shifted = [_window(pixels, 1, 0, 0), _window(pixels, 1, 2, 2)]
    for view, weight in ((pixels, 0.25), (shifted[0], 0.125), (shifted[1], 0.125)):
        yield view, weight
        yield view.flip(3), weight


def _ten_crop(pixels: Tensor) -> Views:
    """Yield the centre and four corner crops of the padded image, of the image's size, and their flips."""
    reach = max(1, round(min(pixels.shape[2:]) * CROP_SHIFT))
    places = [(reach, reach), *((down, right) for down in (0, 2 * reach) for right in (0, 2 * reach))]
    for down, right in places:
        view = _window(pixels, reach, down, right)
        yield view, 0.1
        yield view.flip(3), 0.1


def _window(pixels: Tensor, padding: int, down: int, right: int) -> Tensor:
    """Return the crop of the image's size at an offset in pixels, down and right, in the padded (reflected) image."""
    height, width = pixels.shape[2:]
    padded = functional.pad(pixels, (padding,) * 4, mode="reflect")
    return padded[:, :, down : down + height, right : right + width]


# name -> the views of images (N, C, H, W).
VIEWS: dict[str, Callable[[Tensor], Views]] = {
    ONE: _one,
    "flip": _flip,
    "flip-shift": _flip_shift,
    "ten-crop": _ten_crop,
}


def view_count(name: str) -> int:
    """Return how many views of an image there are.

    >>> [view_count(name) for name in VIEWS]
    [1, 2, 6, 10]
    """
    return sum(1 for _ in VIEWS[name](torch.zeros(1, 1, 4, 4)))


def require_views(name: str) -> str:
    """Return the name of a kind of views; raises RunError for an unknown one."""
    if name not in VIEWS:
        raise RunError(f"no test views are called {name!r}.{did_you_mean(name, VIEWS)}")
    return name


def scores_of_views(network: ForwardPass, pixels: Tensor, views: str) -> tuple[Tensor, Tensor]:
    """Return the float64 scores (N, classes) of the image itself, and their weighted mean over all of its views.

    >>> plain, averaged = scores_of_views(torch.nn.Flatten(), torch.tensor([[[[1.0, 3.0]]]]), "flip")
    >>> plain.tolist(), averaged.tolist()
    ([[1.0, 3.0]], [[2.0, 2.0]])
    """
    seen = [
        (network(view.contiguous(memory_format=torch.channels_last)), weight) for view, weight in VIEWS[views](pixels)
    ]
    # All views at once: where float64 is on the CPU alone, that is one journey.
    each = to_float64(torch.stack([scores for scores, _ in seen]))
    total = each[0] * seen[0][1]
    for scores, (_, weight) in zip(each[1:], seen[1:], strict=True):
        total.add_(scores, alpha=weight)
    return each[0], total


def to_float64(values: Tensor) -> Tensor:
    """Return the values in float64, on the CPU if their device has no float64."""
    return (values.cpu() if values.device.type in WITHOUT_FLOAT64 else values).double()
