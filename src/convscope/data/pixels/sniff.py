"""What a file is by its bytes, and whether its structure is whole, before any decoder sees it.

Pillow fills up a JPEG whose tail was lost with grey, and says nothing; it allocates what a header claims. So the
markers of a JPEG (ITU-T T.81, annex B) and the chunks of a PNG (ISO/IEC 15948) are walked first: every reason to keep
an image out that can be seen without decoding is found here, and each is said in words.
"""

from __future__ import annotations

import re
import zlib
from typing import NamedTuple

from convscope.files.regular import Unreadable
from convscope.report.file_kinds import kind_by_start

PIXEL_LIMIT = 50_000_000
SCAN_LIMIT = 200
READ_FORMATS = "JPEG, PNG, WebP, GIF, BMP, TIFF and PPM"


class Header(NamedTuple):
    """What the first bytes say: `format` is Pillow's name; sizes are None where only the decoder knows them."""

    format: str
    width: int | None = None
    height: int | None = None
    # Components of a JPEG: 1 grey, 3 colour, 4 CMYK.
    components: int | None = None
    # EXIF or XMP stands in the file, so it may hold an orientation.
    has_metadata: bool = True


# (offset, bytes, Pillow's name)
_READ = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (8, b"WEBP", "WEBP"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
)


def read_header(data: bytes) -> Header:
    """The format and size of an image file's bytes, its structure checked; raises Unreadable with the reason."""
    if not data:
        raise Unreadable("empty file (0 bytes)")
    header = _walk(data)
    if header.width is not None and header.height is not None:
        check_size(header.width, header.height)
    return header


def check_size(width: int, height: int) -> None:
    """Raise Unreadable for a picture without pixels or beyond the limit of 50 megapixels."""
    if width < 1 or height < 1:
        raise Unreadable(f"a picture of {width}x{height} pixels")
    if width * height > PIXEL_LIMIT:
        raise Unreadable(
            f"{width}x{height} is {width * height / 1e6:.0f} megapixels; the limit is {PIXEL_LIMIT // 10**6}"
        )


def _walk(data: bytes) -> Header:
    for offset, signature, name in _READ:
        if data.startswith(signature, offset):
            match name:
                case "JPEG":
                    return _walk_jpeg(data)
                case "PNG":
                    return _walk_png(data)
                case "WEBP":
                    return _walk_webp(data)
                case "GIF":
                    return _walk_gif(data)
                case _:
                    return Header(name)
    if re.match(rb"P[1-6][\s#]", data):
        return Header("PPM")
    raise Unreadable(f"{_name_stranger(data)}; what is read is {READ_FORMATS}")


def _name_stranger(data: bytes) -> str:
    """What a file that is none of the formats seems to be."""
    kind = kind_by_start(data)
    if kind is None:
        return "not an image: the first bytes are of no known format"
    return f"not an image that is read: it is {kind}"


# A marker inside scan data: FF followed by something that is neither stuffing (00), filling (FF) nor a restart (D0-D7).
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_CUT_SHORT = "JPEG cut short: it has no end-of-image marker"
_SOF_NAMES = {
    0xC3: "lossless",
    0xC5: "hierarchical",
    0xC6: "hierarchical",
    0xC7: "hierarchical",
    0xC9: "arithmetic-coded",
    0xCA: "arithmetic-coded",
    0xCB: "arithmetic-coded",
    0xCD: "hierarchical",
    0xCE: "hierarchical",
    0xCF: "hierarchical",
}


# Segments that say nothing here: tables, comments, application data but EXIF's and XMP's.
_PASSED = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xE0, *range(0xE2, 0xF0), 0xFE})
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})


def _walk_jpeg(data: bytes) -> Header:
    """Walk the markers from the first to the end-of-image; what follows (a second picture, garbage) is no matter."""
    position = 2
    width = height = components = scans = 0
    has_metadata = False
    try:
        while True:
            if data[position] != 0xFF:
                raise Unreadable("JPEG damaged: a marker is missing between its segments")
            marker = data[position + 1]
            if marker == 0xD9:
                break
            if marker == 0xFF:
                position += 1
                continue
            if marker in _STANDALONE:
                position += 2
                continue
            start, position = position + 4, position + 2 + (data[position + 2] << 8 | data[position + 3])
            if marker in _PASSED:
                continue
            if marker == 0xDA:
                scans += 1
                if scans > SCAN_LIMIT:
                    raise Unreadable(f"a JPEG of more than {SCAN_LIMIT} scans")
                found = _MARKER.search(data, position)
                if found is None:
                    raise Unreadable(_CUT_SHORT)
                position = found.start()
            elif marker == 0xE1:
                has_metadata = True
            elif marker in _SOF_NAMES:
                raise Unreadable(f"a {_SOF_NAMES[marker]} JPEG, which is not read")
            elif 0xC0 <= marker <= 0xC2:
                if width:
                    raise Unreadable("JPEG damaged: two frame headers in one picture")
                if data[start] != 8:
                    raise Unreadable(f"a JPEG of {data[start]} bits per sample; 8 are read")
                height = data[start + 1] << 8 | data[start + 2]
                width = data[start + 3] << 8 | data[start + 4]
                components = data[start + 5]
                check_size(width, height)
    except IndexError:
        raise Unreadable(_CUT_SHORT) from None
    if not width or not scans:
        raise Unreadable("JPEG damaged: it holds no picture")
    # Huffman coding spends a bit or more on each 8x8 block.
    if 8 * len(data) < -(-width // 8) * -(-height // 8):
        raise Unreadable(f"JPEG damaged: {len(data)} bytes can't hold {width}x{height} pixels")
    return Header("JPEG", width, height, components, has_metadata)


def _walk_png(data: bytes) -> Header:
    """Walk the chunks, every checksum included, from the header to the end chunk."""
    position, total = 8, len(data)
    view = memoryview(data)
    width = height = 0
    has_data = False
    while position + 12 <= total:
        length = int.from_bytes(view[position : position + 4])
        end = position + 12 + length
        if end > total:
            break
        kind = data[position + 4 : position + 8]
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end]):
            raise Unreadable(f"PNG damaged: the checksum of a chunk ({kind.decode('latin-1')!r}) is wrong")
        if kind == b"IHDR" and length == 13:
            width = int.from_bytes(view[position + 8 : position + 12])
            height = int.from_bytes(view[position + 12 : position + 16])
        elif not width:
            raise Unreadable("PNG damaged: it does not begin with a header")
        elif kind == b"IDAT":
            has_data = True
        elif kind == b"IEND":
            if not has_data:
                raise Unreadable("PNG damaged: it holds no picture")
            return Header("PNG", width, height)
        position = end
    raise Unreadable("PNG cut short: it has no end chunk")


def _walk_webp(data: bytes) -> Header:
    """Read the canvas size, since Pillow allocates it several times over on opening."""
    if len(data) < 30 or 8 + int.from_bytes(data[4:8], "little") > len(data):
        raise Unreadable("WebP cut short: it is smaller than its header says")
    zeros = len(data) - len(data.rstrip(b"\0"))
    # WebP has no checksums. Plain white at 30 megapixels ends in 2,900 zero bytes, a twentieth of the file.
    if zeros > 512 and zeros * 10 > len(data):
        raise Unreadable(f"WebP damaged: its last {zeros} bytes are zero")
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
            raise Unreadable("WebP damaged: it begins with no picture")
    return Header("WEBP", width, height)


def _walk_gif(data: bytes) -> Header:
    if len(data) < 13:
        raise Unreadable("GIF cut short")
    return Header("GIF", int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little"))
