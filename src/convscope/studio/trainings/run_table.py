"""The runs below the runs folder, by name: which there are, and the files of one that the page may be shown."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from convscope.errors import did_you_mean
from convscope.files.regular import UnreadableError, read_bytes, read_part, require_regular
from convscope.report.printable import printable
from convscope.runs.run_directory import Run
from convscope.studio.models import run_folders
from convscope.studio.protocol import StudioError

LARGEST_TABLE = 16 * 2**20
LARGEST_REPORT = 128 * 2**20
LOG_TAIL = 2**14


class RunTable:
    """The runs in a folder. A request names one by its folder's name, which is looked up among those that are there.

    Args:
        root: the runs folder; it need not be there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Return the names of the runs, the newest first, but those that a link can't hold."""
        return [name for name in run_folders(self.root) if is_linkable(name)]

    def unlinkable(self) -> list[str]:
        """Return the names that a link can't hold, as they can be shown."""
        return [printable(name) for name in run_folders(self.root) if not is_linkable(name)]

    def find(self, name: str) -> Run:
        """Return a run by its name.

        Raises:
            StudioError: there is none; of kind "gone", the nearest names in it.
        """
        names = self.names()
        if name not in names:
            near = did_you_mean(name[:80], names)
            raise StudioError(f"there is no run {name[:80]!r} below the runs folder.{near}", "gone")
        return Run(self.root / name)


def is_linkable(name: str) -> bool:
    """Return whether a name is text: a folder's may be any bytes.

    >>> is_linkable("digits <b>"), is_linkable("a\\udcff")
    (True, False)
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def text_of(run: Run, path: Path, *, limit: int = LARGEST_TABLE) -> str:
    """Return the text of a file of a run; "" where it is not there.

    Raises:
        StudioError: it is too large, no regular file, or a link that leads out of the run.
    """
    return bytes_of(run, path, limit=limit).decode("utf-8", "replace")


def bytes_of(run: Run, path: Path, *, limit: int) -> bytes:
    """Return the bytes of a file of a run; b"" where it is not there. Errors as of `text_of`."""
    if not os.path.lexists(path):
        return b""
    _require_within(run, path)
    try:
        return read_bytes(path, limit=limit)
    except UnreadableError as error:
        raise StudioError(f"{path.name} of the run can't be read: {error}") from None


def log_tail(run: Run, *, size: int = LOG_TAIL) -> list[str]:
    """Return the last lines of a run's log; none where it has none that can be read."""
    with suppress(UnreadableError, StudioError):
        if os.path.lexists(run.log_path):
            _require_within(run, run.log_path)
            there = require_regular(run.log_path)
            start = max(0, there - size)
            lines = read_part(run.log_path, start, there - start).decode("utf-8", "replace").splitlines()
            return [printable(line) for line in (lines[1:] if start else lines)]
    return []


def without_time(line: str) -> str:
    """Return a line of a log without its time.

    >>> without_time("2026-03-01 10:00:00  run: runs/digits")
    'run: runs/digits'
    """
    return line[21:] if line[19:21] == "  " and line[4:5] == "-" else line


def _require_within(run: Run, path: Path) -> None:
    """Raise StudioError for a file that is a link out of its run: the run may be a stranger's."""
    inside = Path(os.path.realpath(run.path))
    if not Path(os.path.realpath(path)).is_relative_to(inside):
        raise StudioError(f"{path.name} of the run is a link that leads out of it: it is not read")
