"""Small images, kernels and signals of the first lessons."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from convscope.arrays import Array
from convscope.course.record import WidgetRecord
from convscope.exercises.chapters.convolution import BLUR, IDENTITY
from convscope.reference.edges import BRIGHT_LEFT, CORNERS, DARK_LEFT, HORIZONTAL, NUMBERS, SCHARR, SOBEL, VERTICAL

SIDE = 48  # of the sample picture
KERNELS: Mapping[str, Array] = {
    "vertical": VERTICAL,
    "horizontal": HORIZONTAL,
    "sobel": SOBEL,
    "scharr": SCHARR,
    "blur": np.array(BLUR, dtype=np.float64),
    "identity": np.array(IDENTITY, dtype=np.float64),
    "diagonal": np.array([[0.0, 1, 2], [-1, 0, 1], [-2, -1, 0]]),
    "asymmetric": np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]),
}
# Kernels at every angle are whole numbers of hundredths.
ANGLES = tuple(range(0, 360, 15))
# What is heard at each second, and how much of it is left 0, 1, 2, ... seconds later.
SIGNAL = (0, 3, 1, 0, 4, 0, 2, 0)
RESPONSES: Mapping[str, tuple[int, ...]] = {"echo": (4, 2, 1), "average": (1, 1, 1), "difference": (1, -1, 0)}


def sample_picture() -> Array:
    """Return a picture `(48, 48)` of grey values 0 to 255: a disc, a square, bars and a slope.

    >>> picture = sample_picture()
    >>> picture.shape, int(picture.min()), int(picture.max())
    ((48, 48), 10, 250)
    """
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    picture = 10.0 + 120.0 * columns / (SIDE - 1)
    picture[(rows - 15) ** 2 + (columns - 14) ** 2 <= 81] = 250.0
    picture[6:22, 29:43] = 40.0
    picture[10:18, 33:39] = 220.0
    bars = (rows >= 28) & (rows < 44) & (columns >= 4) & (columns < 22)
    picture[bars & (columns // 3 % 2 == 0)] = 235.0
    picture[bars & (columns // 3 % 2 == 1)] = 25.0
    picture[(rows >= 28) & (rows < 44) & (columns >= 27) & (rows - 28 > columns - 27)] = 200.0
    rounded: Array = np.rint(picture)
    return rounded


def kernel_at(degrees: float) -> Array:
    """Return the kernel `(3, 3)` for an edge at an angle: 0 the vertical kernel, 90 the horizontal one.

    >>> kernel_at(90).tolist() == HORIZONTAL.tolist(), float(kernel_at(45)[0, 0])
    (True, 1.41)
    """
    turn = math.radians(degrees)
    kernel: Array = np.round(math.cos(turn) * VERTICAL + math.sin(turn) * HORIZONTAL, 2) + 0.0
    return kernel


def gabor_kernel() -> Array:
    """Return a Gabor kernel `(5, 5)`: a wave from left to right under a Gaussian, in tenths.

    Source: Daugman, "Uncertainty relation for resolution in space, spatial frequency, and orientation" (1985).

    >>> gabor_kernel()[2].tolist()
    [-0.6, 0.0, 1.0, 0.0, -0.6]
    """
    rows, columns = np.mgrid[-2:3, -2:3].astype(np.float64)
    kernel: Array = np.round(np.exp(-(rows**2 + columns**2) / 8) * np.cos(math.pi * columns / 2), 1) + 0.0
    return kernel


def _whole(array: Array) -> list[Any]:
    return [[int(value) for value in row] for row in array]


def _edge_images() -> dict[str, Any]:
    impulse = np.zeros((6, 6))
    impulse[2, 2] = 1
    return {
        "images": {
            "numbers": _whole(NUMBERS),
            "bright-left": _whole(BRIGHT_LEFT),
            "dark-left": _whole(DARK_LEFT),
            "corners": _whole(CORNERS),
            "impulse": _whole(impulse),
            "picture": _whole(sample_picture()),
        },
        "kernels": {**{name: _whole(kernel) for name, kernel in KERNELS.items()}, "gabor": gabor_kernel().tolist()},
        "angles": {str(degrees): kernel_at(degrees).tolist() for degrees in ANGLES},
        "signal": list(SIGNAL),
        "responses": {name: list(values) for name, values in RESPONSES.items()},
    }


RECORDS: Mapping[str, WidgetRecord] = {"edge-images": WidgetRecord(make=_edge_images, choices={})}
