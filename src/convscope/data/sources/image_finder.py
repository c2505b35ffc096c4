"""Find the files that the cells of a table name: in which folder they lie, and with which ending."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from convscope.data.layout import split_in_name
from convscope.data.sources.below_folder import list_below
from convscope.data.sources.walk import IMAGE_ENDINGS, is_hidden
from convscope.errors import DataError, did_you_mean
from convscope.files.regular import UnreadableError, read_bytes
from convscope.files.text import path_in_text
from convscope.report.printable import few
from convscope.report.usage import setting_name, settings_text

# Endings of one format, in lower case.
_SAME_FORMAT = {"jpg": "jpeg", "jpeg": "jpeg", "jpe": "jpeg", "tif": "tiff", "tiff": "tiff", "png": "png", "bmp": "bmp"}
# Folders beside a table that are looked into.
MOST_FOLDERS = 200
# Files of two folders that are compared to see whether one holds copies of the other.
COMPARED = 8


@dataclass
class ImageFinder:
    """Files by their names in a table, looked for in `folders` in order.

    `ending` is added to the names; where it is "", and a name does not end as images do, the image of that name with
    any ending is taken, if there is one; where it does, the file may end otherwise, .JPG or .jpeg for .jpg. `lead` is
    left out where a name begins with it: it was the folder of the images on another machine. A bare name is looked for
    in the folders that `below` lists, too. Accents may be written in either way that Unicode has.
    """

    folders: tuple[str, ...]
    ending: str = ""
    lead: str = ""
    # The images of folders that were listed, by name without ending.
    listed: dict[str, dict[str, list[str]]] = field(default_factory=dict, repr=False)
    # Folders by the names without ending of the images in them.
    below: dict[str, list[str]] = field(default_factory=dict, repr=False)

    def find(self, cell: str) -> tuple[str, os.stat_result | OSError]:
        """Return the path that a cell names, and its status, or why it can't be opened.

        Raises:
            DataError: two images fit a name without an ending, or a bare one.
        """
        if self.lead and (plain := cell.replace("\\", "/")).startswith(self.lead):
            cell = plain[len(self.lead) :]
        cell = path_in_text(cell)
        first: tuple[str, os.stat_result | OSError] | None = None
        for folder in self.folders:
            found = self._in(folder, cell)
            if not isinstance(found[1], OSError):
                return found
            first = first or found
        assert first is not None
        return self._in_below(cell) or first

    def names(self, cell: str) -> bool:
        """Return whether a cell names something that is no folder."""
        if not cell or "\0" in cell:
            return False
        status = self.find(cell)[1]
        return not isinstance(status, OSError) and not stat.S_ISDIR(status.st_mode)

    def _in(self, folder: str, cell: str) -> tuple[str, os.stat_result | OSError]:
        path = joined(folder, cell + self.ending)
        found = _status(path)
        # A file of exactly this name goes first; a folder of this name may hold what belongs to the image.
        bare = not self.ending and not has_image_ending(cell)
        if bare and (isinstance(found, OSError) or stat.S_ISDIR(found.st_mode)) and (alike := self._alike(path)):
            path = path[: path.rfind(os.sep) + 1] + alike
            found = _status(path)
        if isinstance(found, OSError) and "\\" in cell:
            # Backslashes separate folders if no file has that name.
            return self._in(folder, cell.replace("\\", "/"))
        if isinstance(found, OSError) and (same := self._same_format(path)):
            path = path[: path.rfind(os.sep) + 1] + same
            found = _status(path)
        if isinstance(found, OSError) and not cell.isascii():
            # macOS writes an accent as a sign of its own, other systems do not.
            for form in ("NFC", "NFD"):
                other = joined(folder, unicodedata.normalize(form, cell) + self.ending)
                if not isinstance(status := _status(other), OSError):
                    return other, status
        return path, found

    def _in_below(self, cell: str) -> tuple[str, os.stat_result] | None:
        """Return the only image of a bare name in the folders below; raises DataError if two have it."""
        whole = cell + self.ending
        stem = whole.rpartition(".")[0] if has_image_ending(whole) else whole
        found: dict[tuple[int, int], tuple[str, os.stat_result]] = {}
        for folder in self.below.get(unicodedata.normalize("NFC", stem), ()):
            path, status = self._in(folder, cell)
            if not isinstance(status, OSError):
                found.setdefault((status.st_dev, status.st_ino), (path, status))
        if len(found) > 1:
            first, second = [path for path, _ in found.values()][:2]
            raise DataError(
                f"{cell} is both {first} and {second}: give the {setting_name('image_folder')} that holds each name "
                "once, or write paths into the table"
            )
        return next(iter(found.values()), None)

    def _same_format(self, path: str) -> str:
        """Return the only image of a path's folder with its name and another ending of its format; "" if none is."""
        stem, dot, ending = path.rpartition(".")
        if not dot or ending.lower() not in _SAME_FORMAT:
            return ""
        there = [name for name in self._there(stem) if _format_of(name) == _SAME_FORMAT[ending.lower()]]
        return there[0] if len(there) == 1 else ""

    def _there(self, path: str) -> list[str]:
        """Return the images of a path's folder that have its name and an ending."""
        folder, _, name = path.rpartition(os.sep)
        if folder not in self.listed:
            self.listed[folder] = _by_stem(folder or (os.sep if path.startswith(os.sep) else os.curdir))
        return self.listed[folder].get(unicodedata.normalize("NFC", name), [])

    def _alike(self, path: str) -> str:
        """Return the image of a path's folder that has its name and an ending; "" if there is none."""
        name, there = path.rpartition(os.sep)[2], self._there(path)
        if len(there) > 1:
            first, second = (each[len(name) :] for each in there[:2])
            choice = f"{settings_text(image_ending=first)} or {settings_text(image_ending=second)}"
            raise DataError(f"{path} is {' and '.join(there)}: {choice}")
        return there[0] if there else ""


