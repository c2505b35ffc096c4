"""What a decoder knew of damage is not lost; what it only grumbles about is no reason to refuse."""

from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

import hostile_images as made
from convscope.data.pixels import decode, libtiff
from convscope.data.pixels.decode import decode_bytes
from convscope.data.records import Decoding
from convscope.files.regular import UnreadableError

NATIVE = Decoding(size=(made.HEIGHT, made.WIDTH))


def is_refused(data: bytes) -> bool:
    try:
        decode_bytes(data, NATIVE)
    except UnreadableError:
        return True
    return False


def pillows(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def tiff(compression: str, mode: str = "RGB", **settings: object) -> bytes:
    return made.encode(made.picture().convert(mode), "TIFF", compression=compression, **settings)


def adobe(jpeg: bytes, transform: int) -> bytes:
    at = jpeg.find(b"Adobe") + 11
    return jpeg[:at] + bytes([transform]) + jpeg[at + 1 :]


CMYK = made.encode(made.picture().convert("CMYK"), "JPEG", quality=85)
Q = made.J.find(b"\xff\xdb")
SOS = made.J.find(b"\xff\xda")
ICC = made.encode(made.picture(), "JPEG", quality=85, icc_profile=b"x" * 100_000)

# Files of which a decoder complains, but of nothing that touches the pixels.
HARMLESS = {
    "jpeg, zeros behind its last block": made.J[:-2] + bytes(10) + b"\xff\xd9",
    "jpeg, bytes between its segments": made.J[:Q] + b"\0\0\0junk" + made.J[Q:],
    "jpeg, 500 zeros between its segments": made.J[:Q] + bytes(500) + made.J[Q:],
    "jpeg, a thousand filling bytes": made.J[:Q] + b"\xff" * 1000 + made.J[Q:],
    "jpeg, scan parameters of another kind": made.J[: SOS + 11] + b"\x01" + made.J[SOS + 12 :],
    "jpeg, JFIF 7.1": made.J.replace(b"JFIF\0\x01", b"JFIF\0\x07", 1),
    "jpeg, a profile in parts that do not fit": ICC.replace(b"ICC_PROFILE\0\x01", b"ICC_PROFILE\0\x05", 1),
    "jpeg, CMYK": CMYK,
    "jpeg, YCCK": adobe(CMYK, 2),
    "jpeg, progressive CMYK": made.encode(made.picture().convert("CMYK"), "JPEG", progressive=True),
    "tiff, an unknown tag": made.encode(made.picture(), "TIFF", compression="tiff_lzw", tiffinfo={65000: "mine"}),
    "tiff, tables in its strips": tiff("jpeg", strip_size=made.WIDTH * 3 * 16),
    "tiff, JPEG in grey": tiff("jpeg", "L"),
    "tiff, group 4": tiff("group4", "1"),
    "tiff, group 3": tiff("group3", "1"),
    "tiff, xz": tiff("lzma"),
    "bigtiff": tiff("tiff_lzw", big_tiff=True),
    "bigtiff, uncompressed": made.encode(made.picture(), "TIFF", big_tiff=True),
    **{f"tiff, {name}": tiff(name) for name in ("tiff_adobe_deflate", "tiff_deflate", "tiff_lzw", "packbits")},
    **{f"tiff, {mode} by LZW": tiff("tiff_lzw", mode) for mode in ("L", "1", "P", "CMYK", "LA")},
}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_complaint_refuses_nothing(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    seen, _ = decode_bytes(HARMLESS[name], NATIVE)
    if "LA" not in name:  # white lies under it
        assert np.array_equal(seen, pillows(HARMLESS[name]))
    assert capfd.readouterr().err == ""


def few_rows(height: int, depth: int, colour: int, *, interlaced: bool = False, level: int = 200) -> bytes:
    """A PNG of 64 rows whose data is whole and ends too early."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    rows = bytes([0] + [level] * (8 * bits)) * height
    data = made.png(64, 64, made.png_chunk(b"IDAT", zlib.compress(rows)), depth=depth, colour=colour)
    if not interlaced:
        return data
    header = data[12:28] + b"\x01"
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def wider(tiff: bytes) -> bytes:
    """A TIFF of little-endian order whose directory claims a column more."""
    found = re.search(rb"\x00\x01[\x03\x04]\x00\x01\x00\x00\x00" + struct.pack("<H", made.WIDTH), tiff)
    assert found is not None
    return tiff[: found.end() - 2] + struct.pack("<H", made.WIDTH + 1) + tiff[found.end() :]


DAMAGED = {
    "jpeg, too few blocks and an end": made.J[: made.HALF] + b"\xff\xd9",
    "jpeg, CMYK, too few blocks": CMYK[: len(CMYK) // 2] + b"\xff\xd9",
    "jpeg, CMYK, a hole": CMYK[:3000] + bytes(200) + CMYK[3200:],
    "jpeg, more blocks than its size": made.with_frame(made.J, 5, struct.pack(">HH", 64, 96)),
    "jpeg, bytes of blocks left over": made.J[:-2] + made.J[-40:-2] + b"\xff\xd9",
    "jpeg, a scan without its marker": made.J[:SOS] + b"\0" + made.J[SOS + 1 :],
    "png, 30 of 64 rows": few_rows(30, 8, 2),
    "png, 63 of 64 rows": few_rows(63, 8, 2),
    "png, 63 of 64 rows of 16-bit grey": few_rows(63, 16, 0),
    "png, 40 of 64 rows of 1 bit": few_rows(40, 1, 0),
    "png, no rows": few_rows(0, 8, 0),
    "png, half of an interlaced one": few_rows(32, 8, 2, interlaced=True, level=0),
    "tiff, deflate, wider than its strips": wider(tiff("tiff_adobe_deflate")),
    "tiff, LZW, wider than its strips": wider(tiff("tiff_lzw")),
    "tiff, packbits, wider than its strips": wider(tiff("packbits")),
    "tiff, JPEG, wider than its strips": wider(tiff("jpeg")),
    "tiff, without its directory": tiff("tiff_lzw")[:-150],
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_that_a_decoder_can_know_of_is_refused(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnreadableError, match=r"damaged|cut short|truncated"):
        decode_bytes(DAMAGED[name], NATIVE)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("kind", "at_least"),
    [("tiff_adobe_deflate", 40), ("tiff_lzw", 4), ("packbits", 0), ("jpeg", 8), ("group4", 36), ("lzma", 40)],
)
def test_libtiff_says_nothing_on_the_terminal(kind: str, at_least: int, capfd: pytest.CaptureFixture[str]) -> None:
    whole = tiff(kind, "1" if kind == "group4" else "RGB")
    draw = np.random.default_rng(3)
    refused = 0
    for _ in range(40):
        at = int(draw.integers(8, int.from_bytes(whole[4:8], "little") or len(whole)))
        at = min(at, len(whole) - 300)
        refused += is_refused(whole[:at] + bytes([whole[at] ^ 1 << int(draw.integers(8))]) + whole[at + 1 :])
    assert refused >= at_least
    assert capfd.readouterr().err == ""


def test_a_compression_that_can_not_be_checked_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "listens", lambda: False)
    with pytest.raises(UnreadableError, match="can't be checked"):
        decode_bytes(tiff("group4", "1"), NATIVE)
    assert not is_refused(tiff("tiff_lzw"))


def test_errors_of_libtiff_stay_in_their_thread() -> None:
    with libtiff.complaints() as outer:
        with libtiff.complaints() as inner:
            libtiff._keep(b"Fax4Decode", b"Bad code word at line %u of %s", None)
        assert inner == ["Fax4Decode: Bad code word at line"] and outer == []


TRANSPARENT = {  # depth, colour type, tRNS, a row, what it looks like on white
    "16-bit grey": (16, 0, b"\x12\x34", b"\x12\x34\x56\x78", [255, 86]),
    "16-bit grey, near": (16, 0, b"\x12\x35", b"\x12\x34\x56\x78", [18, 86]),
    "2-bit grey": (2, 0, b"\0\1", bytes([0b01_11_00_00]), [255, 255]),
    "4-bit grey": (4, 0, b"\0\1", bytes([0x12]), [255, 34]),
    "1-bit grey": (1, 0, b"\0\0", bytes([0b01_000000]), [255, 255]),
    "8-bit grey, high bits": (8, 0, b"\x01\x05", b"\x05\x06", [255, 6]),
    "8-bit palette, a long list": (8, 3, bytes(300), b"\0\1", [255, 255]),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_the_transparent_colour_of_a_png(name: str) -> None:
    depth, colour, key, row, expected = TRANSPARENT[name]
    chunks = [made.png_chunk(b"PLTE", bytes(range(6)))] if colour == 3 else []
    chunks += [made.png_chunk(b"tRNS", key), made.png_chunk(b"IDAT", zlib.compress(b"\0" + row))]
    seen, _ = decode_bytes(made.png(2, 1, *chunks, depth=depth, colour=colour), Decoding(size=(1, 2)))
    assert seen[0, :, 0].tolist() == expected


def test_what_can_not_be_told_of_a_colour_is_refused() -> None:
    key = made.png_chunk(b"tRNS", b"\x12\x34" * 3)
    data = made.png(1, 1, key, made.png_chunk(b"IDAT", zlib.compress(bytes(7))), depth=16, colour=2)
    with pytest.raises(UnreadableError, match="alpha channel"):
        decode_bytes(data, NATIVE)
    palette = made.png_chunk(b"PLTE", bytes(6))
    data = made.png(2, 1, palette, made.png_chunk(b"IDAT", zlib.compress(b"\0\1\2")), colour=3)
    with pytest.raises(UnreadableError, match="colour 2 of a palette of 2"):
        decode_bytes(data, NATIVE)


@pytest.mark.parametrize("where", ["iCCP", "iTXt"])
def test_a_large_profile_or_text_refuses_no_png(where: str) -> None:
    large = bytes(1_500_000)
    image, info = made.picture(), PngImagePlugin.PngInfo()
    if where == "iTXt":
        info.add_itxt("XML:com.adobe.xmp", "x" * len(large), zip=True)
    whole = made.encode(image, "PNG", pnginfo=info, icc_profile=large if where == "iCCP" else None)
    assert np.array_equal(decode_bytes(whole, NATIVE)[0], decode_bytes(made.encode(image, "PNG"), NATIVE)[0])


@pytest.mark.long
def test_no_mutation_of_a_header_raises_anything_else(tmp_path: Path) -> None:
    """20,000 files with wrong bytes near their start or end, checksums of PNG chunks put right: pixels, or a reason."""
    wholes = [made.P, made.G, made.T, made.J, made.W, CMYK, *HARMLESS.values()]
    wholes += [made.encode(made.picture().quantize(9), "PNG", transparency=0), made.encode(made.picture(), "BMP")]
    draw = np.random.default_rng(11)
    for number in range(20_000):
        whole = bytearray(wholes[number % len(wholes)])
        for _ in range(int(draw.integers(1, 4))):
            near = int(draw.integers(min(200, len(whole))))
            whole[near if draw.random() < 0.6 else -1 - near] = int(draw.integers(256))
        is_refused(made.with_right_checksums(bytes(whole)))
