"""Convert any mode of Pillow to grey or colour of 8 bits: transparency over a background, 16 bits divided by 257."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from convscope.files.regular import UnreadableError

if TYPE_CHECKING:
    from PIL import Image

Background = tuple[int, int, int]

_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
# Modes without transparency that Pillow turns into RGB as they are.
_COLOUR = frozenset({"CMYK", "YCbCr", "RGBX"})
_WITH_ALPHA = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
# Pixels that are rendered at once.
_BAND_PIXELS = 2**20


def flatten(image: Image.Image, background: Background, *, depth: int = 8) -> tuple[Image.Image, bool]:
    """Return a decoded image as L or RGB, and whether it is 16-bit and dark.

    Transparency is laid over the background. 16-bit grey is divided by 257, so that 65,535 becomes 255. `depth` is
    the number of bits per sample in the file, in which a transparent colour is written. Raises UnreadableError for
    modes of unknown range, and for a pixel whose index is not in the palette.
    """
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format in ("PNG", "PPM")):
        return _from_16_bits(image, background)
    if mode in ("I", "F"):
        numbers = "32-bit integers" if mode == "I" else "floating-point numbers"
        raise UnreadableError(f"its pixels are {numbers}, whose range is not known: convert it to 8 or 16 bits")
    if mode == "P":
        return _from_palette(image, background), False
    if mode in _WITH_ALPHA:
        return _over_background(image, background), False
    if mode in ("1", "L"):
        grey = image if mode == "L" else image.convert("L")
        return _without_key(grey, _grey_key(image, depth), background), False
    if mode == "RGB":
        return _without_key(image, _colour_key(image, depth), background), False
    if mode in _COLOUR:
        return image.convert("RGB"), False
    raise UnreadableError(f"its pixels are of the kind {mode}, which is not read: convert it to RGB")


def _from_16_bits(image: Image.Image, background: Background) -> tuple[Image.Image, bool]:
    from PIL import Image

    white_is_zero = image.format == "TIFF" and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    key = image.info.get("transparency")
    brightest = 0

    def render(rows: Image.Image) -> Image.Image:
        nonlocal brightest
        values = np.asarray(rows).astype(np.uint32)
        brightest = max(brightest, int(values.max()))
        levels = ((values + 128) // 257).astype(np.uint8)
        grey = Image.fromarray(255 - levels if white_is_zero else levels)
        return grey if not isinstance(key, int) else _painted(grey, values == key, background)

    flat = _by_bands(image, render, "RGB" if isinstance(key, int) else "L")
    return flat, 255 < brightest < 4096


def _from_palette(image: Image.Image, background: Background) -> Image.Image:
    """Convert a palette image, blending the palette's colours with the background instead of each pixel."""
    from PIL import Image

    colours = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    highest = int(np.asarray(image).max())
    if highest >= len(colours):
        raise UnreadableError(f"damaged: a pixel has colour {highest} of a palette of {len(colours)}")
    alpha = np.full(len(colours), 255, np.uint8)
    transparency = image.info.get("transparency")
    if isinstance(transparency, bytes):
        given = np.frombuffer(transparency, np.uint8)[: len(alpha)]
        alpha[: len(given)] = given
    elif isinstance(transparency, int) and 0 <= transparency < len(alpha):
        alpha[transparency] = 0
    row = Image.fromarray(np.concatenate([colours, alpha[:, None]], axis=1)[None])
    opaque = image.copy()
    opaque.info.pop("transparency", None)
    opaque.putpalette(_over_background(row, background).tobytes())
    return opaque.convert("RGB")


def _over_background(image: Image.Image, background: Background) -> Image.Image:
    """Blend an image with alpha over the background, as RGB."""
    from PIL import Image

    def render(rows: Image.Image) -> Image.Image:
        rows = rows.convert("LA") if rows.mode == "La" else rows
        rows = rows.convert("RGBA")
        under = Image.new("RGBA", rows.size, (*background, 255))
        return Image.alpha_composite(under, rows).convert("RGB")

    return _by_bands(image, render, "RGB")


def _by_bands(image: Image.Image, render: Callable[[Image.Image], Image.Image], mode: str) -> Image.Image:
    """Convert an image some rows at a time, since copies of a whole one would need more memory than decoding it."""
    from PIL import Image

    flat = Image.new(mode, image.size)
    band = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, band):
        rows = image.crop((0, top, image.width, min(top + band, image.height)))
        flat.paste(render(rows), (0, top))
    return flat


def _grey_key(image: Image.Image, depth: int) -> tuple[int, ...] | None:
    """Return the transparent level of a grey image, 0 to 255, or None."""
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return None
    if image.mode == "1":
        return (255 if key else 0,)
    # The file has the level in its own depth (PNG, 11.3.2.1: only the lowest bits count), Pillow's pixels in 8 bits.
    most = 2**depth - 1
    return ((key & most) * 255 // most,) if depth < 8 else (key & 255,)


def _colour_key(image: Image.Image, depth: int) -> tuple[int, ...] | None:
    """Return the transparent colour of a colour image, or None; raises UnreadableError if its low bits are lost."""
    key = image.info.get("transparency")
    if not isinstance(key, tuple) or len(key) != 3:
        return None
    if depth == 16:
        raise UnreadableError("16-bit colour with one transparent colour is not read: save it with an alpha channel")
    return tuple(level & 255 for level in key)


def _without_key(image: Image.Image, key: tuple[int, ...] | None, background: Background) -> Image.Image:
    """Replace the pixels of one colour by the background, in an image of mode L or RGB."""
    if key is None:
        return image

    def render(rows: Image.Image) -> Image.Image:
        bands = zip(rows.split(), key, strict=True)
        transparent = functools.reduce(np.logical_and, (np.asarray(band) == level for band, level in bands))
        return _painted(rows, transparent, background)

    return _by_bands(image, render, "RGB")


def _painted(image: Image.Image, where: npt.NDArray[np.bool_], background: Background) -> Image.Image:
    """Replace the pixels of a mask (H, W) by the background, in an image of mode L or RGB; returns RGB."""
    from PIL import Image

    colour = image.convert("RGB")
    colour.paste(background, (0, 0, *image.size), Image.fromarray(where))
    return colour