def _format_of(name: str) -> str:
    return _SAME_FORMAT.get(name.rpartition(".")[2].lower(), "")


def joined(folder: str, name: str) -> str:
    """Return `str(Path(folder, name))`, in a tenth of the time: tables have 100,000 rows."""
    path = name if name[:1] == "/" or folder == "." else f"{folder}/{name}"
    unusual = "./" in path or "//" in path or path.endswith(("/", "/."))
    return str(Path(folder, name)) if unusual or os.sep != "/" else path


def has_image_ending(name: str) -> bool:
    """Return whether a name ends as image files do.

    >>> has_image_ending("a/001.JPG"), has_image_ending("scan.v2"), has_image_ending("jpg")
    (True, False, False)
    """
    _, dot, ending = name.rpartition(".")
    return bool(dot) and ending.lower() in IMAGE_ENDINGS


def _status(path: str) -> os.stat_result | OSError:
    try:
        return os.stat(path)  # noqa: PTH116 - a Path takes longer than the call
    except OSError as error:
        return error


def _by_stem(folder: str) -> dict[str, list[str]]:
    """Return the images of a folder by their names without ending."""
    found: dict[str, list[str]] = {}
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - of 100,000 files the names alone
    except OSError:
        return found
    for name in names:
        if has_image_ending(name) and not is_hidden(name):
            found.setdefault(unicodedata.normalize("NFC", name.rpartition(".")[0]), []).append(name)
    return found


def find_folders(table: Path, cells: Sequence[str], *, folder: str, ending: str) -> tuple[ImageFinder, int]:
    """Return what finds the images that some cells name, and how many of the cells it finds.

    The table's own folder comes first; if most are not there, the folders beside the table, of which one only may fit,
    or several that hold none of the images twice.

    Args:
        table: the table's path.
        cells: a few names, from all over a column.
        folder: where they begin, if that was said.
        ending: what is added to them, if that was said.

    Raises:
        DataError: a folder that is not there; or two that fit.
    """
    here = table.parent
    if folder:
        path = here / folder
        if not path.is_dir():
            near = did_you_mean(folder, [Path(each).name for each in folders_beside(here)])
            raise DataError(f"image_folder {folder}: there is no folder {path}.{near}")
        own = ImageFinder((str(path),), ending)
        count = _count(own, cells)
        if 2 * count > len(cells):
            return own, count
        return _without_lead(own, cells) or _by_name(own, cells) or (own, count)
    own = ImageFinder((str(here),), ending)
    count = _count(own, cells)
    if 2 * count > len(cells):
        return own, count
    found: dict[str, frozenset[int]] = {}
    for path_ in folders_beside(here):
        finder = ImageFinder((path_,), ending, listed=own.listed)
        if there := frozenset(place for place, cell in enumerate(cells) if finder.names(cell)):
            found[path_] = there
    chosen = _only(table, _without_copies(found, cells, ending), len(cells))
    if not chosen:
        return _without_lead(own, cells) or (own, count)
    return ImageFinder(chosen, ending, listed=own.listed), len(
        frozenset[int]().union(*(found[each] for each in chosen))
    )


