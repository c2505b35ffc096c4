"""JPEG (ITU-T T.81, annex B): its markers are checked before decoding, and its scans decoded strictly.

Pillow fills up a JPEG whose tail was lost with grey, and drops libjpeg's warnings, which mean damaged scans. So the
markers are walked here, and simplejpeg, which passes the warnings on, decodes. A warning is harmless where it goes
away with the metadata and the padding (`_without_harmless`); any other refuses the file.
"""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

from convscope.data.pixels.sniff import PIXEL_LIMIT, Header, check_size
from convscope.data.records import Pixels
from convscope.files.regular import UnreadableError

SCAN_LIMIT = 200
# Each scan visits all pixels, however few bytes it has. Photographs have up to 12: of the largest image, no more.
FULL_SCANS = 12
SEGMENT_LIMIT = 20_000
# Fewer bytes than any table or scan has. More of them between segments, unless they are zeros, are a lost segment.
HARMLESS_GAP = 16
# So often a decoder's complaint about padding is answered by removing it.
_PADDED_SCANS = 8

# A marker inside scan data: FF followed by something that is neither stuffing (00), filling (FF) nor a restart (D0-D7).
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
# A marker outside scan data; everything before it is skipped, as libjpeg does.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff]")
_CUT_SHORT = "JPEG cut short: it has no end-of-image marker"
_EOI, _SOS, _APP0, _APP1, _APP14, _COM = 0xD9, 0xDA, 0xE0, 0xE1, 0xEE, 0xFE
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
_PASSED = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD, _APP0, *range(0xE2, 0xF0), _COM})
_METADATA = frozenset({_COM, *range(_APP0, 0xF0)})
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_SPACES = {1: "GRAY", 3: "RGB", 4: "CMYK"}
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")


class _Segment(NamedTuple):
    """A marker segment: data[start:end] is all of it, from the FF on; a scan's coded data reaches to `scan_end`."""

    marker: int
    start: int
    end: int
    scan_end: int


