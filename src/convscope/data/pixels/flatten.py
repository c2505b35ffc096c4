"""Convert any mode of Pillow to grey or colour of 8 bits: transparency over a background, more bits by their range."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from convscope.arrays import Array
from convscope.data.records import Decoding
from convscope.data.value_range import AUTO, FORMS, ValueRange, to_levels
from convscope.files.regular import UnreadableError

if TYPE_CHECKING:
    from PIL import Image

Background = tuple[int, int, int]

# What is worth saying of an image that was read all the same; counted over a dataset.
NARROW_RANGE = 6_554
NARROW = f"16-bit with under a tenth of 0 to 65,535 in use, so little contrast is left: set value_range to {FORMS}"
EIGHT_BITS = "8 bits a channel, to which value_range does not apply"

_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
# Modes without transparency that Pillow turns into RGB as they are.
_COLOUR = frozenset({"CMYK", "YCbCr", "RGBX"})
_WITH_ALPHA = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
# Pixels that are rendered at once.
_BAND_PIXELS = 2**20


def flatten(
    image: Image.Image, decoding: Decoding, *, depth: int = 8, white: int = 65_535
) -> tuple[Image.Image, str | None]:
    """Return a decoded image as L or RGB, and a remark or None.

    Transparency is laid over the decoding's background. More than 8 bits of grey become 8 by its `value_range`; at
    auto, 16 bits are divided by 257, so that 65,535 becomes 255. `depth` is the number of bits per sample in the file,
    in which a transparent colour is written, and `white` the value of white in a PPM.

    Raises:
        UnreadableError: a range that the image does not have, that of 32 bits at auto, or a pixel whose index is not in
            the palette.
    """
    mode, background = image.mode, decoding.background
    if mode in ("I", "F") or mode.startswith("I;16"):
        return _from_numbers(image, decoding, white)
    remark = None
    if decoding.value_range != AUTO:
        if depth > 8:
            # Pillow opens grey with alpha as RGBA, too.
            alpha = mode in _WITH_ALPHA
            what, without = ("transparency", " without alpha") if alpha else ("colour", "")
            raise UnreadableError(
                f"16-bit {what} is read with 8 bits, so value_range does not apply: convert it to grey{without}"
            )
        remark = EIGHT_BITS
    if mode == "P":
        return _from_palette(image, background), remark
    if mode in _WITH_ALPHA:
        return _over_background(image, background), remark
    if mode in ("1", "L"):
        grey = image if mode == "L" else image.convert("L")
        return _without_key(grey, _grey_key(image, depth), background), remark
    if mode == "RGB":
        return _without_key(image, _colour_key(image, depth), background), remark
    if mode in _COLOUR:
        return image.convert("RGB"), remark
    raise UnreadableError(f"its pixels are of the kind {mode}, which is not read: convert it to RGB")


def _from_numbers(image: Image.Image, decoding: Decoding, white: int) -> tuple[Image.Image, str | None]:
    """Return grey of 16 bits, of 32-bit integers or of floating-point numbers as grey of 8 bits."""
    from PIL import Image

    by_range = ValueRange.parse(decoding.value_range)
    wide = image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM"))
    if wide and by_range.is_auto:
        numbers = "floating-point numbers" if image.mode == "F" else "32-bit integers"
        raise UnreadableError(f"its pixels are {numbers}, whose range is not known: set value_range to {FORMS}")
    white_is_zero = image.format == "TIFF" and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    key = image.info.get("transparency")
    least, greatest = 65_535, 0

    def values(rows: Image.Image) -> Array:
        numbers = np.asarray(rows)
        # Pillow has multiplied a PPM's numbers up to 65,535.
        scaled = image.format == "PPM" and white != 65_535 and not by_range.is_auto
        return (numbers.astype(np.int64) * white + 32_767) // 65_535 if scaled else numbers

    ends = None if by_range.is_auto else by_range.ends(map(values, _bands(image)), image.width * image.height)

    def render(rows: Image.Image) -> Image.Image:
        nonlocal least, greatest
        numbers = values(rows)
        if ends is None:
            least, greatest = min(least, int(numbers.min())), max(greatest, int(numbers.max()))
            levels = ((numbers.astype(np.uint32) + 128) // 257).astype(np.uint8)
        else:
            levels = to_levels(numbers, ends)
        grey = Image.fromarray(255 - levels if white_is_zero else levels)
        return grey if not isinstance(key, int) else _painted(grey, np.asarray(rows) == key, decoding.background)

    flat = _by_bands(image, render, "RGB" if isinstance(key, int) else "L")
    return flat, NARROW if ends is None and 0 < greatest - least < NARROW_RANGE else None


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
    top = 0
    for rows in _bands(image):
        flat.paste(render(rows), (0, top))
        top += rows.height
    return flat


def _bands(image: Image.Image) -> Iterator[Image.Image]:
    """Yield an image some rows at a time, from the top."""
    band = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, band):
        yield image.crop((0, top, image.width, min(top + band, image.height)))


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
