"""The records of a zip archive as torch writes it: stored, not deflated, each with its checksum.

The directory is read by itself, within limits: a record's bytes are those of the file, so that an archive can't take
more memory than it has bytes.
"""

from __future__ import annotations

import struct
import zlib

from convscope.errors import CaptureError

LARGEST_DIRECTORY = 32_000_000  # bytes: some 300,000 records
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_STORED = 0
_ENCRYPTED = 1
_MARK_32 = 0xFFFFFFFF
_WIDE = 1  # the extra field with sizes of 64 bits


class TorchScriptError(CaptureError):
    """The archive is a TorchScript program."""


def zip_records(content: memoryview) -> dict[str, memoryview]:
    """Return the bytes of every record by its name, checked against their checksums.

    Args:
        content: the whole file.

    Raises:
        TorchScriptError: it holds a program; torch deflates the source text in it.
        CaptureError: the archive is torn, a record is deflated or encrypted, or its checksum differs.
    """
    found: dict[str, tuple[memoryview | None, int]] = {}
    position, end = _directory(content)
    while position < end:
        name, record, checksum, position = _record(content, position)
        if name in found:
            raise CaptureError(f"it holds {name} twice")
        found[name] = record, checksum
    # Records are in one folder of any name: "net/code/__torch__.py".
    if any(name.partition("/")[2].startswith(("code/", "constants.pkl")) for name in found):
        raise TorchScriptError("a TorchScript program")
    records: dict[str, memoryview] = {}
    for name, (record, _) in found.items():
        if record is None:
            raise CaptureError(f"its record {name} is compressed or encrypted, and torch stores records as they are")
        records[name] = record
    # torch can leave checksums out: all of them are 0 then.
    if any(checksum for _, checksum in found.values()):
        for name, record in records.items():
            if zlib.crc32(record) != found[name][1]:
                raise CaptureError(f"its record {name} is damaged: the checksum differs")
    return records


def _directory(content: memoryview) -> tuple[int, int]:
    """Return the first byte and the end of the central directory."""
    at = len(content) - _END.size
    if at < 0 or bytes(content[at : at + 4]) != b"PK\x05\x06":
        raise CaptureError("the archive has no end")
    *_, size, begin, _ = _END.unpack_from(content, at)
    locator = at - _LOCATOR.size
    if locator >= 0 and bytes(content[locator : locator + 4]) == b"PK\x06\x07":
        _, _, wide, _ = _LOCATOR.unpack_from(content, locator)
        if wide + _END_64.size > locator or bytes(content[wide : wide + 4]) != b"PK\x06\x06":
            raise CaptureError("the archive's end is damaged")
        *_, size, begin = _END_64.unpack_from(content, wide)
    if size > LARGEST_DIRECTORY:
        raise CaptureError(f"its list of records is {size:,} bytes, more than {LARGEST_DIRECTORY:,}")
    if begin + size > at:
        raise CaptureError("the archive's list of records is damaged")
    return begin, begin + size


def _record(content: memoryview, position: int) -> tuple[str, memoryview | None, int, int]:
    """Return one entry of the directory: name, bytes (None: deflated or encrypted), checksum, where the next begins."""
    try:
        entry = _ENTRY.unpack_from(content, position)
        mark, _, _, flags, method, _, _, checksum, packed, size, name_size, extra_size, note_size, _, _, _, at = entry
        if mark != b"PK\x01\x02":
            raise CaptureError("the archive's list of records is damaged")
        after = position + _ENTRY.size
        name = bytes(content[after : after + name_size]).decode("utf-8")
        extra = content[after + name_size : after + name_size + extra_size]
        size, packed, at = _widened(extra, size, packed, at)
        following = after + name_size + extra_size + note_size
        if flags & _ENCRYPTED or method != _STORED or packed != size:
            return name, None, checksum, following
        local = _LOCAL.unpack_from(content, at)
    except (struct.error, UnicodeDecodeError):
        raise CaptureError("the archive's list of records is damaged") from None
    begin = at + _LOCAL.size + local[-2] + local[-1]
    if local[0] != b"PK\x03\x04" or begin + size > len(content):
        raise CaptureError(f"its record {name} is not whole")
    return name, content[begin : begin + size], checksum, following


def _widened(extra: memoryview, size: int, packed: int, at: int) -> tuple[int, int, int]:
    """Return the sizes and offset of a record, with those from its 64-bit field."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == _WIDE:
            wide = iter(struct.unpack_from(f"<{length // 8}Q", extra, 4))
            size, packed, at = (next(wide, -1) if value == _MARK_32 else value for value in (size, packed, at))
        extra = extra[4 + length :]
    if min(size, packed, at) < 0:
        raise CaptureError("the archive's list of records is damaged")
    return size, packed, at
