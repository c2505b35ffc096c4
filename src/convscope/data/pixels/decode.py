"""Decode an image file to pixels, uint8 (H, W, C), as the model's decoding states.

A JPEG goes through simplejpeg where that is installed, everything else through Pillow; the pixels are the same, since
both use libjpeg-turbo and neither its fast transform nor its fast upsampling is ever used. A photograph of six times
the sides that it is resized to is decoded by libjpeg at a half, a quarter or an eighth of them (`reduced`),
and what is cut out of it is the same to a fraction of a pixel.
Colour profiles are not applied. Of several frames or pages the first is taken.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.api.warning_filters import warnings_ignored
from convscope.data.listing import DecodedImage, content_digest
from convscope.data.pixels.budget import FILE_BYTES, PIXELS
from convscope.data.pixels.flatten import EIGHT_BITS, flatten
from convscope.data.pixels.jpeg import decode_jpeg
from convscope.data.pixels.libtiff import complaints, listens
from convscope.data.pixels.png import check_rows, is_interlaced, without_texts
from convscope.data.pixels.reduced import Reduced, reduction_of
from convscope.data.pixels.resize import centred_box, crop_box, letterbox_size
from convscope.data.pixels.sniff import Header, format_of
from convscope.data.pixels.structure import read_header
from convscope.data.pixels.tiff import check_strips, unread_kind
from convscope.data.records import MOST_MEGAPIXELS, Decoding, Pixels
from convscope.data.value_range import AUTO
from convscope.errors import DataError
from convscope.files.regular import UnreadableError, open_descriptor, read_whole

if TYPE_CHECKING:
    from PIL import Image as Pillow

HEAD_BYTES = 4096
# What is worth saying of an image that was read all the same; counted over a dataset.
NOT_READ = "are not read: save it as RGB of 8 bits, as grey of 8 or 16, or as grey floating-point numbers of 32"
FIRST_FRAME = "several frames or pages, of which the first was read"

_ORIENTATION = 0x0112


def decode_image(path: str | os.PathLike[str], decoding: Decoding) -> Pixels:
    """Decode one image file to uint8 (H, W, C); raises DataError with the path and the reason.

    >>> decode_image("nowhere.jpg", Decoding(size=(32, 32)))
    Traceback (most recent call last):
    ...
    convscope.errors.DataError: nowhere.jpg: no such file
    """
    try:
        with warnings_ignored():
            pixels = decode_file(os.fspath(path), decoding).pixels
    except UnreadableError as reason:
        raise DataError(f"{os.fspath(path)}: {reason}") from None
    return pixels


def decode_file(path: str, decoding: Decoding) -> DecodedImage:
    """Decode one file: its pixels, a remark or None, and the digest of its bytes; raises UnreadableError.

    The caller silences Pillow's warnings, as that is process-wide and many threads call this.
    """
    descriptor, size = open_descriptor(path)
    try:
        if size >= FILE_BYTES.small:
            # A large file that is no image is not read to its end.
            format_of(read_whole(descriptor, HEAD_BYTES))
            with FILE_BYTES.reserve(size):
                return decode_content(read_whole(descriptor, size), decoding)
        data = read_whole(descriptor, size)
    finally:
        os.close(descriptor)
    return decode_content(data, decoding)


def decode_content(data: bytes, decoding: Decoding) -> DecodedImage:
    """Decode an image file's bytes: pixels, a remark or None, and the digest of the bytes; raises UnreadableError."""
    pixels, remark = decode_bytes(data, decoding)
    return DecodedImage(pixels, remark, content_digest(data))


def decode_bytes(data: bytes, decoding: Decoding) -> tuple[Pixels, str | None]:
    """Decode an image file's bytes to uint8 (H, W, C), and a remark or None; raises UnreadableError.

    Only the steps that read the bytes (`read_header`, `decode_jpeg`, `_load`) convert exceptions to UnreadableError.
    """
    header = read_header(data, pixel_limit=decoding.pixel_limit)
    pixels = header.width * header.height
    if pixels < PIXELS.small:
        return _decode(data, header, decoding)
    with PIXELS.reserve(pixels):
        return _decode(data, header, decoding)