def _by_name(own: ImageFinder, cells: Sequence[str]) -> tuple[ImageFinder, int] | None:
    """Return what finds images anywhere below the folder, where the cells are names without a folder."""
    if any("/" in cell or "\\" in cell for cell in cells):
        return None
    finder = replace(own, below=list_below(own.folders[0]))
    count = _count(finder, cells)
    return (finder, count) if 2 * count > len(cells) else None


def _without_lead(own: ImageFinder, cells: Sequence[str]) -> tuple[ImageFinder, int] | None:
    """Return what finds images whose names begin with folders of another machine: without these, as few as will do."""
    plain = [cell.replace("\\", "/") for cell in cells]
    common = os.path.commonprefix(plain)  # noqa: RUF071 - it is cut at a slash
    for place in (place for place, sign in enumerate(common) if sign == "/"):
        finder = replace(own, lead=common[: place + 1])
        count = _count(finder, cells)
        if 2 * count > len(cells):
            return finder, count
    return None


def _without_copies(found: dict[str, frozenset[int]], cells: Sequence[str], ending: str) -> dict[str, frozenset[int]]:
    """Return the folders without those that hold copies alone, of the same names, of what lies in those before."""
    kept: dict[str, frozenset[int]] = {}
    for path, there in found.items():
        covered = there <= frozenset[int]().union(*kept.values())
        if not (covered and _holds_copies(path, [cells[place] for place in sorted(there)[:COMPARED]], kept, ending)):
            kept[path] = there
    return kept


def _holds_copies(folder: str, cells: Sequence[str], others: Iterable[str], ending: str) -> bool:
    here, there = ImageFinder((folder,), ending), ImageFinder(tuple(others), ending)
    try:
        return all(read_bytes(here.find(cell)[0]) == read_bytes(there.find(cell)[0]) for cell in cells)
    except UnreadableError:
        return False


def _count(finder: ImageFinder, cells: Sequence[str]) -> int:
    return sum(finder.names(cell) for cell in cells)


def folders_beside(here: Path) -> list[str]:
    """Return the folders that a table's images may lie in: those beside it, those in them, and the one around it."""
    found: list[str] = []
    nearest = folders_in(here)
    for folder in nearest:
        found += [folder, *folders_in(Path(folder))]
    return [*found[:MOST_FOLDERS], str(here / os.pardir)]


def folders_in(folder: Path) -> list[str]:
    """Return the folders in one, sorted; none where it can't be read."""
    try:
        with os.scandir(folder) as entries:
            there = sorted(entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name))
    except OSError:
        return []
    return [str(folder / name) for name in there]


def _only(table: Path, found: dict[str, frozenset[int]], cells: int) -> tuple[str, ...]:
    """Return the folders that hold the images; raises DataError where two hold the same ones."""
    fitting = {path: there for path, there in found.items() if 2 * len(there) > cells}
    if len(fitting) > 1:
        # train.csv beside train_images/ and test_images/ with the same names.
        split = split_in_name(table.stem)
        named = [path for path in fitting if split is not None and split_in_name(Path(path).name) == split]
        if len(named) == 1:
            return (named[0],)
        shown = [os.path.relpath(path, table.parent) for path in fitting]
        choice = " or ".join(settings_text(image_folder=folder) for folder in shown[:2])
        raise DataError(f"{table}: {few(shown)} hold images of these names: {choice}")
    if fitting:
        return tuple(fitting)
    # Parts of one set: every image lies in one of them.
    whole = frozenset[int]().union(*found.values()) if found else frozenset()
    apart = len(whole) == sum(len(there) for there in found.values())
    return tuple(found) if apart and 2 * len(whole) > cells else ()
