"""Find the archives of a data set: those of a folder, or of a pattern like train-{000..099}.tar."""

from __future__ import annotations

import glob
import itertools
import os
import re
from dataclasses import dataclass
from pathlib import Path

from convscope.data.layout import SPLIT_NAMES
from convscope.data.listing import WHOLE
from convscope.data.sources.walk import is_hidden
from convscope.errors import DataError
from convscope.files.regular import is_there

ENDING = ".tar"
MOST_SHARDS = 100_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


@dataclass(frozen=True)
class Shard:
    """One archive: its path and its split ("all" if its name denotes none)."""

    path: str
    split: str


def names_shards(source: str) -> bool:
    """Return whether a source names shards: one .tar, or a pattern of them.

    >>> names_shards("a/train-{000..012}.tar"), names_shards("a/*.tar"), names_shards("photos")
    (True, True, False)
    """
    return source.endswith(ENDING)


def find_shards(source: str) -> list[Shard]:
    """Return the archives of a folder (also in train/, val/ and test/ of it), of a path, or of a pattern, in order.

    A pattern has * and ?, or braces: train-{000..012}.tar, {train,val}-*.tar. Raises DataError if a named archive is
    missing, OSError where that can't be found out.
    """
    if not names_shards(source):
        folder = Path(source)
        here = [path for path in sorted(folder.glob(f"*{ENDING}")) if not is_hidden(path.name)]
        below = [
            (path, SPLIT_NAMES[inner.name.casefold()])
            for inner in sorted(folder.iterdir())
            if inner.name.casefold() in SPLIT_NAMES and inner.is_dir()
            for path in sorted(inner.glob(f"*{ENDING}"))
            if not is_hidden(path.name)
        ]
        return [Shard(str(path), split_of(path.name)) for path in here] + [Shard(str(p), split) for p, split in below]
    paths: list[str] = []
    # A file of exactly this name goes first: folders are called set[1] and {old}.
    for pattern in [source] if os.path.lexists(source) else expand(source):
        is_pattern = glob.has_magic(pattern) and not os.path.lexists(pattern)
        # Path.glob has no patterns in absolute paths.
        matched = sorted(glob.glob(pattern)) if is_pattern else [pattern]  # noqa: PTH207
        if not matched or not all(os.path.lexists(path) or is_there(path) for path in matched):
            raise DataError(f"there is no shard {pattern}: give .tar files, or a folder that holds them")
        paths += matched
    return [Shard(path, split_of(Path(path).name)) for path in dict.fromkeys(paths)]


def expand(pattern: str) -> list[str]:
    """Expand the braces of a pattern; raises DataError for more than 100,000 results, and for numbers that go down.

    >>> expand("{train,val}-{08..10}.tar")[:4]
    ['train-08.tar', 'train-09.tar', 'train-10.tar', 'val-08.tar']
    """
    pieces = _BRACES.split(pattern)
    options: list[list[str]] = []
    total = 1
    for place, piece in enumerate(pieces):
        if place % 2 == 0:
            options.append([piece])
            continue
        if found := _RANGE.fullmatch(piece):
            first, last = int(found[1]), int(found[2])
            if first > last:
                raise DataError(f"{pattern}: the numbers of {{{piece}}} go down: write {{{found[2]}..{found[1]}}}")
            if last - first >= MOST_SHARDS:
                raise DataError(f"{pattern} names more than {MOST_SHARDS:,} shards")
            options.append([str(number).zfill(len(found[1])) for number in range(first, last + 1)])
        else:
            options.append(piece.split(","))
        total *= len(options[-1])
        if total > MOST_SHARDS:
            raise DataError(f"{pattern} names more than {MOST_SHARDS:,} shards")
    return ["".join(words) for words in itertools.product(*options)]


def split_of(name: str) -> str:
    """Return the split that a shard's name begins with, or "all".

    >>> split_of("train-000001.tar"), split_of("imagenet-val-3.tar"), split_of("shard-07.tar")
    ('train', 'val', 'all')
    """
    words = re.split(r"[^a-z]+", name.casefold())
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), WHOLE)
