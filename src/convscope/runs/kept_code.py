"""The code of a user's own network in its run: the file that was named, and each file of the user's that it imported.

They lie below one folder, so that they import each other there as they did. Nothing is executed here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from convscope.errors import RunError
from convscope.files.regular import refused_as
from convscope.nets.source_file import SourceFile
from convscope.report.printable import from_here
from convscope.runs.atomic_files import make_folder, write_file


def write_code(folder: Path, source: SourceFile) -> None:
    """Write the files into a folder, and remove what else it held, of a network that is trained on with other files."""
    for one in source.files:
        path = folder / one.file
        make_folder(path.parent, parents=True)
        write_file(path, one.text)
    kept = {one.file for one in source.files}
    for path in _files_in(folder):
        if path.relative_to(folder).as_posix() not in kept:
            path.unlink()


def require_as_kept(folder: Path, source: SourceFile, *, whose: str) -> None:
    """Raise RunError unless a folder holds these files and no other, each with its hash."""
    for one in source.files:
        with refused_as(RunError, f"{whose} has no whole copy of its code to trust: {from_here(folder / one.file)}"):
            found = SourceFile.read(os.fspath(folder / one.file), file=one.file)
        if found.sha256 != one.sha256:
            raise RunError(
                f"{from_here(folder / one.file)} was changed: {whose} was trained with another, it is not run"
            )
    kept = {one.file for one in source.files}
    for path in _files_in(folder):
        if path.relative_to(folder).as_posix() not in kept:
            raise RunError(f"{from_here(path)} is no file that {whose} kept of its code: remove it")


def _files_in(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir())
