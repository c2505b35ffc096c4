"""The position of an image in the size that it is resized to, in exact integers.

An image of W x H pixels has the aspect ratio of a target of w x h where W*h == H*w. Otherwise one axis limits. Every
division is rounded once, to the nearest pixel with halves up, so a side is never more than half a pixel from the exact
aspect ratio, except that it is at least one pixel. No function here needs Pillow.
"""

from __future__ import annotations

from typing import NamedTuple


class CropBox(NamedTuple):
    """A rectangle in pixels, Pillow's way: columns left to right - 1, rows top to bottom - 1."""

    left: int
    top: int
    right: int
    bottom: int


def matching_side(side: int, along: int, across: int) -> int:
    """Return side * across / along as a whole number of pixels, at least 1.

    It is the other side of a rectangle whose sides are as along : across. All three are at least 1. Where the exact
    number is at most an integer n, so is the rounded one. Works on arrays of integers too.

    >>> matching_side(225, 224, 224), matching_side(100, 224, 112), matching_side(1, 600, 1)
    (225, 50, 1)
    """
    rounded = (2 * side * across + along) // (2 * along)
    return rounded + (rounded == 0)


def crop_box(image_size: tuple[int, int], target_size: tuple[int, int]) -> CropBox:
    """Return the largest centred rectangle of an image that has the target's aspect ratio, to half a pixel.

    Sizes are (width, height). The rectangle always lies inside the image and takes the whole of one axis. Where the
    pixels left over are odd in number, the one more is on the right or at the bottom.

    >>> crop_box((225, 225), (224, 224))
    CropBox(left=0, top=0, right=225, bottom=225)
    >>> crop_box((640, 481), (224, 224))
    CropBox(left=79, top=0, right=560, bottom=481)
    """
    (width, height), (target_width, target_height) = image_size, target_size
    if width * target_height <= height * target_width:
        cropped = width, matching_side(width, target_width, target_height)
    else:
        cropped = matching_side(height, target_height, target_width), height
    return centred_box(cropped, image_size)


def letterbox_size(image_size: tuple[int, int], target_size: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size that has the image's aspect ratio, to half a pixel, and fits into the target.

    Sizes are (width, height).

    >>> letterbox_size((640, 480), (224, 224)), letterbox_size((1, 5000), (32, 28))
    ((224, 168), (1, 28))
    """
    (width, height), (target_width, target_height) = image_size, target_size
    if target_width * height <= target_height * width:
        return target_width, matching_side(target_width, width, height)
    return matching_side(target_height, height, width), target_height


def centred_box(inner: tuple[int, int], outer: tuple[int, int]) -> CropBox:
    """Return the box of a rectangle centred in one that is at least as large. Sizes are (width, height).

    >>> centred_box((2, 3), (5, 3))
    CropBox(left=1, top=0, right=3, bottom=3)
    """
    left, top = (outer[0] - inner[0]) // 2, (outer[1] - inner[1]) // 2
    return CropBox(left, top, left + inner[0], top + inner[1])
