"""Image files that go wrong in the world, made here: each with what must become of it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

HEIGHT, WIDTH = 128, 192


def picture(height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    """A smooth colour picture with some noise, the same each time."""
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(7).integers(0, 24, (height, width, 3))
    planes = np.stack([rows * 200 // height, columns * 200 // width, (rows + columns) * 200 // (height + width)], 2)
    return Image.fromarray((planes + noise).astype(np.uint8))


def encode(image: Image.Image, name: str, **settings: object) -> bytes:
    """The image in one of Pillow's formats."""
    stream = io.BytesIO()
    image.save(stream, name, **settings)
    return stream.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its length and a right checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG of these chunks between a header and an end."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IEND", b"")


def with_right_checksums(data: bytes) -> bytes:
    """A PNG with the checksum of each chunk put right; anything else as it is."""
    if not data.startswith(b"\x89PNG"):
        return data
    fixed, position = bytearray(data), 8
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4])
        if end > len(data):
            break
        fixed[end - 4 : end] = struct.pack(">I", zlib.crc32(data[position + 4 : end - 4]))
        position = end
    return bytes(fixed)


def frame_at(jpeg: bytes) -> int:
    """Where the frame header's marker stands."""
    return max(jpeg.find(b"\xff\xc0\x00\x11"), jpeg.find(b"\xff\xc2\x00\x11"))


def with_frame(jpeg: bytes, offset: int, value: bytes) -> bytes:
    """The JPEG with bytes of its frame header (0: marker, 4: precision, 5: height, 7: width) replaced."""
    at = frame_at(jpeg) + offset
    return jpeg[:at] + value + jpeg[at + len(value) :]


def progressive(image: Image.Image) -> bytes:
    return encode(image, "JPEG", quality=85, progressive=True)


def many_scans(count: int) -> bytes:
    """A progressive JPEG with its last scan repeated."""
    jpeg = progressive(picture())
    last = jpeg.rfind(b"\xff\xda")
    return jpeg[:last] + jpeg[last:-2] * count + b"\xff\xd9"


J = encode(picture(), "JPEG", quality=85)
P = encode(picture(), "PNG")
W = encode(picture(), "WEBP", quality=85)
G = encode(picture().quantize(64), "GIF")
T = encode(picture(), "TIFF")
HALF = len(J) // 2


def bad_idat() -> bytes:
    return png(64, 64, png_chunk(b"IDAT", zlib.compress(bytes(64 * 193))[:-20] + bytes(20)))


def flipped_idat() -> bytes:
    at = P.find(b"IDAT") + 100
    return P[:at] + bytes([P[at] ^ 0x10]) + P[at + 1 :]


