"""Chapter 5: a picture that is shifted, its map, and what pooling makes of it.

The picture wraps around at its borders, and so do all windows: nothing but the pooling can keep a map from moving with
the picture. A map that was pooled with stride s then depends on a shift of d pixels through d mod s alone, its
*phase*: pooled(d) is pooled(d mod s), moved by floor(d / s) cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from convscope.arrays import Array, Floats
from convscope.course.record import WidgetRecord
from convscope.data.shape_drawing import SHAPES, ShapesDrawn, drawn_over
from convscope.data.sources.digits import load_digits
from convscope.reference.edges import SOBEL

SIDE = 32
DIGIT = 7  # the number of a built-in digit
STRIDE = 2  # of one pooling
_DARK, _BRIGHT = 20, 235


def picture(name: str) -> Floats:
    """Return a grey picture (32, 32) of 0 to 255: a shape, "digit" or "bars".

    >>> picture("ring").shape, float(picture("bars")[0, 0])
    ((32, 32), 20.0)
    """
    ground = np.full((SIDE, SIDE), float(_DARK))
    if name == "bars":
        ground[8:24, 9:23] = np.where(np.arange(14) % 2 == 0, _BRIGHT, _DARK)
        return ground
    if name == "digit":
        pixels, _ = load_digits()
        ground[8:24, 8:24] = np.maximum(_DARK, np.kron(pixels[DIGIT, :, :, 0], np.ones((2, 2))))
        return ground
    shape = ShapesDrawn(
        shapes=np.array([SHAPES.index(name)]),
        centres=np.array([[SIDE / 2, SIDE / 2]]),
        radii=np.array([9.0]),
        angles=np.array([0.2]),
        colours=np.full((1, 3), _BRIGHT, np.float32),
    )
    flat = np.full((1, SIDE, SIDE, 3), _DARK, np.float32)
    found: Floats = np.rint(drawn_over(flat, shape, slice(0, 1), SIDE)[0][0, :, :, 0].astype(np.float64))
    return found


def edges(image: Floats) -> Floats:
    """Return ReLU of an image under the Sobel kernel, the image wrapped around: of the same size.

    >>> edges(np.eye(4))[1].tolist()
    [0.0, 0.0, 2.0, 0.0]
    """
    found = np.zeros_like(image)
    for row in range(3):
        for column in range(3):
            found += SOBEL[row, column] * np.roll(image, (1 - row, 1 - column), (0, 1))
    return np.maximum(found, 0)


def max_pooled(map_: Array) -> Array:
    """Return the maximum of each 2x2 window, stride 2.

    >>> max_pooled(np.arange(16).reshape(4, 4)).tolist()
    [[5, 7], [13, 15]]
    """
    found: Array = _windows(map_).max(axis=(1, 3))
    return found


def average_pooled(map_: Array) -> Array:
    """Return the mean of each 2x2 window, stride 2."""
    found: Array = _windows(map_).mean(axis=(1, 3))
    return found


def blur_pooled(map_: Array) -> Array:
    """Return the maximum of the 2x2 window at every cell, blurred by 1 2 1 along both axes; of that every second cell.

    Zhang, "Making convolutional networks shift-invariant again" (2019), section 3.2; the map is wrapped around.
    """
    dense = np.maximum.reduce([np.roll(map_, (-row, -column), (0, 1)) for row in (0, 1) for column in (0, 1)])
    for axis in (0, 1):
        dense = (np.roll(dense, 1, axis) + 2 * dense + np.roll(dense, -1, axis)) / 4
    found: Array = dense[::STRIDE, ::STRIDE]
    return found


POOLINGS: Mapping[str, Callable[[Array], Array]] = {
    "max": max_pooled, "average": average_pooled, "blur": blur_pooled,
}  # fmt: skip


def equivariance_error(map_: Array, shift: tuple[int, int], pool: Callable[[Array], Array], stride: int) -> float:
    """Return ||pool(shifted map) - pool(map) moved by the nearest whole cells|| / ||pool(map) - mean||.

    `convscope.equivariance` measures the same of a network's layers.

    Args:
        map_: (H, W), wrapped around at its borders.
        shift: in cells of the map, down and right.
        pool: what is done to the map.
        stride: of the pooling, in cells of the map.

    >>> map_ = np.arange(16.0).reshape(4, 4) % 5
    >>> equivariance_error(map_, (2, 0), max_pooled, 2), equivariance_error(map_, (1, 0), max_pooled, 2) > 0.1
    (0.0, True)
    """
    pooled = pool(map_)
    cells = tuple(int(np.floor(distance / stride + 0.5)) for distance in shift)
    apart = pool(np.roll(map_, shift, (0, 1))) - np.roll(pooled, cells, (0, 1))
    return float(np.linalg.norm(apart) / np.linalg.norm(pooled - pooled.mean()))


def interpolated_error(map_: Array, pool: Callable[[Array], Array]) -> float:
    """Return the equivariance error of a shift by one cell to the right, against half a cell of the pooled map.

    The pooled map (H, W) is moved by its Fourier series, so that the half cell itself is in no error.

    >>> wave = np.tile(100 + np.cos(np.arange(16) * np.pi / 8), (16, 1))
    >>> interpolated_error(wave, average_pooled) < 1e-9
    True
    """
    pooled = pool(map_)
    turned = np.exp(-2j * np.pi * np.fft.fftfreq(pooled.shape[1]) / STRIDE)
    moved = np.fft.ifft(np.fft.fft(pooled, axis=1) * turned, axis=1).real
    apart = pool(np.roll(map_, 1, 1)) - moved
    return float(np.linalg.norm(apart) / np.linalg.norm(pooled - pooled.mean()))


def _windows(map_: Array) -> Array:
    rows, columns = map_.shape
    return map_.reshape(rows // STRIDE, STRIDE, columns // STRIDE, STRIDE)


def _repeated(pool: Callable[[Array], Array], times: int) -> Callable[[Array], Array]:
    def done(map_: Array) -> Array:
        for _ in range(times):
            map_ = pool(map_)
        return map_

    return done


def _shifted_picture(picture_name: str, poolings: str) -> dict[str, Any]:
    image = picture(picture_name)
    map_ = edges(image)
    times = int(poolings)
    stride = STRIDE**times
    pooled, errors, means = {}, {}, {}
    for name, once in POOLINGS.items():
        pool = _repeated(once, times)
        phases = [[(down, right) for right in range(stride)] for down in range(stride)]
        maps = [[pool(np.roll(map_, phase, (0, 1))) for phase in row] for row in phases]
        pooled[name] = [[_whole(moved) for moved in row] for row in maps]
        means[name] = [[round(float(moved.mean()), 1) for moved in row] for row in maps]
        errors[name] = [[round(equivariance_error(map_, phase, pool, stride), 3) for phase in row] for row in phases]
    return {
        "side": SIDE, "stride": stride, "picture": _whole(image), "map": _whole(map_), "pooled": pooled,
        "errors": errors, "means": means,
    }  # fmt: skip


def _whole(array: Array) -> list[list[int]]:
    return [[round(float(value)) for value in row] for row in array]


RECORDS: Mapping[str, WidgetRecord] = {
    "shifted-picture": WidgetRecord(
        make=lambda *, picture, poolings: _shifted_picture(picture, poolings),
        choices={"picture": ("ring", "cross", "star", "digit", "bars"), "poolings": ("1", "2")},
    ),
}
