"""Reading the members of shards, each where it lies in its archive."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from convscope.data.listing import Image, content_digest
from convscope.data.pixels.budget import FILE_BYTES
from convscope.data.pixels.decode import FILE_LIMIT, decode_content, explain_os_error
from convscope.data.pixels.sniff import Unreadable
from convscope.data.records import Decoding
from convscope.data.shards.tar_index import Member
from convscope.data.sources.measure import ending_of


@dataclass
class ShardReader:
    """Reads the rows of a listing of shards, each where it lies in its archive."""

    places: list[tuple[str, Member]]

    reads_single_rows: ClassVar[bool] = True

    def __call__(self, row: int, decoding: Decoding) -> Image:
        """One member, decoded; raises Unreadable."""
        shard, member = self.places[row]
        with FILE_BYTES.reserve(member.size):
            return decode_content(read_member(shard, member), decoding)

    def digest(self, row: int) -> int:
        """The digest of one member's bytes; raises Unreadable."""
        return content_digest(read_member(*self.places[row]))

    def original(self, row: int) -> tuple[bytes, str]:
        """One member's bytes and the ending of its name; raises Unreadable."""
        shard, member = self.places[row]
        return read_member(shard, member), ending_of(member.name)


def read_member(shard: str, member: Member) -> bytes:
    """The bytes of one member; raises Unreadable."""
    if member.size > FILE_LIMIT:
        raise Unreadable(f"{member.size / 2**20:.0f} MiB; the limit is {FILE_LIMIT // 2**20} MiB")
    try:
        descriptor = os.open(shard, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Unreadable(explain_os_error(error)) from None
    try:
        data = os.pread(descriptor, member.size, member.offset)
    except OSError as error:
        raise Unreadable(explain_os_error(error)) from None
    finally:
        os.close(descriptor)
    if len(data) != member.size:
        raise Unreadable("the shard changed while it was read")
    return data
