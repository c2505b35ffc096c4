"""The directory and the size limit of the cache of decoded images."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from convscope.errors import DataError
from convscope.files.free_space import free_space, nearest
from convscope.report.units import byte_size, plural
from convscope.report.usage import setting_name

LIMIT_GIB = 50.0
LIMIT_SAID = "CONVSCOPE_CACHE_GIB"


class CacheFullError(DataError):
    """The cache, or its disk, has no room for these decoded images."""


def cache_directory() -> Path:
    """Return the directory of decoded images: CONVSCOPE_CACHE, or `convscope` in the user's cache folder.

    Raises:
        DataError: neither the environment nor the system says where the user's home folder is.
    """
    try:
        return _cache_directory(os.environ.get("CONVSCOPE_CACHE", ""))
    except RuntimeError:  # as pathlib has it
        raise DataError("there is no home folder to keep decoded images in: set CONVSCOPE_CACHE to a folder") from None


def _cache_directory(chosen: str) -> Path:
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "convscope"
    base = os.environ.get("XDG_CACHE_HOME")
    # The XDG specification has relative paths ignored.
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "convscope"


def cache_limit() -> int:
    """Return the limit of all entries together, in bytes: CONVSCOPE_CACHE_GIB, or 50 GiB; raises DataError."""
    given = os.environ.get(LIMIT_SAID, "")
    try:
        gib = float(given) if given else LIMIT_GIB
        limit = int(gib * 2**30)
    except (ValueError, OverflowError):
        limit = -1
    if limit < 0:
        raise DataError(f"{LIMIT_SAID} is {given!r}; what is needed is a number of GiB, like 50")
    return limit


def lack_of_room(directory: Path, shape: tuple[int, ...]) -> str | None:
    """Return why an entry of this shape (N, H, W, C) would not fit into the cache, or None if it does."""
    lack = _lack(directory, shape)
    return None if lack is None else lack[0]


def require_room(directory: Path, shape: tuple[int, ...]) -> None:
    """Raise CacheFullError if an entry of this shape would not fit."""
    if (lack := _lack(directory, shape)) is not None:
        why, what_to_do = lack
        raise CacheFullError(f"{plural(shape[0], 'image')} would be {why}: {what_to_do}, or take smaller images")


def _lack(directory: Path, shape: tuple[int, ...]) -> tuple[str, str] | None:
    """Return why an entry would not fit, and what to do."""
    size = int(np.prod(shape, dtype=np.int64))
    if size > (limit := cache_limit()):
        given = os.environ.get(LIMIT_SAID, "")
        whence = f"{LIMIT_SAID}={given}" if given else f"the default; {LIMIT_SAID} sets another"
        why = f"{byte_size(size)} decoded, more than the {byte_size(limit)} that the cache may take ({whence})"
        return why, f"set a larger {LIMIT_SAID}"
    free = free_space(directory)
    if free < (needed := _with_overhead(size)):
        there = nearest(directory)
        why = f"{byte_size(size)} decoded, which needs {byte_size(needed)} of a disk, and {there} has {byte_size(free)}"
        return why, f"make room, give a folder with room by {setting_name('cache_directory')} or CONVSCOPE_CACHE"
    return None


def _with_overhead(size: int) -> int:
    """Return the bytes on disk that an entry with this many bytes of pixels may need."""
    return int(size * 1.05) + 2**24
