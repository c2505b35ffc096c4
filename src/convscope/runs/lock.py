"""Which process may write into a directory: the one that holds its lock. Imports no torch, so it is taken at once."""

from __future__ import annotations

import errno
import importlib.util
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from convscope.errors import RunError

# What `flock` says where another process holds the lock. Any other error means that the file system has no such locks:
# Lustre without its option says ENOSYS, NFS says EBADF, because it locks what is open for writing only.
HELD_ELSEWHERE = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
READER_SECONDS = 0.05
# The directories whose lock is held here, by device and inode: whoever holds one may ask for it again.
_held: ContextVar[frozenset[tuple[int, int]]] = ContextVar("_held", default=frozenset())


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Hold the lock of a directory; the value is False where the system has no such locks.

    The lock is the kernel's, so it ends with the process, however that ends.

    Raises:
        RunError: another process holds it, or the directory can't be opened.

    >>> import tempfile
    >>> with locked(Path(tempfile.mkdtemp())) as held:
    ...     print(held)
    True
    """
    if importlib.util.find_spec("fcntl") is None:  # Windows
        yield False
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise RunError(f"{folder} can't be opened: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        own = (status.st_dev, status.st_ino)
        held = True
        if own not in _held.get():
            try:
                _lock(descriptor)
            except OSError as error:
                if error.errno in HELD_ELSEWHERE:
                    raise RunError(
                        f"{folder} is being trained by another process: wait for it, or start a new run"
                    ) from None
                held = False
        token = _held.set(_held.get() | {own} if held else _held.get())
        try:
            yield held
        finally:
            _held.reset(token)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Take the lock of an open directory, twice if need be: a reader of status.json has it for a moment."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in HELD_ELSEWHERE:
            raise
        time.sleep(READER_SECONDS)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_held(folder: Path) -> bool:
    """Return whether a process, this one too, holds the lock of a directory; True where the system can't tell.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with locked(folder):
    ...     is_held(folder)
    True
    >>> is_held(folder)
    False
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return True
    try:
        _lock(descriptor)
    except (ImportError, OSError):
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def locked_early(folder: Path, *, writes: bool = True) -> Iterator[None]:
    """Hold the lock of a directory that is to be resumed, before the slow imports begin.

    A path that is no directory is left to the code that opens it, and so is one that this process only reads: of the
    processes of torchrun, the first `writes`.
    """
    if not writes or not folder.is_dir():
        yield
        return
    with locked(folder):
        yield
