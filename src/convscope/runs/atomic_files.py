"""Files that are either whole or not there: written beside, flushed to the disk, then renamed into place.

`torch.save` straight into its place leaves a broken file when the process is killed meanwhile; a rename does not.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from convscope.errors import RunError
from convscope.files.checked import read_json
from convscope.files.regular import FILE_LIMIT, read_bytes, refused_as

MANIFEST = "MANIFEST.json"
LARGEST_MANIFEST = 2**20
# What a system says that flushes no folder, as of some network disks, or of a folder that may be written and not read.
# The files are whole all the same.
NO_FOLDER_SYNC = (errno.EACCES, errno.EBADF, errno.EINVAL, errno.EISDIR, errno.ENOTSUP)


class WriteError(RunError):
    """A file that the disk refuses: it is full, or may not be written to."""


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file atomically: it has its name only when complete. Raises WriteError if the disk refuses."""
    beside = _beside(path)
    try:
        _write_through(beside, content)
        beside.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise WriteError(f"{path} can't be written: {error.strerror or error}") from error


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that is whole or as it was before, without waiting for the disk: a power cut may lose it.

    It is for what is written anew within a second. Raises WriteError if the disk refuses.
    """
    beside = _beside(path)
    try:
        with beside.open("wb") as file:
            file.write(content)
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise WriteError(f"{path} can't be written: {error.strerror or error}") from error


def write_folder(path: Path, files: Mapping[str, bytes | str]) -> None:
    """Write a folder of files with a manifest of their sizes and hashes, so that it appears whole or not at all.

    A folder of that name is replaced when the new one is complete. Raises WriteError where the disk refuses.
    """
    beside = _beside(path)
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        for name, content in files.items():
            _write_through(beside / name, content)
        _write_through(beside / MANIFEST, json.dumps({name: _entry(_bytes(c)) for name, c in files.items()}, indent=2))
        _sync_folder(beside)
        if path.exists():
            remove_folder(path)
        beside.rename(path)
        _sync_folder(path.parent)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise WriteError(f"{path} can't be written: {error.strerror or error}") from error


def make_folder(path: Path, *, parents: bool = False) -> None:
    """Make a folder, with `parents` those above it too, unless it is there; raises WriteError if the disk refuses."""
    try:
        path.mkdir(parents=parents, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{path} can't be made: {error.strerror or error}") from error


def remove_folder(path: Path) -> None:
    """Remove a folder of files; its name is gone before the first of them is."""
    hidden = path.with_name(f".old-{path.name}-{os.getpid()}")
    shutil.rmtree(hidden, ignore_errors=True)
    with suppress(OSError):
        path.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)


def remove_left_over(folder: Path, names: re.Pattern[str]) -> None:
    """Remove the temporary files and folders of these names; only the holder of the folder's lock may."""
    try:
        found = [path for path in folder.iterdir() if names.fullmatch(path.name)]
    except OSError:
        return
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def read_folder(path: Path) -> dict[str, bytes]:
    """Return the files of a folder, each checked against the manifest; raises RunError where one differs."""
    with refused_as(RunError, path / MANIFEST):
        manifest = read_json(path / MANIFEST, limit=LARGEST_MANIFEST)
        entries = {name: manifest.object(name) for name in manifest.values}
        sizes = {name: entry.integer("bytes", at_least=0) for name, entry in entries.items()}
    files = {}
    for name, entry in entries.items():
        if Path(name).name != name:
            raise RunError(f"{path / MANIFEST} names a file outside its folder: {name!r}")
        with refused_as(RunError, path / name):
            files[name] = read_bytes(path / name, limit=max(sizes[name], FILE_LIMIT))
        if _entry(files[name]) != entry.values:
            raise RunError(f"{path / name} is not what was written: its size or its hash differs")
    return files


def _beside(path: Path) -> Path:
    """Return the path that a file or folder is written to before it is renamed into place."""
    return path.with_name(f".tmp-{path.name}-{os.getpid()}")


def _bytes(content: bytes | str) -> bytes:
    return content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content


def _entry(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _write_through(path: Path, content: bytes | str) -> None:
    with path.open("wb") as file:
        file.write(_bytes(content))
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Flush the names in a folder to the disk, where the system flushes folders."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
