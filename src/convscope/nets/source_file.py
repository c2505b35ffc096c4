"""The files of a user's own network as data: their names, their hashes, their text. Nothing is executed here."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from convscope.files.fields import Fields, in_short
from convscope.files.regular import UnreadableError, read_bytes

LARGEST_SOURCE = 2**24  # bytes of Python, of one file and of all that a run keeps
MOST_FILES = 500
LONGEST_NAME = 200
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """A file of Python: its path below the folder that imports start from, and the hash of its bytes.

    `text` are the bytes, where the file was read; of a model.json they are empty. `beside` are the other files of the
    user's that it imported, themselves or by way of others.
    """

    file: str
    sha256: str
    text: bytes = field(default=b"", compare=False, repr=False)
    beside: tuple[SourceFile, ...] = ()

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """The file itself and those beside it."""
        return (self, *self.beside)

    def to_dict(self) -> dict[str, object]:
        """Return the names and the hashes as JSON can hold them."""
        beside = {"beside": {one.file: one.sha256 for one in self.beside}} if self.beside else {}
        return {"file": self.file, "sha256": self.sha256, **beside}

    @classmethod
    def read(cls, path: str, *, file: str) -> SourceFile:
        """Return a file as it is now; raises UnreadableError."""
        text = read_bytes(path, limit=LARGEST_SOURCE)
        return cls(file=file, sha256=hashlib.sha256(text).hexdigest(), text=text)

    @classmethod
    def of(cls, fields: Fields) -> SourceFile:
        """Return what the fields of a model.json say; raises UnreadableError where they are no names and no hashes."""
        beside = fields.object("beside") if "beside" in fields else None
        if beside is not None and len(beside.values) > MOST_FILES:
            raise UnreadableError(f"network.source.beside has {len(beside.values):,} files: at most {MOST_FILES}")
        return cls(
            file=_file_name(fields.text("file")),
            sha256=_digest(fields.text("sha256")),
            beside=()
            if beside is None
            else tuple(cls(file=_file_name(name), sha256=_digest(beside.text(name))) for name in beside.values),
        )


def _file_name(file: str) -> str:
    parts = PurePosixPath(file).parts
    plain = all(part.isprintable() and not part.startswith(".") and not re.search(r"[\\:]", part) for part in parts)
    if str(PurePosixPath(*parts)) != file or file.startswith("/") or not plain or not file.endswith(".py"):
        raise UnreadableError(f"network.source has {in_short(file)}: it must be the path of a .py file, as net.py")
    if len(file) > LONGEST_NAME:
        raise UnreadableError(f"network.source has {in_short(file)}: it is longer than {LONGEST_NAME}")
    return file


def _digest(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise UnreadableError(f"network.source.sha256 is {in_short(digest)}: it must be 64 hexadecimal digits")
    return digest
