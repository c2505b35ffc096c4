"""The SHA-256 digest that a weights file carries in its own metadata, over every byte of the file.

The digest's own place counts as zeros. A second entry says that there is one, so that damage to the first entry's name
does not make the file one without a digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from convscope.errors import CaptureError

DIGEST, VERSION = "convscope.sha256", "convscope.version"
# The first version of our weights files that carries a digest; older ones have neither entry.
WITH_DIGEST = "2"
PLACEHOLDER = "0" * 64


def sealed(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """Return a safetensors file with metadata added to it, among it a digest over every byte.

    Equal tensors and metadata give equal bytes: safetensors itself writes several entries in any order.
    """
    size = int.from_bytes(content[:8], "little")
    entries = content[8 + 1 : 8 + size].rstrip()  # without the brace that opens them
    whole = json.dumps({**metadata, DIGEST: PLACEHOLDER, VERSION: WITH_DIGEST}, separators=(",", ":")).encode()
    header = b'{"__metadata__":' + whole + (b"" if entries == b"}" else b",") + entries
    header += b" " * (-len(header) % 8)
    start = len(header).to_bytes(8, "little") + header
    numbers = memoryview(content)[8 + size :]
    at = _place(start, PLACEHOLDER)
    digest = _digest(memoryview(start), numbers, at)
    return b"".join((start[:at], digest.encode(), start[at + len(PLACEHOLDER) :], numbers))


def require_intact(content: memoryview, metadata: Mapping[str, str], *, required: bool) -> None:
    """Raise CaptureError unless the file's digest is that of its bytes.

    A file without one passes: an older file, or one of another library; not where it is `required`.

    Raises:
        CaptureError: the bytes are not those that were written.
    """
    stated = metadata.get(DIGEST)
    if stated is None:
        if required or VERSION in metadata:
            raise CaptureError("its digest is missing: it was altered since it was written")
        return
    if len(stated) != len(PLACEHOLDER) or not stated.isascii():
        raise CaptureError("its digest is damaged")
    if _digest(content, memoryview(b""), _place(content, stated)) != stated:
        raise CaptureError("its SHA-256 digest is not that of its bytes")


def _place(content: bytes | memoryview, digest: str) -> int:
    header = bytes(content[: 8 + int.from_bytes(content[:8], "little")])
    text = f'"{DIGEST}":"{digest}"'.encode()
    at = header.find(text)
    if at < 0:
        raise CaptureError("its digest is damaged")
    return at + len(text) - len(digest) - 1


def _digest(start: memoryview, rest: memoryview, at: int) -> str:
    """Return the digest of a file in two pieces, with zeros in place of the digest itself."""
    found = hashlib.sha256(start[:at])
    found.update(PLACEHOLDER.encode())
    found.update(start[at + len(PLACEHOLDER) :])
    found.update(rest)
    return found.hexdigest()