# name -> (bytes, a pattern that the reason must match)
KEPT_OUT: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty file"),
    "jpeg start": (lambda: J[:20], "cut short"),
    "jpeg first half": (lambda: J[:HALF], "cut short"),
    "jpeg without its last two bytes": (lambda: J[:-2], "cut short"),
    "jpeg half, then zeros": (lambda: J[:HALF] + bytes(len(J) - HALF), "cut short"),
    "progressive jpeg first half": (lambda: progressive(picture())[:HALF], "cut short"),
    "png first half": (lambda: P[: len(P) // 2], "cut short"),
    "png half, then zeros": (lambda: P[: len(P) // 2] + bytes(len(P) // 2), "damaged|cut short"),
    "png without its end": (lambda: P[:-12], "cut short"),
    "png without its last 20 bytes": (lambda: P[:-20], "cut short"),
    "png with a flipped bit": (flipped_idat, "checksum"),
    "png with bad zlib and good checksums": (bad_idat, "."),
    "png with too little data": (lambda: png(64, 64, png_chunk(b"IDAT", zlib.compress(bytes(9)))), "."),
    "png without data": (lambda: png(64, 64), "holds no picture"),
    "png 9000x9000 in ten bytes": (lambda: png(9000, 9000, png_chunk(b"IDAT", bytes(10))), "megapixels"),
    "png 2^31-1 wide": (lambda: png(2**31 - 1, 2**31 - 1, png_chunk(b"IDAT", bytes(10))), "megapixels"),
    "png 50000^2 of 1 bit": (lambda: png(50000, 50000, png_chunk(b"IDAT", b"x"), depth=1, colour=0), "megapixels"),
    "png with a text of 64 MiB": (
        lambda: png(
            8, 8, png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26), 9)), png_chunk(b"IDAT", zlib.compress(b""))
        ),
        ".",
    ),
    "webp first half": (lambda: W[: len(W) // 2], "cut short"),
    "webp 16383x5400": (lambda: huge_webp(), "megapixels"),
    "gif first half": (lambda: G[: len(G) // 2], "."),
    "gif half, then zeros": (lambda: G[: len(G) // 2] + bytes(len(G) // 2), "."),
    "webp half, then zeros": (lambda: W[: len(W) // 2] + bytes(len(W) // 2), "."),
    "gif 65535x65535": (lambda: G[:6] + b"\xff\xff\xff\xff" + G[10:], "megapixels"),
    "tiff first half": (lambda: T[: len(T) // 2], "."),
    "bmp first half": (lambda: encode(picture(), "BMP")[:9000], "."),
    "ppm first half": (lambda: encode(picture(), "PPM")[:9000], "."),
    "jpeg arithmetic-coded": (lambda: with_frame(J, 1, b"\xc9"), "arithmetic"),
    "jpeg lossless": (lambda: with_frame(J, 1, b"\xc3"), "lossless"),
    "jpeg of 12 bits": (lambda: with_frame(J, 4, b"\x0c"), "12 bits"),
    "jpeg of height 0": (lambda: with_frame(J, 5, b"\0\0"), "192x0"),
    "jpeg of width 0": (lambda: with_frame(J, 7, b"\0\0"), "0x128"),
    "jpeg 9000x9000": (lambda: with_frame(J, 5, struct.pack(">HH", 9000, 9000)), "megapixels"),
    "jpeg 65500x65500": (lambda: with_frame(J, 5, struct.pack(">HH", 65500, 65500)), "megapixels"),
    "jpeg 7000x7000 in few bytes": (lambda: with_frame(J, 5, struct.pack(">HH", 7000, 7000)), "can't hold|damaged"),
    "jpeg of 500 scans": (lambda: many_scans(500), "scans"),
    "jpeg header only": (lambda: b"\xff\xd8\xff\xd9", "no picture"),
    "text": (lambda: b"a cat sat on the mat\n" * 9, "text"),
    "web page": (lambda: b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
    "svg": (lambda: b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    "pdf": (lambda: b"%PDF-1.7\n1 0 obj", "PDF"),
    "postscript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage", "PostScript"),
    "zip": (lambda: b"PK\x03\x04" + bytes(60), "zip"),
    "lfs pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "LFS"),
    "macos resource": (lambda: b"\x00\x05\x16\x07\x00\x02\x00\x00" + bytes(60), "macOS"),
    "heic": (lambda: b"\x00\x00\x00\x18ftypheic" + bytes(60), "HEIC"),
    "avif": (lambda: b"\x00\x00\x00\x18ftypavif" + bytes(60), "AVIF"),
    "zeros": (lambda: bytes(500), "zero"),
    "random bytes": (lambda: np.random.default_rng(1).bytes(500), "no known format"),
    "tga": (lambda: encode(picture(), "TGA"), "no known format"),
    "tiff of 32-bit integers": (lambda: encode(Image.fromarray(np.ones((8, 8), np.int32)), "TIFF"), "32-bit"),
    "tiff of 64-bit floats": (lambda: tiff_of(np.ones((8, 8)), kind=3), "are floating-point numbers of 64 bits, which"),
    "tiff of colour in floats": (lambda: tiff_of(np.ones((8, 8, 3), "f4"), kind=3), "of 32 bits in 3 channels"),
    "tiff of two channels": (lambda: tiff_of(np.ones((8, 8, 2), "u2"), kind=1), "integers of 16 bits in 2 channels"),
    "tiff of signed bytes": (lambda: tiff_of(np.ones((8, 8), "i1"), kind=2), "signed integers of 8 bits"),
    "tiff of floats": (lambda: encode(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"), "floating"),
}


def tiff_of(numbers: npt.NDArray[Any], *, kind: int) -> bytes:
    """An uncompressed TIFF of numbers (H, W) or (H, W, channels), of unsigned (1), signed (2) or floating (3) kind."""
    height, width, channels = (*numbers.shape, 1)[:3]
    bits, content = 8 * numbers.itemsize, numbers.tobytes()
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 1), (273, 140), (277, channels), (278, height)]
    tags += [(279, len(content)), (339, kind)]
    entries = b"".join(struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in tags)
    return (b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries).ljust(140, b"\0") + content


def huge_webp() -> bytes:
    """A header that claims 88 megapixels."""
    bits = (16383 - 1) | (5400 - 1) << 14
    body = b"WEBPVP8L" + struct.pack("<I", 5) + b"\x2f" + struct.pack("<I", bits) + bytes(60)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def with_exif(jpeg: bytes, body: bytes) -> bytes:
    """The JPEG with this behind its start, as EXIF."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 8) + b"Exif\0\0" + body + jpeg[2:]


def exif(orientation: int) -> bytes:
    """A TIFF folder with an orientation alone."""
    return b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)


# name -> bytes; each decodes to the picture's own pixels (of that format)
DECODED: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: J,
    "jpeg with garbage behind": lambda: J + b"garbage" * 50,
    "two jpegs in one": lambda: J + J,
    "jpeg with garbage for exif": lambda: with_exif(J, b"nonsense" * 9),
    "jpeg with a loop in its exif": lambda: with_exif(J, b"MM\0*\0\0\0\x08\0\0\0\0\0\x08"),
    "jpeg of orientation 0": lambda: with_exif(J, exif(0)),
    "jpeg of orientation 9": lambda: with_exif(J, exif(9)),
    "jpeg of orientation 65535": lambda: with_exif(J, exif(65535)),
    "jpeg with a broken profile": lambda: encode(picture(), "JPEG", quality=85, icc_profile=b"broken" * 9),
    "png with 20,000 texts": lambda: P[:33] + png_chunk(b"tEXt", b"a\0b") * 20_000 + P[33:],
    "png with garbage behind": lambda: P + b"garbage",
    "webp": lambda: W,
    "tiff": lambda: T,
    "tiff, deflated": lambda: encode(picture(), "TIFF", compression="tiff_adobe_deflate"),
    "bmp": lambda: encode(picture(), "BMP"),
    "ppm": lambda: encode(picture(), "PPM"),
    "gif": lambda: G,
}

assert not ImageFile.LOAD_TRUNCATED_IMAGES
