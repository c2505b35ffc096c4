"""Read the samples of a WAV file: PCM of 8, 16, 24 or 32 bits, or floating point of 32 or 64.

Source: "Multimedia Programming Interface and Data Specifications 1.0" (IBM and Microsoft, 1991), and the extensible
form of 2001, in which most programs write more than 16 bits. Python's `wave` is not used: before 3.12 it refuses that
form, it refuses floating point, and a file whose end is missing is read as if it were whole.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from convscope.errors import DataError
from convscope.report.file_kinds import kind_by_start
from convscope.report.units import plural

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_UNKNOWN = 0xFFFFFFFF
_NEAR_2_GIB = 0x7FFFF000  # programs that write to a pipe give 0x7FFFF000 (SoX) to 0x80000000 (arecord), or _UNKNOWN
_ENCODINGS = {2: "ADPCM", 6: "A-law", 7: "mu-law", 17: "IMA ADPCM", 0x50: "MPEG", 0x55: "MP3", 0xFF: "AAC"}
_CONVERT = "convert it, such as by: ffmpeg -i IN -c:a pcm_s16le OUT.wav"


@dataclass(frozen=True, eq=False)
class Sound:
    """A sound, as its file describes it; samples are decoded by `samples`.

    Args:
        channels: 1 for mono, 2 for stereo.
        length: samples of each channel.
        rate: samples of each channel in a second.
        bits: of one sample.
        floating: whether samples are floating-point numbers rather than integers (PCM).
        streamed: whether the header does not say the length, as in a file written to a pipe; read to the file's end.
    """

    channels: int
    length: int
    rate: int
    bits: int
    floating: bool
    _frames: bytes = field(repr=False)
    streamed: bool = False

    @property
    def encoding(self) -> str:
        """The encoding of a sample: "16-bit PCM", "32-bit float"."""
        return f"{self.bits}-bit {'float' if self.floating else 'PCM'}"

    def samples(self, length: int | None = None) -> npt.NDArray[np.float64]:
        """Return the first `length` samples, by default all, as `(channels, length)`; PCM between -1 and 1.

        Raises:
            DataError: a floating-point sample is not finite.
        """
        length = self.length if length is None else min(length, self.length)
        size = self.bits // 8
        raw = np.frombuffer(self._frames, np.uint8, count=length * self.channels * size)
        if self.floating:
            numbers = raw.view(f"<f{size}").astype(np.float64)
        elif size == 1:
            numbers = (raw.astype(np.float64) - 128) / 128  # eight bits are unsigned
        else:
            # Each sample becomes the upper bytes of a 32-bit integer.
            wide = np.zeros((length * self.channels, 4), np.uint8)
            wide[:, 4 - size :] = raw.reshape(-1, size)
            numbers = wide.view("<i4")[:, 0] / 2**31
        if not np.isfinite(numbers).all():
            raise DataError(f"sample {int(np.flatnonzero(~np.isfinite(numbers))[0]) // self.channels} is not finite")
        return np.ascontiguousarray(numbers.reshape(length, self.channels).T)


def is_sound(data: bytes) -> bool:
    """Return whether a file's bytes begin as a WAV file does."""
    return data[:4] in (b"RIFF", b"RF64", b"RIFX") and data[8:12] == b"WAVE"


def read_sound(data: bytes) -> Sound:
    r"""Return the sound in a WAV file's bytes.

    Raises:
        DataError: it is no WAV file, is damaged, or is encoded in a way that is not read; the message has no path.

    >>> header = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    >>> sound = read_sound(header + b"data\x04\0\0\0" + struct.pack("<2h", 16384, -32768))
    >>> sound.rate, sound.encoding, sound.samples().tolist()
    (8000, '16-bit PCM', [[0.5, -1.0]])
    """
    if not is_sound(data):
        raise DataError(f"not a WAV file but {kind_by_start(data) or 'of a format that is not known'}")
    if not data.startswith(b"RIFF"):
        raise DataError(f"a WAV file of the form {data[:4].decode()}, which is not read: {_CONVERT}")
    found: dict[bytes, bytes] = {}
    streamed = False
    for name, body, unknown in _chunks(data):
        found.setdefault(name, body)
        streamed |= unknown
    if b"fmt " not in found or b"data" not in found:
        raise DataError("a WAV file without " + ("its format" if b"fmt " not in found else "samples"))
    return _sound(found[b"fmt "], found[b"data"], streamed=streamed)


def _sound(header: bytes, frames: bytes, *, streamed: bool) -> Sound:
    if len(header) < 16:
        raise DataError(f"a WAV file whose format has {plural(len(header), 'byte')}, and needs 16")
    encoding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", header)
    if encoding == _EXTENSIBLE and len(header) >= 26:
        (encoding,) = struct.unpack_from("<H", header, 24)
    if encoding not in (_PCM, _FLOAT):
        raise DataError(
            f"a WAV file in {_ENCODINGS.get(encoding, f'encoding {encoding}')}, which is not read: {_CONVERT}"
        )
    if bits not in ((8, 16, 24, 32) if encoding == _PCM else (32, 64)):
        raise DataError(f"a WAV file of {bits} bits a sample, which is not read: {_CONVERT}")
    if not channels or not rate:
        raise DataError(f"a WAV file of {plural(channels, 'channel')} at {rate} Hz")
    frame = channels * bits // 8
    if streamed:  # the writer may have been stopped within a sample
        frames = frames[: len(frames) // frame * frame]
    if not frames:
        raise DataError("a WAV file without samples")
    if len(frames) % frame:
        raise DataError(f"a WAV file whose {len(frames)} bytes of samples are no multiple of {frame}: it is damaged")
    return Sound(channels, len(frames) // frame, rate, bits, encoding == _FLOAT, frames, streamed)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Give the parts of a RIFF file: name, bytes, and whether its length is unknown.

    What a file may have after its samples is not checked. A program that writes to a pipe can't go back to write the
    length of the samples, and leaves 0xFFFFFFFF, about 2 GiB, or 0: they go to the end of the file then. Of a length
    of 0 that is so where the whole file's length is unknown as well or ends there; elsewhere there are no samples.
    """
    (whole,) = struct.unpack_from("<I", data, 4)
    place = 12
    while place + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        left = len(data) - place - 8
        open_end = size > left and size >= _NEAR_2_GIB
        if name == b"data" and (open_end or (size == 0 and (whole == _UNKNOWN or whole <= place))):
            yield name, data[place + 8 :], True
            return
        body = data[place + 8 : place + 8 + size]
        if len(body) < size and name in (b"fmt ", b"data"):
            raise DataError(f"a WAV file that ends after {len(body):,} of {size:,} bytes of its "
                            f"{'samples' if name == b'data' else 'format'}: part of it is missing")  # fmt: skip
        yield name, body, False
        if name == b"data":
            return
        place += 8 + size + size % 2
