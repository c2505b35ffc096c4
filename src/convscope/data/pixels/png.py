"""PNG (ISO/IEC 15948): every chunk's checksum, and whether its data holds all rows."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from convscope.data.pixels.sniff import Header
from convscope.files.regular import UnreadableError

# Pillow takes some 10 microseconds a chunk.
CHUNK_LIMIT = 200_000
# Bytes that are inflated at once where they are only counted.
_PIECE = 2**18
_TEXTS = (b"iCCP", b"tEXt", b"zTXt", b"iTXt")
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Adam7: the first column and row, and the steps between columns and rows, of each pass.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def walk_png(data: bytes) -> Header:
    """Walk the chunks, every checksum included, from the header to the end chunk; raise UnreadableError."""
    position, total = 8, len(data)
    view = memoryview(data)
    header: Header | None = None
    has_data = False
    for _ in range(CHUNK_LIMIT):
        if position + 12 > total:
            break
        length = int.from_bytes(view[position : position + 4])
        end = position + 12 + length
        if end > total:
            break
        kind = data[position + 4 : position + 8]
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end]):
            raise UnreadableError(f"PNG damaged: the checksum of a chunk ({kind.decode('latin-1')!r}) is wrong")
        if header is None:
            if kind != b"IHDR" or length != 13:
                raise UnreadableError("PNG damaged: it does not begin with a header")
            header = _read_ihdr(data)
        elif kind == b"IDAT":
            has_data = True
        elif kind == b"IEND":
            if not has_data:
                raise UnreadableError("PNG damaged: it holds no picture")
            return header
        position = end
    else:
        raise UnreadableError(f"a PNG of more than {CHUNK_LIMIT:,} chunks")
    raise UnreadableError("PNG cut short: it has no end chunk")


def _read_ihdr(data: bytes) -> Header:
    depth, colour = data[24], data[25]
    if depth not in (1, 2, 4, 8, 16) or colour not in _SAMPLES or data[28] > 1:
        raise UnreadableError(f"PNG damaged: its header claims {depth} bits of colour type {colour}")
    return Header("PNG", int.from_bytes(data[16:20]), int.from_bytes(data[20:24]), depth=depth)


def is_interlaced(data: bytes) -> bool:
    """Return whether the rows are stored in seven passes."""
    return data[28] == 1


def without_texts(data: bytes) -> bytes:
    """Return a PNG with whole chunks without its colour profile and texts; the same bytes if it has none."""
    kept, position = [data[:8]], 8
    while position < len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4])
        if data[position + 4 : position + 8] not in _TEXTS:
            kept.append(data[position:end])
        position = end
    return b"".join(kept)


def check_rows(data: bytes) -> None:
    """Raise UnreadableError if the inflated data of a PNG is less than its rows need.

    Pillow leaves missing rows black. The inflated bytes are counted and discarded, so memory does not grow; bytes
    beyond those needed are not inflated.
    """
    needed = _bytes_of_rows(data)
    left = needed
    inflate = zlib.decompressobj()
    try:
        for chunk in _data_chunks(data):
            waiting: bytes | memoryview = chunk
            while waiting and left > 0 and not inflate.eof:
                left -= len(inflate.decompress(waiting, _PIECE))
                waiting = inflate.unconsumed_tail
    except zlib.error as error:
        raise UnreadableError(f"PNG damaged: {error}") from None
    while left > 0 and (rest := inflate.decompress(b"", _PIECE)):
        left -= len(rest)
    if left > 0:
        raise UnreadableError(f"PNG damaged: {needed - left:,} of {needed:,} bytes of its rows are there")


def _data_chunks(data: bytes) -> Iterator[memoryview]:
    """Return the contents of the data chunks, after `walk_png` has checked them."""
    view = memoryview(data)
    position = 8
    while (kind := data[position + 4 : position + 8]) != b"IEND":
        end = position + 8 + int.from_bytes(view[position : position + 4])
        if kind == b"IDAT":
            yield view[position + 8 : end]
        position = end + 4


def _bytes_of_rows(data: bytes) -> int:
    """Return the number of bytes of all rows, each with its filter byte."""
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    bits = data[24] * _SAMPLES[data[25]]
    if not is_interlaced(data):
        return height * (1 + -(-width * bits // 8))
    total = 0
    for left, top, across, down in _PASSES:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits // 8))
    return total
