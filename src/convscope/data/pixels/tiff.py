"""TIFF (6.0 and BigTIFF): its first directory, and a check that each strip or tile is whole.

libtiff stops where it has the bytes that it wants, drops libjpeg's warnings, and continues after a bad code. So each
compression's own checks of a strip are made here first: zlib's and xz's checksums, the number of bytes that LZW and
PackBits make, libjpeg's warnings. For the others, only libtiff's own errors are available (`libtiff.complaints`).
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from convscope.data.pixels.jpeg import decode_jpeg, walk_jpeg
from convscope.data.pixels.lzw import decoded_length, is_old_style
from convscope.data.pixels.sniff import Header, check_size
from convscope.files.regular import UnreadableError

PART_LIMIT = 200_000
# Bytes that are inflated at once where they are only counted.
_PIECE = 2**18
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _ROWS, _STRIP_SIZES, _PLANES = 273, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES, _FORMAT, _JPEG_TABLES = 322, 323, 324, 325, 339, 347
_WANTED = frozenset(
    {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _STRIPS, _SAMPLES, _ROWS, _STRIP_SIZES, _PLANES}
    | {_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES, _FORMAT, _JPEG_TABLES}
)
# Types of integers: 1 byte, short, long; byte strings; long8 and the offset of BigTIFF.
_TYPES = {1: "u1", 3: "u2", 4: "u4", 7: "u1", 16: "u8", 18: "u8"}
_RAW, _GROUP_4, _LZW, _JPEG = 1, 4, 5, 7
_DEFLATE, _OLD_DEFLATE, _PACKBITS, _LZMA = 8, 32946, 32773, 34925
_CHECKED = frozenset({_RAW, _LZW, _JPEG, _DEFLATE, _OLD_DEFLATE, _PACKBITS, _LZMA})
# Its samples are stored with the colour planes made smaller, so that a strip's bytes are not those of its pixels.
_YCBCR = 6

# Values of _FORMAT.
_KINDS = {1: "unsigned integers", 2: "signed integers", 3: "floating-point numbers"}
# Kinds of samples for which Pillow can refuse a header only where it is damaged.
_USUAL_BITS, _USUAL_SAMPLES = (1, 8), (1, 3)

_Tags = dict[int, Any]


class _TiffPart(NamedTuple):
    """A strip or a tile: its number, bytes, width and rows in pixels, and the rows that a full one has."""

    number: int
    data: memoryview
    width: int
    rows: int
    full_rows: int
    bits_a_pixel: int

    def sizes(self) -> tuple[int, int]:
        """Return the bytes of its pixels, and those of a full strip."""
        row = -(-self.width * self.bits_a_pixel // 8)
        return row * self.rows, row * self.full_rows


def walk_tiff(data: bytes, *, pixel_limit: int) -> Header:
    """Read the size in the first directory; raises UnreadableError if it is cut short or exceeds the bytes."""
    tags = _first_directory(data)
    width, height = _number(tags, _WIDTH, 0), _number(tags, _HEIGHT, 0)
    check_size(width, height, pixel_limit)
    if (_number(tags, _FORMAT, 1), _number(tags, _BITS, 1)) == (2, 8):
        # Pillow takes them for unsigned ones, and -1 would be white.
        raise UnreadableError("its pixels are signed integers of 8 bits, which are not read: save it with 16 bits")
    unchecked = _number(tags, _COMPRESSION, _RAW) not in _CHECKED
    return Header("TIFF", width, height, depth=_number(tags, _BITS, 1), unchecked=unchecked)


def unread_kind(data: bytes) -> str:
    """Return what the pixels of a TIFF are, for one that Pillow has no reader for; "" if all TIFFs may hold such."""
    tags = _first_directory(data)
    kind, bits, samples = (_number(tags, tag, 1) for tag in (_FORMAT, _BITS, _SAMPLES))
    upside_down = bits > 8 and _number(tags, _PHOTOMETRIC, 1) == 0
    if kind not in _KINDS or (kind == 1 and bits in _USUAL_BITS and samples in _USUAL_SAMPLES):
        return ""
    said = f"{_KINDS[kind]} of {bits} bits" + (f" in {samples} channels" if samples > 1 else "")
    return f"{said}, white being 0" if upside_down else said


def check_strips(data: bytes, *, pixel_limit: int) -> None:
    """Raise UnreadableError if a strip or tile is missing, damaged (as far as can be seen), or beyond the limit."""
    tags = _first_directory(data)
    for part in _parts(data, tags, pixel_limit):
        _check_part(part, tags, pixel_limit)


def _first_directory(data: bytes) -> _Tags:
    """Return the wanted tags of the first directory, each with its values as an array."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")

    def read(at: int, size: int) -> int:
        if at + size > len(data):
            raise UnreadableError("TIFF cut short: its directory is missing")
        return int.from_bytes(data[at : at + size], "little" if order == "<" else "big")

    at = read(8, 8) if big else read(4, 4)
    entries, at = (read(at, 8), at + 8) if big else (read(at, 2), at + 2)
    count_size, entry_size = (8, 20) if big else (4, 12)
    if entries * entry_size > len(data) - at:
        raise UnreadableError("TIFF cut short: its directory is missing")
    tags: _Tags = {}
    for start in range(at, at + entries * entry_size, entry_size):
        tag, kind = read(start, 2), read(start + 2, 2)
        if tag not in _WANTED or kind not in _TYPES or tag in tags:
            continue
        dtype = np.dtype(order + _TYPES[kind])
        count, place = read(start + 4, count_size), start + 4 + count_size
        if count * dtype.itemsize > count_size:
            place = read(place, count_size)
        if count * dtype.itemsize > len(data) - place:
            raise UnreadableError(f"TIFF cut short: the values of its tag {tag} are missing")
        tags[tag] = np.frombuffer(data, dtype, count, place)
    return tags


