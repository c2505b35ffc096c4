"""What the headers of a source's image files say: format, kind of pixels, size; read once, kept beside the pixels."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from convscope.api.warning_filters import warnings_ignored
from convscope.data.listing import Listing
from convscope.data.pixels.decode import open_with_pillow
from convscope.data.pixels.sniff import format_of
from convscope.data.pixels.structure import read_header
from convscope.data.shards.tar_index import ShardReader
from convscope.data.sources.measure import FileReader
from convscope.files.regular import UnreadableError, open_descriptor, read_bytes, read_whole
from convscope.report.progress import Progress

# Bytes in which a header is looked for first; one behind a large thumbnail is found in the whole file.
HEAD_BYTES = 64 * 2**10
STORED_AS = "headers.bin"
EVERY = 1024
# Of a PNG (ISO/IEC 15948, 11.2.2).
LONGEST_SIDE = 2**31 - 1

_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM")
_PIXELS: Final = (
    "unknown pixels", "1-bit", "grey", "grey with alpha", "16-bit grey", "32-bit grey", "float", "palette", "colour",
    "colour with alpha", "16-bit colour", "16-bit with alpha", "CMYK",
)  # fmt: skip
_OF_JPEG = {1: "grey", 3: "colour", 4: "CMYK"}
_OF_PNG = {0: "grey", 2: "colour", 3: "palette", 4: "grey with alpha", 6: "colour with alpha"}
_OF_PILLOW = {
    "1": "1-bit", "L": "grey", "LA": "grey with alpha", "I;16": "16-bit grey", "I;16B": "16-bit grey",
    "I;16L": "16-bit grey", "I": "32-bit grey", "F": "float", "P": "palette", "RGB": "colour", "YCbCr": "colour",
    "LAB": "colour", "RGBA": "colour with alpha", "RGBX": "colour", "PA": "palette", "CMYK": "CMYK",
}  # fmt: skip


@dataclass(frozen=True)
class FileHeaders:
    """The headers of all rows, int32 (N, 3): the kind, the height and the width; zeros of what can't be read."""

    table: npt.NDArray[np.int32]

    @property
    def heights(self) -> npt.NDArray[np.int32]:
        """The heights in pixels, as stored."""
        return np.asarray(self.table[:, 1])

    @property
    def widths(self) -> npt.NDArray[np.int32]:
        """The widths in pixels, as stored."""
        return np.asarray(self.table[:, 2])

    def kinds(self) -> dict[str, int]:
        """Return the number of files of each format and kind of pixels, the most frequent first."""
        read = self.table[self.heights > 0, 0]
        found, counts = np.unique(read, return_counts=True)
        return {_kind(int(found[k])): int(counts[k]) for k in np.argsort(-counts, kind="stable")}


def _kind(code: int) -> str:
    return f"{_FORMATS[code // len(_PIXELS)]}, {_PIXELS[code % len(_PIXELS)]}"


def has_headers(listing: Listing) -> bool:
    """Return whether the rows are image files, in folders or in shards, and not numbers in one file or in memory."""
    return isinstance(listing.read, FileReader | ShardReader)


def read_headers(listing: Listing, *, entry: Path | None, progress: Progress) -> FileHeaders:
    """Return the headers of all rows, as they were kept in a cache entry or from the files, and then kept there."""
    count = len(listing.labels)
    if entry is not None:
        with contextlib.suppress(UnreadableError):
            kept = np.frombuffer(read_bytes(entry / STORED_AS), np.int32)
            if kept.size == count * 3:
                return FileHeaders(kept.reshape(count, 3))
    table = np.zeros((count, 3), np.int32)
    with warnings_ignored():
        for row in range(count):
            with contextlib.suppress(UnreadableError):
                table[row] = _header_of(listing, row)
            if row % EVERY == 0 or row + 1 == count:
                progress(row + 1, count, "reading headers")
    if entry is not None:
        _keep(table, entry)
    return FileHeaders(table)


def _keep(table: npt.NDArray[np.int32], entry: Path) -> None:
    """Write the headers into a cache entry; one that can't be written is read from the files again."""
    made = entry / f".new-{secrets.token_hex(4)}"
    with contextlib.suppress(OSError):
        made.write_bytes(table.tobytes())
        made.rename(entry / STORED_AS)


def _header_of(listing: Listing, row: int) -> tuple[int, int, int]:
    reader = listing.read
    if not isinstance(reader, FileReader):
        return _read(reader.original(row)[0])
    descriptor, size = open_descriptor(reader.paths[row])
    try:
        head = read_whole(descriptor, min(size, HEAD_BYTES))
        found = _quick(head)
        return found or _read(head if len(head) == size else read_whole(descriptor, size))
    finally:
        os.close(descriptor)


def _code(name: str, pixels: str) -> int:
    return _FORMATS.index(name) * len(_PIXELS) + _PIXELS.index(pixels)


def _quick(head: bytes) -> tuple[int, int, int] | None:
    """Return kind, height and width of a JPEG or PNG from its first bytes; None where they don't show them."""
    if head.startswith(b"\xff\xd8\xff"):
        place = 2
        while place + 10 <= len(head) and head[place] == 0xFF:
            marker, length = head[place + 1], int.from_bytes(head[place + 2 : place + 4])
            # A frame header; 0xC4, 0xC8 and 0xCC are tables.
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                height, width = int.from_bytes(head[place + 5 : place + 7]), int.from_bytes(head[place + 7 : place + 9])
                return _code("JPEG", _OF_JPEG.get(head[place + 9], "unknown pixels")), height, width
            place += 2 + length
        return None
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 26:
        width, height = int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
        # A damaged header, whose sides the table can't hold: the whole file says why it is refused.
        if max(width, height) <= LONGEST_SIDE:
            return _code("PNG", _png_pixels(head)), height, width
    return None


def _png_pixels(head: bytes) -> str:
    depth, pixels = head[24], _OF_PNG.get(head[25], "unknown pixels")
    if depth == 16:
        pixels = "16-bit with alpha" if "alpha" in pixels else f"16-bit {pixels}"
    elif depth == 1 and pixels == "grey":
        pixels = "1-bit"
    # A damaged header may claim a palette of 16 bits.
    return pixels if pixels in _PIXELS else "unknown pixels"


def _read(data: bytes) -> tuple[int, int, int]:
    """Return kind, height and width of an image file's bytes; raises UnreadableError."""
    if (found := _quick(data)) is not None:
        return found
    header = read_header(data)
    if header.format == "WEBP":
        # Opening it would take memory for all of its pixels.
        alpha = (data[12:16] == b"VP8X" and data[20] & 0x10) or (data[12:16] == b"VP8L" and data[24] & 0x10)
        return _code("WEBP", "colour with alpha" if alpha else "colour"), header.height, header.width
    try:
        with open_with_pillow(data, format_of(data)) as image:
            # A PPM has 16 bits at most, which Pillow reads into 32.
            mode = "I;16" if (header.format, image.mode) == ("PPM", "I") else image.mode
            return _code(header.format, _OF_PILLOW.get(mode, "unknown pixels")), image.height, image.width
    except Exception as error:
        raise UnreadableError(str(error)) from None


def sizes_of(headers: FileHeaders, rows: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Return the sizes (n, 2), height and width, of those of some rows that could be read."""
    sizes = headers.table[rows, 1:]
    return np.asarray(sizes[sizes[:, 0] > 0])
