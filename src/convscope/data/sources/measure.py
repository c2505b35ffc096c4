"""The typical size and channels of image files, from the headers of a few, without decoding."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import TypeVar

from convscope.api.warning_filters import warnings_ignored
from convscope.data.listing import DecodedImage, content_digest
from convscope.data.pixels.decode import decode_file, open_with_pillow, orientation
from convscope.data.pixels.reduced import upright_size
from convscope.data.pixels.structure import read_header
from convscope.data.records import MOST_MEGAPIXELS, Decoding
from convscope.files.regular import UnreadableError, read_bytes

Measured = TypeVar("Measured")

SAMPLE = 48
GREY_MODES = frozenset({"1", "L", "LA", "I;16", "I;16B", "I;16L", "I", "F"})
# Where no header could be read; opening the data will then say why.
UNKNOWN = ((224, 224), 3)


class FileReader:
    """A reader of the rows of a listing of files."""

    reads_single_rows = True

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths

    def __call__(self, row: int, decoding: Decoding) -> DecodedImage:
        """Decode one file; raises UnreadableError."""
        return decode_file(self.paths[row], decoding)

    def digest(self, row: int) -> int:
        """Return the digest of one file's bytes; raises UnreadableError."""
        return content_digest(read_bytes(self.paths[row]))

    def original(self, row: int) -> tuple[bytes, str]:
        """Return one file's bytes and the suffix of its name; raises UnreadableError."""
        return read_bytes(self.paths[row]), ending_of(self.paths[row])


def ending_of(name: str) -> str:
    """Return the suffix of a file's name without the dot, in lower case; "" if it has none."""
    stem, dot, ending = name.rpartition("/")[2].rpartition(".")
    return ending.lower() if dot and stem else ""


def typical_image(paths: Sequence[str]) -> tuple[tuple[int, int], int]:
    """Return the median (height, width) of some evenly spaced files, and 1 channel if all are grey, else 3."""
    return typical_of(paths, read_bytes)


def typical_of(items: Sequence[Measured], read: Callable[[Measured], bytes]) -> tuple[tuple[int, int], int]:
    """Return the same of images read by `read`, which returns the bytes of one or raises UnreadableError."""
    heights, widths, all_grey = [], [], True
    with warnings_ignored():
        for item in items[:: max(1, len(items) // SAMPLE)]:
            try:
                height, width, grey = _header_of(read(item))
            except UnreadableError:
                continue
            heights.append(height)
            widths.append(width)
            all_grey = all_grey and grey
    if not heights:
        return UNKNOWN
    return (round(statistics.median(heights)), round(statistics.median(widths))), 1 if all_grey else 3


def _header_of(data: bytes) -> tuple[int, int, bool]:
    """Return height and width of the upright image, and whether it is grey; raises UnreadableError."""
    header = read_header(data, pixel_limit=MOST_MEGAPIXELS * 10**6)
    if header.format == "WEBP":
        # It has no grey, and opening it would take memory for all of its pixels.
        return header.height, header.width, False
    try:
        image = open_with_pillow(data, header.format)
    except Exception as error:
        raise UnreadableError(str(error)) from None
    with image:
        width, height = upright_size((header.width, header.height), orientation(image))
        return height, width, image.mode in GREY_MODES and "transparency" not in image.info
