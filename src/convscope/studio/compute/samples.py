"""The small images that the page offers, drawn by our own code: shapes, bars, rings, a gradient, one bright pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from convscope.arrays import Floats
from convscope.data.known_answer import known_answers
from convscope.data.records import Pixels
from convscope.data.shape_drawing import Floats32
from convscope.errors import DataError, did_you_mean

SIDE = 224
PERIOD = 16  # pixels of a bar and a gap, of two rings, of two fields of the checkerboard


def drawn_sample(name: str, side: int = SIDE) -> Pixels:
    """Return a sample by name as uint8 (side, side, 3).

    Raises:
        DataError: there is no such sample.

    >>> drawn_sample("pixel", 5)[:, :, 0].max(axis=0).tolist()
    [0, 0, 255, 0, 0]
    """
    if name in _LEVELS:
        down, right = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
        levels = np.rint(255 * np.clip(_LEVELS[name](down.astype(float), right.astype(float), side), 0, 1))
        return np.repeat(levels.astype(np.uint8)[:, :, None], 3, axis=2)
    if name in _SHAPES:
        number, variant, textured = _SHAPES[name]
        made = known_answers(number + 1, size=side, variant=variant, textured=textured, seed=3)  # type: ignore[arg-type]
        found: Pixels = made.images[number]
        return found
    raise DataError(f"there is no sample {name!r}.{did_you_mean(name, (*_LEVELS, *_SHAPES))}")


def as_input(pixels: Pixels, shape: Sequence[int]) -> Floats32:
    """Return a picture as an input (1, C, *S) of a network that takes no picture, from 0 to 1.

    Grey levels are repeated in every channel and slice; a signal is the middle row.

    >>> as_input(np.full((4, 4, 3), 255, np.uint8), (2, 3, 5, 5)).shape
    (1, 2, 3, 5, 5)
    """
    channels, *sizes = shape
    height, width = (1, *sizes)[-2:] if len(sizes) == 1 else sizes[-2:] if sizes else (1, 1)
    grey = np.asarray(pixels, np.float32).mean(axis=2) / 255
    rows = (np.arange(height) + 0.5) * grey.shape[0] / height
    columns = (np.arange(width) + 0.5) * grey.shape[1] / width
    plane = grey[rows.astype(int)][:, columns.astype(int)]
    plane = plane.reshape(sizes) if len(sizes) < 2 else plane
    found: Floats32 = np.array(np.broadcast_to(plane, (1, channels, *sizes)), order="C")  # a copy: torch wants to write
    return found


def _bars(down: Floats, right: Floats, side: int) -> Floats:
    found: Floats = ((right // (PERIOD / 2)) % 2).astype(np.float64)
    return found


def _rings(down: Floats, right: Floats, side: int) -> Floats:
    found: Floats = 0.5 + 0.5 * np.cos(np.hypot(down - side / 2, right - side / 2) * (2 * np.pi / PERIOD))
    return found


def _gradient(down: Floats, right: Floats, side: int) -> Floats:
    found: Floats = right / max(1, side - 1)
    return found


def _checkerboard(down: Floats, right: Floats, side: int) -> Floats:
    found: Floats = ((down // (PERIOD / 2) + right // (PERIOD / 2)) % 2).astype(np.float64)
    return found


def _pixel(down: Floats, right: Floats, side: int) -> Floats:
    found: Floats = ((down == side // 2) & (right == side // 2)).astype(np.float64)
    return found


_LEVELS: Mapping[str, Callable[[Floats, Floats, int], Floats]] = {
    "bars": _bars, "rings": _rings, "gradient": _gradient, "checkerboard": _checkerboard, "pixel": _pixel,
}  # fmt: skip
_SHAPES: Mapping[str, tuple[int, str, bool]] = {
    "0": (0, "plain", False), "1": (1, "plain", True), "2": (2, "distractor", False),
}  # fmt: skip
