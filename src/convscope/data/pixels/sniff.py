"""The format of an image file by its first bytes, and the limits of size.

Every reason to skip an image is an `UnreadableError`. Only the bytes of the file, or a decoder's exception, may cause
one: an exception of our own code never does.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from convscope.data.records import MEGAPIXELS, MOST_MEGAPIXELS
from convscope.files.regular import UnreadableError
from convscope.report.file_kinds import kind_by_start, read_format
from convscope.report.usage import settings_text

PIXEL_LIMIT = MEGAPIXELS * 10**6
_TOO_LARGE = re.compile(r"(\d+)x(\d+) is \d+ megapixels; ")
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


def megapixels_of(reason: str) -> int | None:
    """Return the limit that admits an image, from the reason of `check_size`; None for any other, or where none does.

    >>> megapixels_of("9000x7001 is 63 megapixels; the limit is 50"), megapixels_of("90000x9000 is 810 megapixels; ...")
    (64, None)
    """
    found = _TOO_LARGE.match(reason)
    needed = 0 if found is None else -(-int(found[1]) * int(found[2]) // 10**6)
    return needed if 0 < needed <= MOST_MEGAPIXELS else None


def advised(reason: str) -> str:
    """Return the reason for which an image is refused, with the setting that reads it where there is one.

    Reasons are kept without: the cache is read from Python and by commands, which call settings by other names.

    >>> advised("9000x7000 is 63 megapixels; the limit is 50")
    '9000x7000 is 63 megapixels; the limit is 50: max_megapixels=63 reads it'
    """
    needed = megapixels_of(reason)
    return reason if needed is None else f"{reason}: {settings_text(max_megapixels=needed)} reads it"


def check_size(width: int, height: int, limit: int) -> None:
    """Raise UnreadableError for an image without pixels, or with more than the limit."""
    if width < 1 or height < 1:
        raise UnreadableError(f"an image of {width}x{height} pixels")
    if width * height > limit:
        raise UnreadableError(
            f"{width}x{height} is {width * height / 1e6:.0f} megapixels; the limit is {limit // 10**6}"
        )
