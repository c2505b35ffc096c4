"""Read members of shards without unpacking the archives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from convscope.data.listing import DecodedImage, content_digest
from convscope.data.pixels.budget import FILE_BYTES
from convscope.data.pixels.decode import decode_content
from convscope.data.records import Decoding
from convscope.data.shards.tar_index import Member
from convscope.data.sources.measure import ending_of
from convscope.files.regular import FILE_LIMIT, UnreadableError, read_part, size_in_words


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
