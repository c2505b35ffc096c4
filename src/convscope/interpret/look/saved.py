"""Pictures as files: each as SVG and as PNG, the numbers beside it as an array file."""

from __future__ import annotations

import io
import re
import zipfile
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from convscope.arrays import Array
from convscope.errors import ConvscopeError, RunError
from convscope.report.document import Figure, drawn_once
from convscope.report.documented import Documented, Pictured
from convscope.report.raster import drawing_png
from convscope.runs.atomic_files import write_file

PAGE_NAME = "look.html"
SCALE = 2.0
"""Pixels of a PNG for each unit of its drawing."""
_LONGEST = 120  # bytes of a file's name without its ending: file systems take 255


@runtime_checkable
class WithArrays(Protocol):
    """A result that keeps arrays beside its picture."""

    def arrays(self) -> Mapping[str, Array]:
        """Return the arrays by name."""
        ...


class Savable(Documented):
    """A result of several parts, which is saved as a folder of their files and of its page."""

    __slots__ = ()

    @abstractmethod
    def results(self) -> dict[str, Documented]:
        """Return the parts that are there, by the names of their files."""

    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """Write every picture as SVG and PNG, the arrays as .npy and .npz, and the page, into a folder that is made.

        Raises:
            RunError: one of these files is there already, or can't be written.

        Returns:
            The files.
        """
        return save_page(Path(folder), self, self.results())


def save_results(folder: Path, results: Mapping[str, Documented], *, scale: float = SCALE) -> tuple[Path, ...]:
    """Write results into a folder, which is made: NAME.svg and NAME.png of a picture, NAME.npz of its arrays.

    One array alone is NAME.npy. Each file is whole or not there. Signs that file names lack, as in the name of a layer,
    become "-".

    Args:
        folder: where to.
        results: by name.
        scale: pixels of the PNG for each unit of the drawing.

    Raises:
        RunError: a file of that name is there already, or can't be written.

    Returns:
        The files that were written.
    """
    return _written(folder, _new_files(folder, results, scale))


def _new_files(folder: Path, results: Mapping[str, Documented], scale: float) -> dict[Path, bytes | str]:
    """Return the content of each file of results; raise RunError where two have one name, or one is there already."""
    files: dict[Path, bytes | str] = {}
    for name, result in results.items():
        for ending, content in _contents(result, scale).items():
            path = folder / f"{file_name(name)}.{ending}"
            if path in files:
                raise RunError(f"{path.name}: two results have this name: give them different ones")
            files[path] = content
    there = next((path for path in files if path.exists()), None)
    if there is not None:
        raise RunError(f"{there} is there already: choose another folder")
    return files


def _written(folder: Path, files: Mapping[Path, bytes | str]) -> tuple[Path, ...]:
    """Write files into a folder, which is made, and return them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} can't be made: {error.strerror or error}") from None
    for path, content in files.items():
        write_file(path, content)
    return tuple(files)


def save_page(folder: Path, found: Documented, results: Mapping[str, Documented]) -> tuple[Path, ...]:
    """Write results into a folder as `save_results` does, and beside them the page of what they belong to.

    Raises:
        RunError: one of these files is there already, or can't be written.
    """
    require_new(folder)
    with drawn_once():
        files = _new_files(folder, results, SCALE)
        page = found.to_html()
    # The page first: where writing is interrupted, `require_new` says so before the next look begins.
    first, *others = _written(folder, {folder / PAGE_NAME: page, **files})
    return (*others, first)


def require_new(folder: Path) -> None:
    """Raise RunError, before the work begins, where a folder has a saved page, or is a file."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} can't be made: it is a file")
    if (folder / PAGE_NAME).exists():
        raise RunError(f"{folder / PAGE_NAME} is there already: choose another folder")


def file_name(name: str) -> str:
    """Return a name with only letters, digits, dots, "_" and "-".

    A long name loses its middle: names of a kind differ at one of their ends.

    >>> file_name("layer1.0:relu#2 maps"), file_name("../x"), file_name(f"1 {'long ' * 50} grad-cam")[-14:]
    ('layer1.0-relu-2-maps', 'x', '-long-grad-cam')
    """
    found = re.sub(r"[^\w.]+", "-", name).strip("-.")
    if not found:
        raise ConvscopeError(f"{name!r} has no letter or digit to name a file by")
    written = found.encode()
    if len(written) <= _LONGEST:
        return found
    start, end = written[: _LONGEST // 2], written[1 - _LONGEST // 2 :]
    return "-".join(part.decode(errors="ignore").strip("-.") for part in (start, end))


def _contents(result: Documented, scale: float) -> dict[str, bytes]:
    """Return the content of each file of a result by its ending."""
    contents: dict[str, bytes] = {}
    if isinstance(result, Pictured):
        drawing = Figure(result.figure).drawing
        contents |= {"svg": drawing.document().encode(), "png": drawing_png(drawing, scale=scale)}
    if isinstance(result, WithArrays):
        arrays = dict(result.arrays())
        if len(arrays) == 1:
            contents["npy"] = _array_file(next(iter(arrays.values())))
        else:
            contents["npz"] = _archive(arrays)
    return contents


def _archive(arrays: Mapping[str, Array]) -> bytes:
    """Return arrays as an .npz file, at zlib's lowest level: of floats in a quarter of the time, in 5 % more bytes."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # of 1980: the same arrays are the same bytes
            archive.writestr(entry, _array_file(array), zipfile.ZIP_DEFLATED, compresslevel=1)
    return written.getvalue()


def _array_file(array: Array) -> bytes:
    written = io.BytesIO()
    np.save(written, array, allow_pickle=False)
    return written.getvalue()
