"""How much room a disk has."""

from __future__ import annotations

import shutil
from pathlib import Path

from convscope.files.regular import is_folder


def free_space(directory: Path) -> int:
    """Return the free bytes of the disk on which a directory is, or would be once it is made.

    >>> free_space(Path("a/folder/that/is/not/there/yet")) == free_space(Path())
    True
    """
    return shutil.disk_usage(nearest(directory)).free


def nearest(directory: Path) -> Path:
    """Return the directory, or the nearest one above it that exists."""
    return next((path for path in (directory, *directory.absolute().parents) if is_folder(path)), Path("/"))