def _decode(data: bytes, header: Header, decoding: Decoding) -> tuple[Pixels, str | None]:
    if header.format != "JPEG":
        return _decode_with_pillow(data, header, decoding, 1)
    upright = _jpeg_orientation(data) if header.has_metadata else 1
    short = header.width < decoding.reduced_from > header.height
    factor = 1 if short else reduction_of((header.width, header.height), upright, decoding)
    least = None if factor == 1 else (-(-header.height // factor), -(-header.width // factor))
    pixels = decode_jpeg(data, header.components, least)
    if pixels is None:
        return _decode_with_pillow(data, header, decoding, factor)
    remark = None if decoding.value_range == AUTO else EIGHT_BITS
    if pixels.shape == decoding.image_shape and upright == 1:
        return pixels, remark
    image = from_array(pixels)
    del pixels  # as large as the image
    return fit(turned(image, upright), decoding, Reduced.of((header.width, header.height), upright, factor)), remark


def _jpeg_orientation(data: bytes) -> int:
    """Return the orientation in a JPEG's metadata, 1 if they can't be read; the pixels are not decoded."""
    try:
        image = open_with_pillow(data, "JPEG")
    except Exception:
        return 1
    with image:
        return orientation(image)


def open_with_pillow(data: bytes, name: str) -> Pillow.Image:
    """Open an image file's bytes with the one decoder of Pillow for the format of their first bytes.

    Raises any exception that Pillow raises.
    """
    # Imported by name: Pillow's own search for plugins is not safe among threads.
    from PIL import Image, MpoImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401 - registers the formats

    Image.preinit()
    return Image.open(io.BytesIO(data), formats=(name,))


def _decode_with_pillow(data: bytes, header: Header, decoding: Decoding, factor: int) -> tuple[Pixels, str | None]:
    image, several = _load(data, header, decoding.pixel_limit, factor)
    with image:
        upright = orientation(image)
        flat, remark = flatten(image, decoding, depth=header.depth, white=header.white)
    remark = remark or (FIRST_FRAME if several else None)
    reduced = Reduced.of((header.width, header.height), upright, factor)
    return fit(turned(flat, upright), decoding, reduced), remark


def decode_pillow(image: Pillow.Image, decoding: Decoding) -> tuple[Pixels, str | None]:
    """Return an opened image as uint8 (H, W, C), upright, and a remark or None; raises UnreadableError."""
    flat, remark = flatten(image, decoding)
    return fit(turned(flat, orientation(image)), decoding), remark


def _load(data: bytes, header: Header, pixel_limit: int, factor: int) -> tuple[Pillow.Image, bool]:
    """Decode an image with Pillow, and return whether it is the first of several; raises UnreadableError.

    A JPEG is decoded at 1/factor of its sides. Pillow refuses a PNG with a large colour profile or text, which are not
    used here: it is decoded without them.
    """
    try:
        return _load_as_it_is(data, header, pixel_limit, factor)
    except UnreadableError:
        bare = without_texts(data) if header.format == "PNG" else data
        if len(bare) == len(data):
            raise
    return _load_as_it_is(bare, header, pixel_limit, factor)


def _load_as_it_is(data: bytes, header: Header, pixel_limit: int, factor: int) -> tuple[Pillow.Image, bool]:
    if header.unchecked and not listens():
        raise UnreadableError("a TIFF whose compression can't be checked for damage here: save it with deflate or LZW")
    if header.format == "TIFF":
        check_strips(data, pixel_limit=pixel_limit)
    with complaints() as said:
        try:
            image = open_with_pillow(data, header.format)
            # A GIF's frame may be larger than its screen, and Pillow enlarges the image then.
            if image.width * image.height > header.width * header.height:
                raise UnreadableError(f"damaged: {image.width}x{image.height} pixels in {header.width}x{header.height}")
            in_order = header.format == "PNG" and not is_interlaced(data)
            mark = _mark_last_row(image) if in_order else None
            several = image.format != "MPO" and bool(getattr(image, "is_animated", False))
            if factor > 1:
                image.draft(None, (header.width // factor, header.height // factor))
            image.load()
        except UnreadableError:
            raise
        except Exception as error:
            # Whatever a decoder raises on bytes from strangers, its meaning is that they can't be read.
            reason = said[0] if said else " ".join(str(error).split()) or type(error).__name__
            if "cannot identify" in reason:
                kind = unread_kind(data) if header.format == "TIFF" else ""
                reason = f"its pixels are {kind}, which {NOT_READ}" if kind else "damaged: its header can't be read"
            if type(error).__name__ == "DecompressionBombError":
                reason = f"it claims more than {MOST_MEGAPIXELS} megapixels, the limit"
            raise UnreadableError(reason[:200]) from None
    if said:
        raise UnreadableError(f"{header.format} damaged: {said[0]}")
    if header.format == "PNG" and (not in_order or image.getpixel((0, image.height - 1)) == mark):
        check_rows(data)
    return image, several


def _mark_last_row(image: Pillow.Image) -> Any:
    """Give the first pixel of the last row a value, before the image is decoded, and return it.

    Pillow leaves the rows that a PNG's data does not reach unchanged, without an error. So if the value is still there,
    the rows are counted; those of an interlaced PNG always are.
    """
    image.load_prepare()  # type: ignore[attr-defined]
    place = 0, image.height - 1
    bands = len(image.getbands())
    access = image.im.pixel_access(False)
    access[place] = 1 if bands == 1 else (1, *[0] * (bands - 1))
    return access[place]


def from_array(pixels: Pixels) -> Pillow.Image:
    """Return uint8 (H, W, 1), (H, W, 3) or (H, W, 4), the last as CMYK in JPEG's inverted form, as an image."""
    from PIL import Image

    height, width, channels = pixels.shape
    if channels == 4:
        cmyk = Image.frombytes("CMYK", (width, height), pixels.tobytes(), "raw", "CMYK;I")
        return cmyk.convert("RGB")
    return Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)


def orientation(image: Pillow.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) if it is missing or invalid."""
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        # Broken EXIF says nothing about the picture.
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def turned(image: Pillow.Image, orientation: int) -> Pillow.Image:
    """Turn the image upright (EXIF 2.3, 4.6.4: where the first row and column of the file are in the scene)."""
    from PIL import Image

    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def fit(image: Pillow.Image, decoding: Decoding, reduced: Reduced | None = None) -> Pixels:
    """Resize an image of mode L or RGB (bilinear, antialiased) as the decoding states: uint8 (H, W, C).

    Of an image that was decoded at a reduced size, what is cut out is computed in the pixels of its full size.
    """
    from PIL import Image

    height, width = decoding.size
    mode = "L" if decoding.channels == 1 else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    size = image.size if reduced is None else reduced.size
    if size != (width, height):
        bilinear = Image.Resampling.BILINEAR
        box = crop_box(size, (width, height)) if decoding.resize_mode == "crop" else (0, 0, *size)
        here = box if reduced is None else reduced.box(box)
        if decoding.resize_mode == "letterbox":
            inner = letterbox_size(size, (width, height))
            frame = Image.new("RGB", (width, height), decoding.background).convert(image.mode)
            frame.paste(image.resize(inner, bilinear, box=here), centred_box(inner, (width, height)))
            image = frame
        else:
            image = image.resize((width, height), bilinear, box=here)
    return np.array(image, dtype=np.uint8).reshape(decoding.image_shape)