def walk_jpeg(data: bytes, segments: list[_Segment] | None = None, *, pixel_limit: int = PIXEL_LIMIT) -> Header:
    """Walk the markers from the first to the end-of-image; bytes after it (a second picture, garbage) are ignored.

    The segments are appended to `segments`. Raises UnreadableError for a file that is cut short, of a kind that is not
    read, or larger, or of more scans, than its bytes can hold. The limit of pixels is checked where segments are not
    asked for: they are asked for of a JPEG that was checked before.
    """
    position = 2
    width = height = components = scans = 0
    has_metadata = False
    try:
        for _ in range(SEGMENT_LIMIT):
            marker = data[position + 1]
            if marker in _PASSED and segments is None and data[position] == 0xFF:
                # Most segments, in a small file most of the walk.
                position += 2 + (data[position + 2] << 8 | data[position + 3])
                continue
            if data[position] != 0xFF or marker in (0, 0xFF):
                found = _NEXT_MARKER.search(data, position)
                if found is None:
                    raise UnreadableError(_CUT_SHORT)
                _check_gap(data[position : found.start()])
                position = found.start()
                marker = data[position + 1]
            if marker == _EOI:
                break
            if marker in _STANDALONE:
                position += 2
                continue
            first, start = position, position + 4
            position += 2 + (data[position + 2] << 8 | data[position + 3])
            scan_end = position
            if marker in _PASSED:
                pass
            elif marker == _SOS:
                scans += 1
                if scans > SCAN_LIMIT:
                    raise UnreadableError(f"a JPEG of more than {SCAN_LIMIT} scans")
                found = _MARKER.search(data, position)
                if found is None:
                    raise UnreadableError(_CUT_SHORT)
                scan_end = found.start()
            elif marker == _APP1:
                has_metadata = True
            elif marker in _SOF_NAMES:
                raise UnreadableError(f"a {_SOF_NAMES[marker]} JPEG, which is not read")
            elif 0xC0 <= marker <= 0xC2:
                if width:
                    raise UnreadableError("JPEG damaged: two frame headers in one picture")
                if data[start] != 8:
                    raise UnreadableError(f"a JPEG of {data[start]} bits per sample; 8 are read")
                height = data[start + 1] << 8 | data[start + 2]
                width = data[start + 3] << 8 | data[start + 4]
                components = data[start + 5]
                check_size(width, height, pixel_limit if segments is None else width * height)
            if segments is not None:
                segments.append(_Segment(marker, first, position, scan_end))
            position = scan_end
        else:
            raise UnreadableError(f"a JPEG of more than {SEGMENT_LIMIT:,} segments")
    except IndexError:
        raise UnreadableError(_CUT_SHORT) from None
    if not width or not scans:
        raise UnreadableError("JPEG damaged: it holds no picture")
    # Huffman coding spends a bit or more on each 8x8 block of the first scan.
    if 8 * len(data) < -(-width // 8) * -(-height // 8):
        raise UnreadableError(f"JPEG damaged: {len(data)} bytes can't hold {width}x{height} pixels")
    most = FULL_SCANS * pixel_limit
    if segments is None and scans * width * height > most:
        raise UnreadableError(
            f"{scans} scans of {width}x{height} pixels; the limit of all is {most // 10**6} megapixels"
        )
    return Header("JPEG", width, height, components, has_metadata)


def _check_gap(gap: bytes) -> None:
    """Raise UnreadableError if the bytes between two segments may be a segment or a scan with a damaged marker."""
    rest = gap.lstrip(b"\xff")
    if len(rest) > HARMLESS_GAP and rest.strip(b"\0"):
        raise UnreadableError(f"JPEG damaged: {len(rest):,} bytes between its segments belong to none of them")


@functools.cache
def _fast_jpeg() -> Any:
    """Return the simplejpeg module, or None if it is missing or broken."""
    try:
        import simplejpeg
    except Exception:
        return None
    return simplejpeg


def decode_jpeg(data: bytes, components: int, least: tuple[int, int] | None = None) -> Pixels | None:
    """Decode a JPEG strictly: uint8 (H, W, components) as stored, a CMYK JPEG's inverted or not as Adobe left it.

    It is decoded at its full size, or at the smallest of libjpeg's sizes, eighths of it, that has the `least` (height,
    width). Returns None if Pillow must decode it: simplejpeg is missing, or does not support the sampling
    factors. Raises UnreadableError if libjpeg reports damaged scans.
    """
    fast = _fast_jpeg()
    if fast is None or components not in _SPACES:
        return None
    space = _SPACES[components]
    pixels: Pixels | None
    try:
        # Names of arguments are a tenth of the time of a small image.
        pixels = fast.decode_jpeg(data, space) if least is None else _decode_reduced(fast, data, space, least)
        return pixels
    except ValueError as error:
        complaint = _complaint(error)
    pixels = None
    if complaint != _UNKNOWN_SAMPLING:
        pixels, complaint = _try_mended(fast, data, space, components, complaint, least)
    if pixels is None and complaint != _UNKNOWN_SAMPLING:
        raise UnreadableError(f"JPEG damaged: {complaint}")
    return pixels


def _decode_reduced(fast: Any, data: bytes, space: str, least: tuple[int, int]) -> Pixels:
    pixels: Pixels = fast.decode_jpeg(data, space, min_height=least[0], min_width=least[1])
    return pixels


_UNKNOWN_SAMPLING = "unknown sampling factors"


def _try_strictly(fast: Any, data: bytes, space: str, least: tuple[int, int] | None) -> tuple[Pixels | None, str]:
    """Return the pixels, or None and the complaint of libjpeg."""
    try:
        pixels: Pixels = _decode_reduced(fast, data, space, least or (0, 0))
    except ValueError as error:
        return None, _complaint(error)
    return pixels, ""


def _complaint(error: ValueError) -> str:
    """Return the complaint of libjpeg."""
    said = str(error)
    return _UNKNOWN_SAMPLING if "determine subsampling" in said else said


def _try_mended(
    fast: Any, data: bytes, space: str, components: int, complaint: str, least: tuple[int, int] | None
) -> tuple[Pixels | None, str]:
    """Decode again without what is harmless, and without the zero bytes that libjpeg finds behind a scan's end."""
    mended = _without_padding(_without_harmless(data, components), complaint)
    for _ in range(_PADDED_SCANS):
        if mended == data:
            break
        data = mended
        pixels, complaint = _try_strictly(fast, data, space, least)
        if pixels is not None:
            return pixels, ""
        mended = _without_padding(data, complaint)
    return None, complaint


def _without_harmless(data: bytes, components: int) -> bytes:
    """Return the JPEG without metadata and bytes between segments, with an APP0, APP14 and SOS that libjpeg accepts.

    Libjpeg's defaults for an unknown marker are written into it, so the pixels are the same.
    """
    segments: list[_Segment] = []
    walk_jpeg(data, segments)
    sequential = any(segment.marker in (0xC0, 0xC1) for segment in segments)
    parts = [b"\xff\xd8"]
    for marker, start, end, scan_end in segments:
        part = bytearray(data[start:end])
        if marker == _APP0 and part[4:9] == b"JFIF\0" and len(part) >= 16:
            part[9:11] = b"\x01\x01"
        elif marker == _APP14 and part[4:9] == b"Adobe" and len(part) >= 16:
            # Three components are YCbCr unless it says otherwise; of four, none is more likely.
            part[15] = 1 if components == 3 and part[15] > 1 else part[15]
        elif marker in _METADATA:
            continue
        elif marker == _SOS and sequential:
            part[-3:] = b"\x00\x3f\x00"
        parts += [bytes(part), data[end:scan_end]]
    parts.append(b"\xff\xd9")
    return b"".join(parts)


def _without_padding(data: bytes, complaint: str) -> bytes:
    """Return the JPEG without the zero bytes that libjpeg found after the last block of a scan, if all are zero."""
    found = _EXTRANEOUS.search(complaint)
    if found is None:
        return data
    count, marker = int(found[1]), int(found[2], 16)
    segments: list[_Segment] = []
    walk_jpeg(data, segments)
    followers = [segment.marker for segment in segments[1:]] + [_EOI]
    for segment, follower in zip(reversed(segments), reversed(followers), strict=True):
        padding = data[max(segment.end, segment.scan_end - count) : segment.scan_end]
        if segment.marker == _SOS and follower == marker and padding == bytes(count):
            return data[: segment.scan_end - count] + data[segment.scan_end :]
    return data
