"""A map over its image: colours where the map is strong, the image in grey where it is weak."""

from __future__ import annotations

import numpy as np

from convscope.arrays import Array, Floats, Rgb
from convscope.report.colour_maps import ColourScale

STRONGEST = 0.75
"""Share of the map's colour in a pixel where the map is largest."""

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def overlaid(pixels: Array, values: Floats, scale: ColourScale) -> Rgb:
    """Return an image in grey with a map's colours over it, uint8 (H, W, 3).

    Args:
        pixels: the image, uint8 (H, W, 1) or (H, W, 3).
        values: the map, (H, W).
        scale: the colours of its numbers.

    >>> scale = ColourScale("sequential", 0.0, 1.0)
    >>> overlaid(np.full((1, 2, 3), 200, np.uint8), np.array([[0.0, 1.0]]), scale).tolist()
    [[[200, 200, 200], [240, 224, 92]]]
    """
    grey = pixels[..., 0] if pixels.shape[2] < 3 else pixels[..., :3] @ _LUMA
    largest = max(abs(scale.low), abs(scale.high))
    strength = np.abs(np.nan_to_num(values)) / largest if largest else np.zeros_like(values)
    share = STRONGEST * np.clip(strength, 0.0, 1.0)[..., None]
    mixed = (1 - share) * np.asarray(grey, np.float64)[..., None] + share * scale.colours(values)
    found: Rgb = np.round(mixed).astype(np.uint8)
    return found
