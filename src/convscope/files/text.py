"""Read text files: UTF-8 with or without a mark at its start, or UTF-16 with one; anything else is explained."""

from __future__ import annotations

import os

from convscope.files.regular import Name, UnreadableError, read_bytes

TEXT_LIMIT = 64 * 2**20
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: Name, *, limit: int = TEXT_LIMIT, names: bool = False) -> str:
    """Read a regular file of at most `limit` bytes as text.

    With `names` (the text holds names of files), bytes that are not UTF-8 are kept as `os.fsdecode` keeps them.

    Raises:
        UnreadableError: the file can't be read, or is not text.
    """
    return decode_text(read_bytes(path, limit=limit), names=names)


def path_in_text(text: str) -> str:
    """Return a path that a text file holds as the file system's functions take it in this locale.

    A locale of another encoding than UTF-8, such as C, has names as bytes that `os.fsdecode` keeps.

    >>> path_in_text("cats/001.png")
    'cats/001.png'
    """
    return text if text.isascii() else os.fsdecode(text.encode("utf-8", "surrogateescape"))


def decode_text(data: bytes, *, names: bool = False) -> str:
    r"""Return the text in a file's bytes; `names` as in `read_text`.

    Raises:
        UnreadableError: they are neither UTF-8 nor UTF-16; the reason names the line and the byte.

    >>> decode_text(b"\xef\xbb\xbfepochs = 3")
    'epochs = 3'
    >>> decode_text(b"one\ntw\xff")
    Traceback (most recent call last):
    ...
    convscope.files.regular.UnreadableError: not UTF-8: line 2 holds the byte 0xff; save it as UTF-8
    """
    encoding = "utf-16" if data.startswith(_UTF_16) else "utf-8-sig"
    try:
        text = data.decode(encoding, "surrogateescape" if names else "strict")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        name = encoding.removesuffix("-sig").upper()
        raise UnreadableError(
            f"not {name}: line {line} holds the byte 0x{data[error.start]:02x}; save it as UTF-8"
        ) from None
    if "\0" in text:
        raise UnreadableError("no text: it holds bytes that are zero")
    return text
