"""The data sets that a training may be started on: the built-in one, and those below the folders given at the start.

Each has an id, which requests name; a path never leaves the server. A folder is only looked at: what is in it, and
whether it can be trained on, the forecast says.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from convscope.data.layout import split_in_name
from convscope.data.sources.digits import ALWAYS_DIGITS, CLASSES, COUNT
from convscope.data.sources.walk import could_be_image, is_hidden
from convscope.report.printable import printable
from convscope.studio.protocol import StudioError

SetKind = Literal["built-in", "folder", "table", "file"]

BUILT_IN = "digits"
# Folders below a root that are looked into, how far down, and entries of one.
MOST_SETS, MOST_FOLDERS, DEPTH, MOST_ENTRIES = 200, 2_000, 3, 2_000
# Folders in a folder that are looked into, to tell whether they are classes.
LOOKED_INTO = 8
_TABLES = (".csv", ".tsv")
_ARCHIVES = (".tar",)
_BINARIES = ("-ubyte", "-ubyte.gz")


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A data set that can be chosen.

    Args:
        id: what requests name it by.
        title: what the page shows: hostile text, as a folder may have any name.
        kind: what it is.
        source: what a recipe's `data` is; it stays on this side.
        images: how many; None where they were not counted.
        classes: how many; None where that is not known before its files are read.
    """

    id: str
    title: str
    kind: SetKind
    source: str
    images: int | None = None
    classes: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what the page shows of it; never a path."""
        return {
            "id": self.id,
            "title": self.title,
            "kind": self.kind,
            "images": self.images,
            "classes": self.classes,
        }


DIGITS = DataSet(
    id=BUILT_IN, title="Handwritten digits", kind="built-in", source=ALWAYS_DIGITS, images=COUNT, classes=len(CLASSES)
)


class DataSets:
    """The sets below some roots; they are looked for anew at each call of `listed`.

    Args:
        roots: folders given when the server was started; links that lead out of them are not followed.
    """

    def __init__(self, roots: tuple[Path, ...] = ()) -> None:
        self._roots = tuple(Path(os.path.realpath(root)) for root in roots)
        self._known: dict[str, DataSet] = {DIGITS.id: DIGITS}

    def listed(self) -> list[DataSet]:
        """Return the sets, the built-in one first."""
        found = [DIGITS]
        for root in self._roots:
            found += islice(_below(root), MOST_SETS)
        self._known |= {each.id: each for each in found}
        return found

    def find(self, name: str) -> DataSet:
        """Return the set of an id that was listed.

        Raises:
            StudioError: there is none; of kind "gone".
        """
        if name not in self._known:
            self.listed()
        found = self._known.get(name)
        if found is None:
            raise StudioError(f"there is no data set {name[:80]!r}: choose one of the list", "gone")
        if found is not DIGITS and not os.path.lexists(found.source):
            raise StudioError(f"the data set {found.title!r} is gone: choose one of the list", "gone")
        return found


def _below(root: Path) -> Iterator[DataSet]:
    """Yield the sets in a folder and in the folders below it; what is a set is not looked into."""
    waiting, looked = [(root, 0)], 0
    while waiting and looked < MOST_FOLDERS:
        folder, depth = waiting.pop(0)
        looked += 1
        files, below = _entries(folder)
        title = printable(root.name if folder == root else folder.relative_to(root).as_posix())
        if (classes := _classes(folder, files, below)) is not None:
            yield DataSet(id=_id(folder), title=title, kind="folder", source=str(folder), classes=classes or None)
            continue
        for name in files:
            if name.lower().endswith(_TABLES):
                path = folder / name
                shown = printable(path.relative_to(root).as_posix())
                yield DataSet(id=_id(path), title=shown, kind="table", source=str(path))
        if depth < DEPTH:
            waiting += [(folder / name, depth + 1) for name in below]


def _entries(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of some files and of the folders in a folder, sorted; links and hidden ones are left out."""
    files, below = list[str](), list[str]()
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in islice(entries, MOST_ENTRIES):
            if is_hidden(entry.name):
                continue
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    files.append(entry.name)
    return sorted(files), sorted(below)


def _classes(folder: Path, files: list[str], below: list[str]) -> int | None:
    """Return how many classes a folder seems to have, 0 where that is not known; None where it is no set."""
    for name in files:
        if name.lower().endswith((*_BINARIES, *_ARCHIVES)) or name.startswith(("data_batch_", "train.bin")):
            return 0
    learned = [name for name in below if split_in_name(name) == "train"]
    for name in learned:
        inner = folder / name
        if classes := _with_images(inner, _entries(inner)[1]):
            return classes
    return None if learned else _with_images(folder, below) or None


def _with_images(folder: Path, below: list[str]) -> int:
    """Return how many of the folders in a folder are classes, where the first of them hold images; else 0."""
    looked = below[:LOOKED_INTO]
    holding = sum(any(map(could_be_image, _entries(folder / name)[0])) for name in looked)
    return len(below) if holding >= 2 and holding == len(looked) else 0


def _id(path: Path) -> str:
    return f"set-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}"
