"""WAV files: every depth that is written comes back as written, and what is damaged or not read is named."""

from __future__ import annotations

import io
import struct
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.data.inputs.sound import read_sound
from convscope.errors import DataError

PCM, FLOAT, ADPCM, EXTENSIBLE = 1, 3, 2, 0xFFFE


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def header(encoding: int, channels: int, rate: int, bits: int) -> bytes:
    frame = channels * bits // 8
    return struct.pack("<HHIIHH", encoding, channels, rate, rate * frame, frame, bits)


@settings(max_examples=40, deadline=None)
@given(
    width=st.sampled_from([1, 2, 3, 4]),
    channels=st.integers(1, 3),
    rate=st.sampled_from([8000, 44100]),
    numbers=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20),
)
def test_pcm_as_python_writes_it(width: int, channels: int, rate: int, numbers: list[int]) -> None:
    top = 2 ** (8 * width - 1)
    whole = np.array([number % (2 * top) - top for number in numbers] * channels).reshape(-1, channels)
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(channels)
        written.setsampwidth(width)
        written.setframerate(rate)
        if width == 1:
            written.writeframes(b"".join(int(n + 128).to_bytes(1, "little") for n in whole.reshape(-1)))
        else:
            written.writeframes(b"".join(int(n).to_bytes(width, "little", signed=True) for n in whole.reshape(-1)))
    sound = read_sound(file.getvalue())
    assert (sound.channels, sound.rate, sound.bits, sound.length) == (channels, rate, 8 * width, len(whole))
    assert np.array_equal(sound.samples(), whole.T / top)
    assert np.array_equal(sound.samples(1), sound.samples()[:, :1])


@pytest.mark.parametrize("bits", [32, 64])
def test_floating_point_and_the_extensible_form(bits: int) -> None:
    numbers = np.array([0.25, -1.0, 3.5], dtype=f"<f{bits // 8}")
    plain = riff((b"fmt ", header(FLOAT, 1, 16000, bits)), (b"LIST", b"odd"), (b"data", numbers.tobytes()))
    sound = read_sound(plain)
    assert sound.encoding == f"{bits}-bit float" and sound.samples().tolist() == [[0.25, -1.0, 3.5]]
    extension = struct.pack("<HHIH", 22, 24, 4, PCM) + bytes(14)
    long = riff((b"fmt ", header(EXTENSIBLE, 1, 48000, 24) + extension), (b"data", b"\0\0\x40\0\0\x80"))
    assert read_sound(long).samples().tolist() == [[0.5, -1.0]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a WAV file but empty"),
        (b"hello", "not a WAV file but text"),
        (b"RF64" + riff()[4:], "of the form RF64"),
        (riff((b"data", b"ab")), "without its format"),
        (riff((b"fmt ", header(PCM, 1, 8000, 16))), "without samples"),
        (riff((b"fmt ", header(PCM, 1, 8000, 16)), (b"data", b"")), "without samples"),
        (riff((b"fmt ", header(PCM, 1, 8000, 16)[:8]), (b"data", b"ab")), "whose format has 8 bytes"),
        (riff((b"fmt ", header(ADPCM, 1, 8000, 4)), (b"data", b"ab")), "in ADPCM, which is not read: convert it"),
        (riff((b"fmt ", header(PCM, 1, 8000, 12)), (b"data", b"ab")), "of 12 bits a sample"),
        (riff((b"fmt ", header(PCM, 0, 8000, 16)), (b"data", b"ab")), "of 0 channels at 8000 Hz"),
        (riff((b"fmt ", header(PCM, 2, 8000, 16)), (b"data", b"abc")), "no multiple of 4: it is damaged"),
        (riff((b"fmt ", header(PCM, 1, 8000, 16)), (b"data", b"abcd"))[:-2], "ends after 2 of 4 bytes of its samples"),
    ],
)
def test_what_is_no_whole_sound_is_named(data: bytes, words: str) -> None:
    with pytest.raises(DataError) as caught:
        read_sound(data)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("whole", "size"),
    [(2**32 - 1, 2**32 - 1), (0x7FFFF024, 0x7FFFF000), (2**31 - 1, 2**31 - 37), (0, 0), (2**32 - 1, 0), (36, 0)],
)
@pytest.mark.parametrize("rest", [b"", b"!"])
def test_a_file_written_to_a_pipe_is_read_to_its_end(whole: int, size: int, rest: bytes) -> None:
    data = bytearray(riff((b"fmt ", header(PCM, 1, 8000, 16)), (b"data", struct.pack("<2h", 16384, -32768))))
    struct.pack_into("<I", data, 4, whole)
    struct.pack_into("<I", data, 40, size)
    sound = read_sound(bytes(data) + rest)
    assert sound.streamed and sound.samples().tolist() == [[0.5, -1.0]]
    with pytest.raises(DataError, match="without samples"):
        read_sound(bytes(data[:44]))


def test_no_samples_before_another_part_are_not_read_from_it() -> None:
    with pytest.raises(DataError, match="without samples"):
        read_sound(riff((b"fmt ", header(PCM, 1, 8000, 16)), (b"data", b""), (b"LIST", b"text")))


def test_a_sample_that_is_no_number_is_named() -> None:
    numbers = np.array([0, 0, 1, np.nan], dtype="<f4")
    sound = read_sound(riff((b"fmt ", header(FLOAT, 2, 8000, 32)), (b"data", numbers.tobytes())))
    with pytest.raises(DataError, match="sample 1 is not finite"):
        sound.samples()
    assert sound.samples(1).tolist() == [[0], [0]]


@settings(max_examples=100, deadline=None)
@given(place=st.integers(0, 51), byte=st.integers(0, 255), length=st.integers(0, 52))
def test_a_changed_or_cut_file_is_read_or_refused(place: int, byte: int, length: int) -> None:
    data = bytearray(riff((b"fmt ", header(PCM, 2, 8000, 16)), (b"data", bytes(8))))
    data[place] = byte
    try:
        samples = read_sound(bytes(data[:length])).samples()
    except DataError:
        return
    assert np.isfinite(samples).all()
