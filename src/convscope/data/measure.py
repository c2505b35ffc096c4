"""What the images of a list of files are like, from the headers of a few: nothing is decoded."""

from __future__ import annotations

import statistics
import warnings

from convscope.data.decode import decode_file, open_with_pillow, read_bytes
from convscope.data.records import Decoding, Pixels
from convscope.data.sniff import Unreadable, check_size, read_header

SAMPLE = 48
GREY_MODES = frozenset({"1", "L", "LA", "I;16", "I;16B", "I;16L", "I"})
# Where no header could be read; opening the data will then say why.
UNKNOWN = ((224, 224), 3)


class FileReader:
    """Reads the rows of a listing of files."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths

    def __call__(self, row: int, decoding: Decoding) -> tuple[Pixels, str | None]:
        """The pixels of one file, and a remark or None; raises Unreadable."""
        return decode_file(self.paths[row], decoding)


def typical_image(paths: list[str]) -> tuple[tuple[int, int], int]:
    """The median (height, width) of some evenly spaced files, and 1 channel where all of them are grey, else 3."""
    heights, widths, all_grey = [], [], True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in paths[:: max(1, len(paths) // SAMPLE)]:
            try:
                height, width, grey = _header_of(path)
            except Unreadable:
                continue
            heights.append(height)
            widths.append(width)
            all_grey = all_grey and grey
    if not heights:
        return UNKNOWN
    return (round(statistics.median(heights)), round(statistics.median(widths))), 1 if all_grey else 3


def _header_of(path: str) -> tuple[int, int, bool]:
    """Height, width, and whether it is grey; raises Unreadable."""
    data = read_bytes(path)
    header = read_header(data)
    try:
        with open_with_pillow(data, header.format) as image:
            check_size(*image.size)
            return image.height, image.width, image.mode in GREY_MODES and "transparency" not in image.info
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(str(error)) from None
