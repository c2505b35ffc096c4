"""The format of an image file by its first bytes, and the limits of size.

Every reason to skip an image is an `UnreadableError`. Only the bytes of the file, or a decoder's exception, may cause
one: an exception of our own code never does.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from convscope.data.records import MEGAPIXELS
from convscope.files.regular import UnreadableError
from convscope.report.file_kinds import kind_by_start, read_format

PIXEL_LIMIT = MEGAPIXELS * 10**6
READ_FORMATS = "JPEG, PNG, WebP, GIF, BMP, TIFF and PPM"


class Header(NamedTuple):
    """The header of an image file: `format` is Pillow's name, `width` and `height` are in pixels."""

    format: str
    width: int
    height: int
    # Components of a JPEG: 1 grey, 3 colour, 4 CMYK.
    components: int = 0
    # EXIF or XMP stands in the file, so it may hold an orientation.
    has_metadata: bool = True
    # Bits per sample of a PNG, TIFF or PPM.
    depth: int = 8
    # The value of white in a PPM.
    white: int = 255
    # Each strip, tile or row is decoded by libtiff without a check of ours before: of a TIFF alone.
    unchecked: bool = False


JPEG_START = b"\xff\xd8\xff"
_PPM = re.compile(rb"P[1-6][\s#]")


def format_of(data: bytes) -> str:
    """Return Pillow's name of an image file's format by its first bytes; raise UnreadableError for any other file.

    >>> format_of(b"GIF89a and so on")
    'GIF'
    """
    if not data:
        raise UnreadableError("empty file (0 bytes)")
    if name := read_format(data) or ("PPM" if _PPM.match(data) else None):
        return name
    raise UnreadableError(f"{_name_stranger(data)}; what is read is {READ_FORMATS}")


def _name_stranger(data: bytes) -> str:
    """Return the likely kind of a file that has none of the formats."""
    kind = kind_by_start(data)
    if kind is None:
        return "not an image: the first bytes are of no known format"
    return f"not an image that is read: it is {kind}"


def check_size(width: int, height: int, limit: int) -> None:
    """Raise UnreadableError for an image without pixels, or with more than the limit."""
    if width < 1 or height < 1:
        raise UnreadableError(f"an image of {width}x{height} pixels")
    if width * height > limit:
        raise UnreadableError(
            f"{width}x{height} is {width * height / 1e6:.0f} megapixels; the limit is {limit // 10**6}"
        )
