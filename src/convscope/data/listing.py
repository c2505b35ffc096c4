"""The content of a source before any image is decoded: one record for folders, IDX, CIFAR and digits."""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple, Protocol

import numpy as np

from convscope.data.class_names import require_text
from convscope.data.layout import NONE
from convscope.data.records import Decoding, Labels, Pixels, Problem, Targets

# The part that is cut into splits in memory, where the source has no splits of its own.
WHOLE = "all"
# More images than this share that are not there, or have no label, mean a wrong folder, or half of one.
MISSING_SHARE = 0.01


# The source of images that a caller holds in memory is this and a digest of them.
_MEMORY = "memory:"


def memory_source(digest: str) -> str:
    """Return the name of images in memory, by their digest."""
    return _MEMORY + digest[:16]


def in_groups_source(source: str, groups: ImageGroups) -> str:
    """Return the name of images in memory that are given with groups, by which they are split otherwise."""
    return f"{source}+{content_digest(groups.numbers.tobytes()):08x}"


def without_groups(source: str) -> str:
    """Return the name of images in memory as they are without groups.

    >>> without_groups("memory:0123456789abcdef+7f1b4d9c"), without_groups("a+b")
    ('memory:0123456789abcdef', 'a+b')
    """
    return source.partition("+")[0] if is_in_memory(source) else source


def is_in_memory(source: str) -> bool:
    """Return whether a source is the name of images that a caller held in memory: no name finds them again."""
    return source.startswith(_MEMORY)


class ListedFile(NamedTuple):
    """One image file: its path, size in bytes and modification time in nanoseconds."""

    path: str
    size: int
    time: int


@dataclass(frozen=True)
class ImageGroups:
    """The group of each row, of which no split parts one.

    `numbers` (rows,) counts them from 0; `by` is what says so, a column's name or a pattern like {group}_*; `names` are
    the groups' names, by their number.
    """

    numbers: Labels
    by: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[str], by: str) -> ImageGroups:
        """Return the groups of rows by the name of each row's group.

        >>> ImageGroups.of(["p1", "p2", "p1"], "patient_id").numbers.tolist()
        [0, 1, 0]
        """
        numbers: dict[str, int] = {}
        of_rows = np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)
        return cls(of_rows, by, tuple(numbers))

    @property
    def count(self) -> int:
        """The number of groups."""
        return len(self.names)

    def of_rows(self, rows: Labels) -> list[str]:
        """Return the name of the group of each of some rows."""
        return [self.names[number] for number in self.numbers[rows].tolist()]


class DecodedImage(NamedTuple):
    """One decoded row: its pixels, uint8 (H, W, C), a remark or None, and the digest of what it was decoded from."""

    pixels: Pixels
    remark: str | None
    digest: int


class Reader(Protocol):
    """Decodes one row of a listing; called from many threads at once."""

    @property
    def reads_single_rows(self) -> bool:
        """Whether a few rows can be read without reading all of them."""
        ...

    def __call__(self, row: int, decoding: Decoding) -> DecodedImage:
        """Decode one row; raises UnreadableError."""
        ...

    def digest(self, row: int) -> int:
        """Return the digest of the row's encoded content, without decoding it; raises UnreadableError."""
        ...

    def original(self, row: int) -> tuple[bytes, str]:
        """Return the row as an image file's bytes, and the suffix of its name; raises UnreadableError."""
        ...


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The rows of a source, split after split.

    `parts` gives each split's number of rows, in the order in which they follow one another. `identity` changes when
    any file's name, size or time does: it is what the cache is keyed by; None means that no cache is needed.
    `layout` is the setting that reads the same class folders again, "none" where there are none.
    `image_size` is the typical (height, width). `targets` (rows, classes) are there for multi-label data alone,
    `archives` (rows,), which archive each row lies in, for shards alone; `groups` where some are asked for.
    `which` distinguishes some of the source's rows from others, in the cache.
    """

    source: str
    kind: str
    classes: tuple[str, ...]
    parts: dict[str, int]
    labels: Labels
    names: list[str]
    read: Reader = field(repr=False, compare=False)
    identity: str | None
    image_size: tuple[int, int]
    channels: int
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    targets: Targets | None = None
    archives: Labels | None = None
    layout: str = NONE
    groups: ImageGroups | None = None
    which: str = ""

    def __post_init__(self) -> None:
        for name in self.classes:
            require_text(name)

    @property
    def is_split(self) -> bool:
        """Whether the source has a validation split of its own, so that nothing is cut from its training images."""
        return bool(self.parts.get("val"))

    def class_counts(self, rows: Labels) -> Labels:
        """Return the number of these rows that show each class, int64 (classes,)."""
        if self.targets is not None:
            return np.asarray(self.targets[rows].sum(0, dtype=np.int64))
        return np.bincount(self.labels[rows], minlength=len(self.classes)).astype(np.int64)

    def rows_of(self, part: str) -> Labels:
        """Return the rows of one part."""
        start = 0
        for name, count in self.parts.items():
            if name == part:
                return np.arange(start, start + count)
            start += count
        return np.arange(0)


def content_digest(content: bytes | memoryview) -> int:
    """Return the CRC-32 of an image's bytes: a change is missed in one of 4 billion cases.

    >>> content_digest(b"the bytes of an image")
    2707761240
    """
    return zlib.crc32(content)


def identity_of(source: str, files: Iterable[ListedFile]) -> str:
    """Return a digest of the source's path and its files' names, sizes and times: it changes when any of these does."""
    digest = hashlib.sha256(os.fsencode(os.path.realpath(source)) + b"\0")
    start = len(source)
    lines = [f"{file.path[start:]}\0{file.size}\0{file.time}" for file in files]
    digest.update("\0".join(lines).encode(errors="surrogateescape"))
    return digest.hexdigest()


_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?")


def class_order(names: Iterable[str], *, earlier: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return class names in order: numbers as numbers, then the others by their text.

    A run's labels are positions in its list of classes: `earlier` is the list of a run, which is returned if its names
    are the same.

    >>> class_order(["10", "9", "unknown", "1"]), class_order(["1", "2", "10"], earlier=("1", "10", "2"))
    (('1', '9', '10', 'unknown'), ('1', '10', '2'))
    """
    names = set(names)
    if names == set(earlier):
        return earlier

    def key(name: str) -> tuple[bool, Fraction, str]:
        is_number = _NUMBER.fullmatch(name) is not None
        return not is_number, Fraction(name) if is_number else Fraction(0), name

    return tuple(sorted(names, key=key))
