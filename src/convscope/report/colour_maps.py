"""Colours of numbers: cividis from 0 up, blue to orange around 0, grey for intensities; what is no number is hatched.

The colour maps are read alike with and without colour vision, and by their lightness alone. A scale has its ends as
numbers, so that pictures that are compared share one, and a constant map is one colour rather than stretched noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from convscope.arrays import Array, Booleans, Floats, Rgb

ScaleKind = Literal["sequential", "diverging", "grey"]

# Colours at equal distances, lowest first. Cividis: Nuñez, Anderton and Renslow 2018, "Optimizing colormaps with
# consideration for color vision deficiency". The diverging one is as dark at either end, and lightest at 0.
_STOPS: dict[ScaleKind, tuple[str, ...]] = {
    "sequential": ("#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55",
                   "#fee838"),
    "diverging": ("#0b3a6f", "#2a6aa9", "#6aa3d3", "#b3d0e6", "#f5f5f3", "#f3c69b", "#de8f45", "#ab5a10", "#6b3204"),
    "grey": ("#000000", "#ffffff"),
}  # fmt: skip
# Stripes where values are no numbers: pixels of one at least, and how many go into a picture's longer side at most.
_STRIPE, _MOST_STRIPES = 3, 36
# Colours of a scale, but for one: with those of the stripes they fit into a palette of 256, and one is in the middle.
_LEVELS = 250
_STRIPES = np.array([[236, 236, 236], [150, 150, 150]], np.uint8)
# Below this share of the largest absolute value, differences are float32's rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class ColourScale:
    """Colours for the numbers between two ends; what lies beyond an end has its colour.

    Args:
        kind: "sequential" (cividis), "diverging" (blue below, orange above the middle) or "grey".
        low: the number of the first colour.
        high: the number of the last colour.

    >>> ColourScale.of(np.array([0.0, 2.0, np.nan])), ColourScale.of(np.array([-3.0, 1.0]))
    (ColourScale(kind='sequential', low=0.0, high=2.0), ColourScale(kind='diverging', low=-3.0, high=3.0))
    """

    kind: ScaleKind
    low: float
    high: float

    @classmethod
    def of(cls, *values: Array, kind: ScaleKind | None = None) -> ColourScale:
        """Return the scale of arrays that are compared: from 0 where no value is negative, else around 0.

        Args:
            values: numbers of any shape; those that are not finite are left out.
            kind: the kind of scale; chosen by the sign of the values unless given.
        """
        finite = [found for found in (_finite(array) for array in values) if found.size]
        low = min((float(found.min()) for found in finite), default=0.0)
        high = max((float(found.max()) for found in finite), default=0.0)
        chosen: ScaleKind = kind or ("diverging" if low < 0 else "sequential")
        if chosen == "diverging":
            return cls(chosen, -max(-low, high), max(-low, high))
        return cls(chosen, min(0.0, low) if chosen == "sequential" else low, high)

    def colours(self, values: Array) -> Rgb:
        """Return the colour of each number, (..., 3); the first colour for those that are no numbers."""
        stops = _stops(self.kind)
        places = np.linspace(0, 1, len(stops))
        # Halves first: the difference of two large numbers may be beyond float64.
        half = self.high / 2 - self.low / 2
        if half > 0:
            share = (np.asarray(values, np.float64) / 2 - self.low / 2) / half
        else:
            share = np.full(np.shape(values), 0.5 if self.kind == "diverging" else 0.0)
        share = np.clip(np.where(np.isnan(share), 0.0, share), 0.0, 1.0)
        share = np.round(share * _LEVELS) / _LEVELS
        channels = [np.interp(share, places, stops[:, channel]) for channel in range(3)]
        return np.round(np.stack(channels, axis=-1)).astype(np.uint8)

    def picture(self, values: Array, *, least: int = 0) -> Rgb:
        """Return a map of numbers (H, W) as pixels (H', W', 3), its cells enlarged whole, without interpolation.

        Args:
            values: the map; cells that are not finite are hatched.
            least: enlarge until the longer side has as many pixels.
        """
        pixels = enlarged(self.colours(values), least)
        missing = ~np.isfinite(np.asarray(values, np.float64))
        return hatched(pixels, enlarged(missing, least)) if missing.any() else pixels

    def strip(self, length: int = 256) -> Rgb:
        """Return the colours from the first to the last, (1, length, 3)."""
        return ColourScale(self.kind, 0.0, 1.0).colours(np.linspace(0, 1, length))[None]

    @property
    def ticks(self) -> tuple[float, ...]:
        """The numbers to print along the colours: both ends, and 0 where it is between them."""
        if self.low == self.high:
            return (self.low,)
        return (self.low, 0.0, self.high) if self.low < 0 < self.high else (self.low, self.high)


def enlarged(pixels: Array, least: int) -> Array:
    """Return an array (H, W, ...) with every cell repeated, until the longer side has `least` cells or more.

    >>> enlarged(np.array([[1, 2]]), 4).tolist()
    [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    times = max(1, math.ceil(least / max(1, *pixels.shape[:2])))
    return pixels.repeat(times, axis=0).repeat(times, axis=1) if times > 1 else pixels


def reduced(pixels: Rgb, most: int) -> Rgb:
    """Return a picture (H, W, 3) whose longer side has at most `most` pixels: means of square blocks of them.

    >>> reduced(np.zeros((500, 300, 3), np.uint8), 168).shape
    (166, 100, 3)
    """
    times = -(-max(pixels.shape[:2]) // most)
    high, wide = (max(1, side // times) for side in pixels.shape[:2])
    if times == 1 or min(pixels.shape[:2]) < times:
        return pixels
    blocks = pixels[: high * times, : wide * times].reshape(high, times, wide, times, 3)
    means: Floats = blocks.mean(axis=(1, 3), dtype=np.float64)
    return np.rint(means).astype(np.uint8)


def hatched(pixels: Rgb, where: Booleans) -> Rgb:
    """Return pixels (H, W, 3) with diagonal stripes where there is nothing to show: no number, or outside an image."""
    diagonals = np.add.outer(np.arange(where.shape[0]), np.arange(where.shape[1]))
    stripes = _STRIPES[diagonals // max(_STRIPE, max(where.shape) // _MOST_STRIPES) % 2]
    return np.where(where[..., None], stripes, pixels)


def takes_black_text(colours: Rgb) -> Booleans:
    """Return whether black text has a higher contrast than white on each colour (..., 3); that is then 4.58 or more.

    Source: WCAG 2.2, "relative luminance" and "contrast ratio".

    >>> takes_black_text(np.array([[118, 118, 118], [117, 117, 117]], np.uint8)).tolist()
    [True, False]
    """
    shares = np.asarray(colours, np.float64) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    luminance: Floats = linear @ np.array([0.2126, 0.7152, 0.0722])
    return (luminance + 0.05) ** 2 > 1.05 * 0.05


def is_constant(values: Array) -> bool:
    """Return whether all finite numbers are equal but for float32's rounding.

    >>> is_constant(np.array([0.1, 0.1 + 1e-9])), is_constant(np.array([0.0, 1e-9])), is_constant(np.zeros(3))
    (True, False, True)
    """
    found = _finite(values)
    if not found.size:
        return True
    low, high = float(found.min()), float(found.max())
    return low == high or high / 2 - low / 2 <= _ROUNDING * max(abs(low), abs(high)) / 2


def range_text(values: Array) -> str:
    """Return the range of numbers in words: "0 to 3.2", "all 0.5", how many are not finite.

    >>> range_text(np.array([0, 3.2])), range_text(np.full(4, 0.5)), range_text(np.array([1, 2, np.nan]))
    ('0 to 3.2', 'all 0.5', '1 to 2; 1 of 3 not finite')
    """
    array = np.asarray(values)
    found = _finite(array)
    if not array.size:
        return "no values"
    if not found.size:
        return "no finite value"
    low, high = float(found.min()), float(found.max())
    text = f"all {number_text(low)}" if is_constant(found) else f"{number_text(low)} to {number_text(high)}"
    missing = array.size - found.size
    return text if not missing else f"{text}; {missing:,} of {array.size:,} not finite"


def number_text(number: float) -> str:
    """Return a number in three digits, as pictures print it.

    >>> [number_text(x) for x in (0, -0.0, 1, 12.345, 0.00012345, 123456)]
    ['0', '0', '1', '12.3', '0.000123', '1.23e+05']
    """
    return f"{number + 0.0:.3g}" if number else "0"


def largest_cells(values: Array, count: int = 5) -> list[tuple[float, tuple[int, ...]]]:
    """Return the cells of largest absolute value, first the largest; equal ones in the order of their positions.

    >>> largest_cells(np.array([[1.0, -4.0], [np.nan, 4.0]]), 2)
    [(-4.0, (0, 1)), (4.0, (1, 1))]
    """
    array = np.asarray(values, np.float64)
    strength = np.where(np.isfinite(array), np.abs(array), -1.0).ravel()
    # Of a large map only those are sorted that may be among the first.
    least = np.partition(strength, -count)[-count] if 0 < count < strength.size else -1.0
    among = np.flatnonzero(strength >= least)
    order = among[np.argsort(-strength[among], kind="stable")[:count]]
    places = [np.unravel_index(int(flat), array.shape) for flat in order if strength[flat] >= 0]
    return [(float(array[place]), tuple(int(i) for i in place)) for place in places]


def _finite(values: Array) -> Floats:
    array = np.asarray(values, np.float64)
    return array[np.isfinite(array)]


def _stops(kind: ScaleKind) -> Floats:
    return np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in _STOPS[kind]], np.float64)
