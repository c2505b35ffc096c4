"""Answers of the studio by question, compressed in blocks: what an offline page answers from. No torch.

A block is one gzip stream of some answers, one after another; the page opens a block when it first needs an answer in
it. The last block is the index: JSON with the questions, and where each one's answer is.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any, TypeAlias

from convscope.report.json_values import in_json
from convscope.studio.protocol import Packet, json_bytes

GZIP = 16 + zlib.MAX_WBITS
LEVEL = 6

AnswerKey: TypeAlias = Sequence[str | int | None]
"""An operation of the protocol and its values, in a fixed order: ("maps", run, value, order, page)."""


class AnswerArchive:
    """Answers by question, and how many compressed bytes they take.

    >>> archive = AnswerArchive()
    >>> archive.begin()
    >>> archive.add(("graph", "lenet5"), Packet({"key": "lenet5"}))
    True
    >>> archive.add(("graph", "vgg16"), Packet({"key": "v" * 500}), room=8)
    False
    >>> ("graph", "lenet5") in archive, ("graph", "vgg16") in archive, archive.size > 0
    (True, False, True)
    """

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._open = bytearray()
        self._packer: Any = None
        self._length = 0  # of the open block, not compressed
        self._index: dict[str, tuple[str, int, int, int]] = {}  # media type, block, start, length
        self._details: dict[str, Any] = {}

    @property
    def size(self) -> int:
        """Return the compressed bytes of all blocks so far, without the index."""
        return sum(map(len, self._blocks)) + len(self._open)

    def __contains__(self, key: AnswerKey) -> bool:
        return key_of(key) in self._index

    def __len__(self) -> int:
        return len(self._index)

    def begin(self) -> None:
        """End the open block, and open another: answers that are needed together compress better together."""
        if self._packer is not None:
            self._blocks.append(bytes(self._open) + self._packer.flush())
        self._packer = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
        self._open = bytearray()
        self._length = 0

    def add(self, key: AnswerKey, answer: Packet, *, room: int | None = None) -> bool:
        """Add an answer to the open block, unless it takes more than `room` compressed bytes; say whether it is in."""
        if key in self:
            return True
        data = answer.encoded()
        packer = self._packer.copy()
        # A flush makes the compressed size known; it costs about five bytes.
        packed = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
        if room is not None and len(packed) > room:
            return False
        self._packer = packer
        self._open += packed
        self._index[key_of(key)] = (answer.type, len(self._blocks), self._length, len(data))
        self._length += len(data)
        return True

    def describe(self, name: str, value: Any) -> None:
        """Put a JSON value into the index, under a name of its own."""
        self._details[name] = value

    def packed(self) -> tuple[list[int], bytes]:
        """Return the lengths of all blocks, the index last, and the blocks one after another."""
        self.begin()
        self._packer = None
        answers = {key: list(place) for key, place in self._index.items()}
        index = zlib.compress(json_bytes({**self._details, "answers": answers}), LEVEL, GZIP)
        blocks = [*self._blocks, index]
        return [len(block) for block in blocks], b"".join(blocks)


def key_of(key: AnswerKey) -> str:
    """Return the key of an answer as the index writes it, as JSON.stringify does of the same list.

    >>> key_of(("maps", "r1", "layer1:relu#2", None, 0))
    '["maps","r1","layer1:relu#2",null,0]'
    """
    return json.dumps(in_json(list(key)), ensure_ascii=False, separators=(",", ":"))