def _number(tags: _Tags, tag: int, default: int) -> int:
    """Return the first value of a tag."""
    return int(tags[tag][0]) if tag in tags and len(tags[tag]) else default


def _parts(data: bytes, tags: _Tags, pixel_limit: int) -> Iterator[_TiffPart]:
    """Return all strips or tiles, in order; raises UnreadableError if one is missing from the file."""
    width, height = _number(tags, _WIDTH, 0), _number(tags, _HEIGHT, 0)
    samples, tiled = _number(tags, _SAMPLES, 1), _TILES in tags
    bits = [int(number) for number in tags.get(_BITS, [1])][:samples]
    # One number stands for all samples too.
    bits += bits[-1:] * (samples - len(bits)) if samples <= 64 else []
    planes = samples if _number(tags, _PLANES, 1) == 2 else 1
    if tiled:
        across, down = _number(tags, _TILE_WIDTH, 0), _number(tags, _TILE_HEIGHT, 0)
    else:
        across, down = width, min(_number(tags, _ROWS, height), height)
    if not 1 <= samples <= 64 or not bits or across < 1 or down < 1 or across * down > pixel_limit:
        raise UnreadableError("TIFF damaged: its directory has no pixels, or too many of a kind")
    columns, rows = -(-width // across), -(-height // down)
    count = columns * rows * planes
    offsets = tags.get(_TILES if tiled else _STRIPS)
    sizes = tags.get(_TILE_SIZES if tiled else _STRIP_SIZES)
    if count > PART_LIMIT:
        raise UnreadableError(f"a TIFF of {count:,} strips; the limit is {PART_LIMIT:,}")
    if offsets is None or len(offsets) < count:
        raise UnreadableError(f"TIFF damaged: {0 if offsets is None else len(offsets)} of {count} strips are there")
    view = memoryview(data)
    for number in range(count):
        plane, place = divmod(number, columns * rows)
        plane_bits = bits[plane] if planes > 1 else sum(bits)
        left = down if tiled else min(down, height - place // columns * down)
        part = _TiffPart(number, view[:0], across, left, down, plane_bits)
        start = int(offsets[number])
        # Old writers left the sizes of uncompressed strips out, or wrong.
        raw = _number(tags, _COMPRESSION, _RAW) == _RAW
        size = part.sizes()[0] if raw or sizes is None or len(sizes) <= number else int(sizes[number])
        if raw and _number(tags, _PHOTOMETRIC, 0) == _YCBCR:
            size = 0
        if start + size > len(data):
            raise UnreadableError(f"TIFF cut short: strip {number + 1} of {count} ends behind the file's end")
        yield part._replace(data=view[start : start + size])


def _check_part(part: _TiffPart, tags: _Tags, pixel_limit: int) -> None:
    """Raise UnreadableError if a strip or tile is not whole, as far as its compression can detect it."""
    compression = _number(tags, _COMPRESSION, _RAW)
    if compression == _RAW:
        return
    if not part.data:
        raise UnreadableError(f"TIFF damaged: strip {part.number + 1} is empty")
    # No code of group 4, and no two that follow one another, have 16 zero bits in a row.
    if compression == _GROUP_4 and b"\0\0" in bytes(part.data).rstrip(b"\0"):
        raise UnreadableError(f"TIFF damaged: strip {part.number + 1} has zero bytes among its codes")
    if compression not in _CHECKED:
        return
    if compression == _JPEG:
        _check_jpeg(part, tags, pixel_limit)
        return
    if compression == _LZW and is_old_style(part.data):
        return
    wanted, full = part.sizes()
    most = 2 * full + _PIECE
    try:
        match compression:
            case 8 | 32946:  # zlib, by its two numbers
                length = _inflated_length(part.data, most)
            case 34925:
                length = _xz_length(part.data, most)
            case 5:
                length = decoded_length(part.data)
            case _:
                length = _packbits_length(part.data)
    except (zlib.error, lzma.LZMAError, EOFError) as error:
        raise UnreadableError(f"TIFF damaged: strip {part.number + 1}: {error}") from None
    if length > most:
        raise UnreadableError(f"TIFF damaged: strip {part.number + 1} holds more than {most:,} bytes of {wanted:,}")
    if _number(tags, _PHOTOMETRIC, 0) == _YCBCR or length in (wanted, full):
        return
    # A checksum was right: what is more than the pixels is some writer's padding.
    if length < wanted or compression in (_LZW, _PACKBITS):
        raise UnreadableError(f"TIFF damaged: strip {part.number + 1} holds {length:,} bytes of {wanted:,}")


def _inflated_length(data: memoryview, most: int) -> int:
    """Return the inflated size of a whole zlib stream, or a size above `most`; raises zlib.error."""
    inflate = zlib.decompressobj()
    length = 0
    waiting: bytes | memoryview = data
    while not inflate.eof and length <= most:
        piece = inflate.decompress(waiting, _PIECE)
        waiting = inflate.unconsumed_tail
        if not piece and not waiting and not inflate.eof:
            raise zlib.error("its data is cut short")
        length += len(piece)
    return length


def _xz_length(data: memoryview, most: int) -> int:
    """Return the unpacked size of an xz stream, or a size above `most`; raises lzma.LZMAError or EOFError."""
    decoder = lzma.LZMADecompressor(memlimit=2**28)
    length = 0
    waiting: bytes | memoryview = data
    while not decoder.eof and length <= most:
        piece = decoder.decompress(waiting, _PIECE)
        waiting = b""
        if not piece and decoder.needs_input and not decoder.eof:
            raise EOFError("its data is cut short")
        length += len(piece)
    return length


def _packbits_length(data: memoryview) -> int:
    """Return the unpacked size of a PackBits strip (TIFF 6.0, section 9), without a byte of padding at its end."""
    content = bytes(data)
    at = length = 0
    while at < len(content):
        head = content[at]
        if head < 128:
            if at + 1 + head >= len(content):
                # The literal run is cut short, or this is the byte that makes a strip's size even.
                return length if at + 1 == len(content) else length + len(content) - at - 1
            length += head + 1
            at += head + 2
        elif head > 128:
            if at + 1 >= len(content):
                return length
            length += 257 - head
            at += 2
        else:
            at += 1
    return length


def _check_jpeg(part: _TiffPart, tags: _Tags, pixel_limit: int) -> None:
    """Decode a JPEG strip strictly, with the tables of the directory."""
    content = bytes(part.data)
    if not content.startswith(b"\xff\xd8\xff"):
        raise UnreadableError(f"TIFF damaged: strip {part.number + 1} is not a JPEG")
    tables = bytes(tags[_JPEG_TABLES]) if _JPEG_TABLES in tags else b""
    if tables.startswith(b"\xff\xd8") and tables.endswith(b"\xff\xd9"):
        content = tables[:-2] + content[2:]
    try:
        header = walk_jpeg(content, pixel_limit=pixel_limit)
        decode_jpeg(content, header.components)
    except UnreadableError as reason:
        raise UnreadableError(f"TIFF damaged: strip {part.number + 1}: {reason}") from None
    if header.width < part.width or header.height < part.rows:
        sizes = f"{header.width}x{header.height} of {part.width}x{part.rows}"
        raise UnreadableError(f"TIFF damaged: strip {part.number + 1} has {sizes} pixels")
