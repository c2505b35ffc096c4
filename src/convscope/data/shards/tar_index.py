"""Index a tar archive by its headers, and read members by that index; nothing is unpacked.

Only regular files are taken. Links, devices and names that lead out of the archive are reported and never followed;
nothing is ever unpacked. Formats: ustar, GNU and pax (POSIX.1-2001), as the standard library reads them.
"""

from __future__ import annotations

import os
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, ClassVar

from convscope.data.listing import DecodedImage, content_digest
from convscope.data.pixels.budget import FILE_BYTES
from convscope.data.pixels.decode import decode_content
from convscope.data.records import Decoding
from convscope.data.sources.measure import ending_of
from convscope.errors import DataError
from convscope.files.regular import FILE_LIMIT, UnreadableError, open_regular, read_part, refused_as, size_in_words

# A shard of more members than this is no data set; the index of them all must fit into memory.
MOST_MEMBERS = 20_000_000
# Bytes of a header that only says something about the next one: long names, and pax records.
LARGEST_EXTENSION = 2**20
BLOCK = 512


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in an archive: its name, and the offset and number of its bytes."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class TarIndex:
    """The content of one archive: its members in order, and the entries that were skipped, with the reason."""

    path: str
    members: list[Member]
    refused: list[tuple[str, str]]


def index_tar(path: str) -> TarIndex:
    """List an archive's members without reading them.

    Raises:
        DataError: no regular file, no tar archive, or one that is cut short.
    """
    with refused_as(DataError, path), open_regular(path, limit=None) as file:
        return _read(file, path, os.fstat(file.fileno()).st_size)


def _read(file: BinaryIO, path: str, size: int) -> TarIndex:
    if not size:
        raise DataError(f"{path} is empty: what is needed is a tar archive")
    start = file.read(BLOCK)
    file.seek(0)
    if start[:2] == b"\x1f\x8b" or start[:3] == b"BZh" or start[:4] == b"\x28\xb5\x2f\xfd":
        raise DataError(f"{path} is compressed, and its images can't be reached one by one: unpack it to a plain .tar")
    index = TarIndex(path, [], [])
    try:
        with tarfile.TarFile(fileobj=_Guarded(file, path), mode="r", errorlevel=0) as archive:  # type: ignore[arg-type]
            while (entry := archive.next()) is not None:
                _take(entry, index, size)
                # The archive keeps every entry that it has met: a million of them are not ours to hold twice.
                archive.members = []  # type: ignore[attr-defined]
                if len(index.members) > MOST_MEMBERS:
                    raise DataError(f"{path} has more than {MOST_MEMBERS:,} members: cut it into several shards")
            end = archive.offset
    except (tarfile.TarError, OSError, ValueError, OverflowError, EOFError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError(f"{path} is not a whole tar archive ({reason}): make or copy it again") from None
    # Zeros end an archive; tarfile stops without a word at anything else as well.
    file.seek(end)
    if file.read(BLOCK) != bytes(BLOCK):
        raise DataError(f"{path} is cut short or damaged at byte {end:,} of {size:,}: make or copy it again")
    return index


def _take(entry: tarfile.TarInfo, index: TarIndex, size: int) -> None:
    """Add a member, or the reason to skip it; raises DataError if the archive ends before the member does."""
    shown = f"{index.path}:{entry.name}"
    if entry.size < 0:
        raise DataError(f"{shown} claims {entry.size:,} bytes: the archive is damaged; make or copy it again")
    if entry.isdir():
        return
    parts = PurePosixPath(entry.name).parts
    if entry.issym() or entry.islnk():
        index.refused.append((shown, "a link: members of shards must be plain files"))
    elif not entry.isreg() or entry.issparse():
        index.refused.append((shown, "not a plain file"))
    elif not parts or parts[0] == "/" or ".." in parts or "\0" in entry.name:
        index.refused.append((shown, "its name leads out of the archive"))
    elif entry.offset_data + entry.size > size:
        raise DataError(
            f"{shown} claims {entry.size:,} bytes, and the archive has {max(0, size - entry.offset_data):,} left: "
            "it is cut short or damaged; make or copy it again"
        )
    else:
        index.members.append(Member(entry.name, entry.offset_data, entry.size))


class _Guarded:
    """A file that refuses reads larger than a header may be."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        self._file = file
        self._path = path
        self.name = path
        self.mode = "rb"

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= LARGEST_EXTENSION:
            raise DataError(f"{self._path} has a header of {count:,} bytes: it is damaged, or no data set")
        return self._file.read(count)

    def seek(self, position: int, whence: int = 0) -> int:
        return self._file.seek(position, whence)

    def tell(self) -> int:
        return self._file.tell()


@dataclass
class ShardReader:
    """A reader of the rows of a listing of shards, each from its offset in the archive."""

    places: list[tuple[str, Member]]

    reads_single_rows: ClassVar[bool] = True

    def __call__(self, row: int, decoding: Decoding) -> DecodedImage:
        """Decode one member; raises UnreadableError."""
        shard, member = self.places[row]
        with FILE_BYTES.reserve(member.size):
            return decode_content(read_member(shard, member), decoding)

    def digest(self, row: int) -> int:
        """Return the digest of one member's bytes; raises UnreadableError."""
        return content_digest(read_member(*self.places[row]))

    def original(self, row: int) -> tuple[bytes, str]:
        """Return one member's bytes and the suffix of its name; raises UnreadableError."""
        shard, member = self.places[row]
        return read_member(shard, member), ending_of(member.name)


def read_member(shard: str, member: Member) -> bytes:
    """Read the bytes of one member; raises UnreadableError."""
    if member.size > FILE_LIMIT:
        raise UnreadableError(f"{size_in_words(member.size)}; the limit is {size_in_words(FILE_LIMIT)}")
    return read_part(shard, member.offset, member.size)
