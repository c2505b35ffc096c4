"""Read the first bytes of a gzip file, without inflating the rest."""

from __future__ import annotations

import zlib

from convscope.files.regular import Name, UnreadableError, explain_os_error, open_regular

_GZIP = 16 + zlib.MAX_WBITS
_MAGIC = b"\x1f\x8b"
_PIECE = 2**20


def read_gzip(path: Name, count: int) -> bytes:
    """Return the first `count` bytes of a gzip file's content, or all of it if it is shorter.

    Nothing after them is inflated; zeros after the last member are skipped (Python's gzip reads them one by one).

    Raises:
        UnreadableError: the file can't be read, or is damaged.
    """
    found = bytearray()
    with open_regular(path, limit=None) as file:
        try:
            held = file.read(_PIECE)
            while held.startswith(_MAGIC) and len(found) < count:
                member = zlib.decompressobj(_GZIP)
                while len(found) < count and not member.eof:
                    if not held:
                        raise UnreadableError("cut short: its compressed data ends early")
                    found += member.decompress(held, count - len(found))
                    held = member.unconsumed_tail or (b"" if member.eof else file.read(_PIECE))
                held = member.unused_data
                if len(held) < len(_MAGIC):
                    held += file.read(_PIECE)
        except OSError as error:
            raise UnreadableError(explain_os_error(error)) from None
        except zlib.error as error:
            raise UnreadableError(f"its compressed data is damaged ({error})") from None
    return bytes(found)
