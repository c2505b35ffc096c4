"""The length of an LZW strip, counted in NumPy, is that of the bytes that it decodes to."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convscope.data.pixels.lzw import decoded_length
from convscope.files.regular import UnreadableError


def decoded(data: bytes) -> bytes | None:
    """TIFF's LZW in plain Python (TIFF 6.0, section 13); None for a code that is not in the table."""
    bits = int.from_bytes(data)
    left = 8 * len(data)
    table: list[bytes] = []
    out, previous, width = [], None, 9
    while left >= width:
        code = bits >> (left - width) & ((1 << width) - 1)
        left -= width
        if code == 257:
            break
        if code == 256:
            table, previous, width = [], None, 9
            continue
        if previous is None:
            if code > 257:
                return None
            string = bytes([code])
        else:
            if code - 258 > len(table):
                return None
            first = previous[:1] if code - 258 == len(table) else (table[code - 258] if code > 257 else bytes([code]))
            table.append(previous + first[:1])
            string = bytes([code]) if code < 256 else table[code - 258]
        out.append(string)
        previous = string
        free = 258 + len(table)
        width = 9 if free < 511 else 10 if free < 1023 else 11 if free < 2047 else 12
    return b"".join(out)


def strip(content: bytes) -> bytes:
    """The content as one strip, coded by libtiff."""
    stream = io.BytesIO()
    image = Image.frombytes("L", (len(content), 1), content)
    image.save(stream, "TIFF", compression="tiff_lzw")
    tags = Image.open(stream).tag_v2  # type: ignore[attr-defined]
    return stream.getvalue()[tags[273][0] :][: tags[279][0]]


@settings(max_examples=40)
@given(
    content=st.binary(min_size=1, max_size=300)
    | st.builds(bytes.__mul__, st.binary(min_size=1, max_size=9), st.integers(1, 900))
)
def test_the_length_is_that_of_the_content(content: bytes) -> None:
    coded = strip(content)
    assert decoded(coded) == content and decoded_length(coded) == len(content)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), flips=st.integers(0, 3), size=st.integers(1, 3000))
def test_of_damaged_strips_too(seed: int, flips: int, size: int) -> None:
    draw = np.random.default_rng(seed)
    coded = bytearray(strip(draw.integers(0, int(draw.integers(2, 256)), size, dtype=np.uint8).tobytes()))
    for _ in range(flips):
        coded[int(draw.integers(len(coded)))] ^= 1 << int(draw.integers(8))
    expected = decoded(bytes(coded))
    if expected is None:
        with pytest.raises(UnreadableError, match="not in the table"):
            decoded_length(bytes(coded))
    else:
        assert decoded_length(bytes(coded)) == len(expected)


def test_a_table_that_is_filled_and_cleared_many_times() -> None:
    content = np.random.default_rng(0).integers(0, 256, 60_000, dtype=np.uint8).tobytes()
    assert decoded_length(strip(content)) == len(content)
