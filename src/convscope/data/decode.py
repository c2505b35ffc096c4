"""An image file becomes pixels: uint8 (H, W, C), as the model asks, or a reason why not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from convscope.data.records import Decoding, Pixels
from convscope.errors import DataError

if TYPE_CHECKING:
    from PIL import Image


def fit(image: Image.Image, decoding: Decoding) -> Pixels:
    """An image of mode L or RGB, resized and cut to (H, W, C)."""
    from PIL import Image, ImageOps

    height, width = decoding.size
    image = image.convert("L" if decoding.channels == 1 else "RGB")
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels.reshape(decoding.image_shape)


def decode_image(path: str | os.PathLike[str], decoding: Decoding) -> Pixels:
    """One image file as uint8 (H, W, C); raises DataError with the path and the reason."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return fit(image, decoding)
    except OSError as error:
        raise DataError(f"{os.fspath(path)}: {error}") from error
