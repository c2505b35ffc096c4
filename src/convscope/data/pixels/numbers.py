"""An image as numbers in memory, a NumPy array or a tensor, as pixels: uint8 (H, W, C).

One rule for all: uint8 are levels of 0 to 255, floating-point numbers intensities of 0 to 1, rounded to the nearest of
256 levels; any other type, and a number beyond, is refused, unless a `value_range` says what is black and white.
(H, W) is grey; of three axes the one of 1 or 3 channels is the last or the first, and an array where both could be is
refused; 4 channels, the last of them alpha, stand last.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from convscope.arrays import Array
from convscope.data.records import Pixels
from convscope.data.value_range import AUTO, ValueRange, to_levels
from convscope.files.regular import UnreadableError

FIRST, LAST = (1, 3), (1, 3, 4)
SHAPES = "(H, W), (H, W, C) or (C, H, W) of 1 or 3 channels, or (H, W, 4)"


def is_numbers(given: Any) -> bool:
    """Return whether this is a NumPy array or a tensor."""
    torch = sys.modules.get("torch")
    return isinstance(given, np.ndarray) or (torch is not None and isinstance(given, torch.Tensor))


def numbers_of(given: Any) -> Array:
    """Return an array as it is, and a tensor as an array, which shares its memory where it can.

    Raises:
        UnreadableError: a tensor without numbers, such as one on the meta device.
    """
    if isinstance(given, np.ndarray):
        return given
    torch = sys.modules["torch"]
    tensor = given.detach()
    try:
        # NumPy has no bfloat16.
        found: Array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).cpu().numpy()
    except (RuntimeError, TypeError) as error:  # meta, sparse, quantized
        reason = " ".join(str(error).split()).partition(".")[0]
        raise UnreadableError(f"its numbers can't be read: {reason}") from None
    return found


def as_pixels(array: Array, value_range: str = AUTO) -> Pixels:
    """Return the pixels of one image, uint8 (H, W, C); (1, H, W, C) and (1, C, H, W) are one image too.

    Raises:
        UnreadableError: axes, a type or numbers that are no image's.

    >>> as_pixels(np.ones((3, 8, 6), np.float32)).shape, int(as_pixels(np.full((8, 6), 0.5)).max())
    ((8, 6, 3), 128)
    """
    one = array[0] if array.ndim == 4 and len(array) == 1 else array
    if one.ndim not in (2, 3):
        several = ", which is several images" if one.ndim == 4 else ""
        raise UnreadableError(f"an array of {array.dtype} {array.shape}{several}: give {SHAPES}")
    return as_levels(one[:, :, None] if one.ndim == 2 and one.size else channels_last(one), value_range)


def channels_last(array: Array) -> Array:
    """Return an image (H, W, C) or (C, H, W), or a batch of such ones, with its channels last; a view.

    Raises:
        UnreadableError: neither the first nor the last axis of an image is one of channels, or both could be.
    """
    shape = array.shape
    described = f"an array of {array.dtype} {shape}"
    if not array.size:
        raise UnreadableError(f"an empty array {shape}: it has no pixels")
    if array.ndim not in (3, 4) or (shape[-3] not in FIRST and shape[-1] not in LAST):
        raise UnreadableError(f"{described}: give {SHAPES}")
    if shape[-1] not in LAST:
        return np.moveaxis(array, -3, -1)
    if shape[-3] in FIRST:
        raise UnreadableError(f"{described} can be (H, W, C) or (C, H, W): give a PIL image, whose sides are known")
    return array


def as_levels(array: Array, value_range: str = AUTO) -> Pixels:
    """Return the numbers of one image as uint8 of the same shape; raises UnreadableError.

    uint8 stay as they are; 0 to 1 become 0 to 255, or with a value range its ends, or each image's own.
    """
    if array.dtype == np.uint8:
        return array
    by_range = ValueRange.parse(value_range)
    if not by_range.is_auto and array.dtype.kind in "iuf":
        if array.shape[-1] == 4:
            raise UnreadableError(f"an array of {array.dtype} {array.shape}: value_range does not apply to alpha")
        return to_levels(array, by_range.ends([array], array.size))
    if array.dtype.kind != "f":
        # A range applies to integers; of truth values, objects and complex numbers there is none.
        ranged = ", or a value_range" if array.dtype.kind in "iu" else ""
        forms = f"uint8 (0 to 255), or floating-point numbers of 0 to 1{ranged}"
        raise UnreadableError(f"an array of {array.dtype} {array.shape}: give {forms}")
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise UnreadableError(f"an array of {array.dtype} {array.shape} that holds NaN or infinity")
    if low < 0 or high > 1:
        raise UnreadableError(
            f"floating-point numbers of {low:.4g} to {high:.4g}: an image's are 0 (black) to 1 (white): "
            "scale them to that, or give a value_range"
        )
    levels: Pixels = np.rint(array * (array.dtype.type(255) if array.dtype.itemsize > 2 else np.float32(255))).astype(
        np.uint8
    )
    return levels
