"""TIFF's LZW (TIFF 6.0, section 13): the number of bytes that a strip decodes to, without decoding it.

libtiff stops as soon as it has the bytes that it wants, so it does not see that a damaged strip decodes to more of
them. Only the lengths of the strings are needed to see it, and NumPy finds those of a whole table at once.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from convscope.arrays import Integers
from convscope.files.regular import UnreadableError

_CLEAR, _END, _FIRST = 256, 257, 258
# A table is full at code 4,095: at most this many codes follow a clear code, the next one included.
_MOST_CODES = 4096 - _FIRST + 2
# Encoders clear a table that is full, after some 5,000 bytes; a strip made of clear codes would take hours.
_BYTES_A_TABLE = 1024
_FREE_TABLES = 1024


@functools.cache
def _layout() -> tuple[Integers, Integers]:
    """Return the first bit of each code after a clear code, and its width in bits, 9 to 12.

    When code k is read, the table's next free entry is 257 + k, and TIFF's codes grow one entry early.
    """
    free = np.arange(_MOST_CODES) + _FIRST - 1
    widths = np.select([free < 511, free < 1023, free < 2047], [9, 10, 11], 12).astype(np.int64)
    return np.concatenate([[0], np.cumsum(widths)])[:-1].astype(np.int64), widths


def is_old_style(data: bytes | memoryview) -> bool:
    """Return whether a strip has the bit order of the writers before TIFF 5, which `decoded_length` does not read."""
    return len(data) > 1 and data[0] == 0 and bool(data[1] & 1)


def decoded_length(data: bytes | memoryview) -> int:
    """Return the number of bytes that a strip decodes to, up to its end code or, without one, its end.

    Raises UnreadableError for a code that is not in the table when it is read, and for a table that is never cleared.

    A clear code, "a", "a" and the end code, of 9 bits each:

    >>> decoded_length(bytes([0x80, 0x18, 0x4C, 0x30, 0x10]))
    2
    """
    packed = np.frombuffer(data, np.uint8)
    # Every code lies in three bytes; the last may begin in the last byte but one.
    padded = np.concatenate([packed, np.zeros(3, np.uint8)])
    offsets, widths = _layout()
    bits = 8 * len(packed)
    position = length = tables = 0
    while position + 9 <= bits:
        tables += 1
        if tables > _FREE_TABLES + len(packed) // _BYTES_A_TABLE:
            raise UnreadableError("TIFF damaged: LZW with a clear code every few bytes")
        starts = position + offsets
        starts = starts[: np.searchsorted(starts + widths, bits, side="right")]
        codes = _codes_at(padded, starts, widths[: len(starts)])
        special = np.flatnonzero((codes == _CLEAR) | (codes == _END))
        count = int(special[0]) if len(special) else len(codes)
        length += _total_length(codes[:count])
        if not len(special):
            if count == _MOST_CODES:
                raise UnreadableError("TIFF damaged: an LZW table is never cleared")
            break
        if codes[count] == _END:
            break
        position = int(starts[count] + widths[count])
    return length


def _codes_at(padded: npt.NDArray[np.uint8], starts: Integers, widths: Integers) -> Integers:
    """Return the codes that begin at these bits, most significant bit first."""
    at = starts >> 3
    three = padded[at].astype(np.int64) << 16 | padded[at + 1].astype(np.int64) << 8 | padded[at + 2]
    codes: Integers = three >> (24 - (starts & 7) - widths) & ((1 << widths) - 1)
    return codes


def _total_length(codes: Integers) -> int:
    """Return the number of bytes that the codes after a clear code decode to.

    Entry j of the table is the string of code j and one byte more. So a string is one byte longer than the one that
    its entry grew from, and pointers back to that are followed twice as far each time.
    """
    parents = codes - _FIRST
    if (parents >= np.arange(len(codes))).any():
        raise UnreadableError("TIFF damaged: an LZW code that is not in the table")
    # One more place at the end is the parent of all literals.
    root = len(codes)
    parents = np.append(np.where(codes < _CLEAR, root, parents), root)
    lengths = np.ones(root + 1, np.int64)
    lengths[root] = 0
    while (parents != root).any():
        lengths += lengths[parents]
        parents = parents[parents]
    return int(lengths.sum())
