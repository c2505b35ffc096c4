"""Check the structure of an image file before it is decoded.

Pillow allocates the size that a header claims, so the size is read first, and every reason to skip an image that can
be found without decoding is found here.
"""

from __future__ import annotations

import re

from convscope.data.pixels.jpeg import walk_jpeg
from convscope.data.pixels.png import walk_png
from convscope.data.pixels.sniff import JPEG_START, PIXEL_LIMIT, Header, check_size, format_of
from convscope.data.pixels.tiff import walk_tiff
from convscope.files.regular import UnreadableError

# Pillow decodes these row by row, or number by number, in Python: 0.1 s a megabyte and more.
SLOW_BYTES = 8 * 2**20
_RLE = (1, 2)
# The kind of a PPM, its width, its height and, but for bitmaps, the value of white, with comments between.
_BLANKS = rb"(?:\s|#[^\r\n]*[\r\n])+"
_PPM = re.compile(rb"P([1-6])" + 2 * (_BLANKS + rb"(\d{1,9})") + rb"(?=[\s#])(?:" + _BLANKS + rb"(\d{1,5})(?=\s))?")


def read_header(data: bytes, *, pixel_limit: int = PIXEL_LIMIT) -> Header:
    """Return the format and size of an image file's bytes after checking its structure.

    Raises:
        UnreadableError: a damaged structure, or more pixels than the limit.
    """
    if data.startswith(JPEG_START):
        return walk_jpeg(data, pixel_limit=pixel_limit)
    match format_of(data):
        case "PNG":
            header = walk_png(data)
        case "WEBP":
            header = _walk_webp(data)
        case "GIF":
            header = _walk_gif(data)
        case "TIFF":
            header = walk_tiff(data, pixel_limit=pixel_limit)
        case "BMP":
            header = _walk_bmp(data)
        case _:
            header = _walk_ppm(data)
    check_size(header.width, header.height, pixel_limit)
    return header


def _walk_webp(data: bytes) -> Header:
    """Read the canvas size, which Pillow allocates several times on opening."""
    if len(data) < 30 or 8 + int.from_bytes(data[4:8], "little") > len(data):
        raise UnreadableError("WebP cut short: it is smaller than its header says")
    zeros = len(data) - len(data.rstrip(b"\0"))
    # WebP has no checksums. Plain white at 30 megapixels ends in 2,900 zero bytes, a twentieth of the file.
    if zeros > 512 and zeros * 10 > len(data):
        raise UnreadableError(f"WebP damaged: its last {zeros} bytes are zero")
    match data[12:16]:
        case b"VP8X":
            width = 1 + int.from_bytes(data[24:27], "little")
            height = 1 + int.from_bytes(data[27:30], "little")
        case b"VP8 ":
            width = int.from_bytes(data[26:28], "little") & 0x3FFF
            height = int.from_bytes(data[28:30], "little") & 0x3FFF
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case _:
            raise UnreadableError("WebP damaged: it begins with no picture")
    return Header("WEBP", width, height)


def _walk_gif(data: bytes) -> Header:
    if len(data) < 13:
        raise UnreadableError("GIF cut short")
    return Header("GIF", int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little"))


def _walk_bmp(data: bytes) -> Header:
    if len(data) < 34:
        raise UnreadableError("BMP cut short")
    if int.from_bytes(data[14:18], "little") == 12:
        return Header("BMP", int.from_bytes(data[18:20], "little"), int.from_bytes(data[20:22], "little"))
    if int.from_bytes(data[30:34], "little") in _RLE and len(data) > SLOW_BYTES:
        raise UnreadableError(
            f"a run-length coded BMP of {len(data) / 2**20:.0f} MiB; the limit is {SLOW_BYTES // 2**20}"
        )
    width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (18, 22))
    # A negative height: its rows go from the top down.
    return Header("BMP", width, abs(height))


def _walk_ppm(data: bytes) -> Header:
    found = _PPM.match(data[:4096])
    if found is None:
        raise UnreadableError("PPM damaged: its header can't be read")
    if found[1] in b"123" and len(data) > SLOW_BYTES:
        raise UnreadableError(f"a PPM of {len(data) / 2**20:.0f} MiB of text; the limit is {SLOW_BYTES // 2**20}")
    white = 255 if found[1] in b"14" or found[4] is None else int(found[4])
    return Header("PPM", int(found[2]), int(found[3]), depth=8 if white < 256 else 16, white=white)
