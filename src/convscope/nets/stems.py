"""The choice of a stem for small images."""

from __future__ import annotations

from collections.abc import Sequence

# ImageNet's stems divide a side by 4 before the first block; below this many pixels hardly any map would be left.
SMALL_IMAGE = 64


def takes_small_stem(stem: str, image_size: Sequence[int]) -> bool:
    """Return whether `stem` ("auto", "imagenet" or "small") is the small one for images of this size, in pixels.

    >>> takes_small_stem("auto", (32, 32)), takes_small_stem("auto", (64, 64)), takes_small_stem("small", (224, 224))
    (True, False, True)
    """
    return stem == "small" or (stem == "auto" and min(image_size) < SMALL_IMAGE)
