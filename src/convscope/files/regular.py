"""Open files by name: regular files of limited size only; every other path raises UnreadableError.

A pipe, a socket or a device such as /dev/zero makes a reader wait or read for ever; a sparse file of a few bytes can
claim terabytes. So a file is opened without blocking, and its status is checked before it is read.
"""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from convscope.errors import ConvscopeError

FILE_LIMIT = 512 * 2**20
# Absent on Windows, whose pipes have no place in a folder.
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_BINARY = getattr(os, "O_BINARY", 0)

Name = str | os.PathLike[str]
# zlib's window of 32 KiB, with a gzip header.
_GZIP = 16 + zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"
_PIECE = 2**20


class UnreadableError(Exception):
    """Why a file can't be read or used, without its path, which the caller adds."""


@contextmanager
def refused_as(kind: type[ConvscopeError], where: object) -> Iterator[None]:
    """Convert an UnreadableError raised inside into an error of this `kind`: the path, then the reason.

    >>> with refused_as(ConvscopeError, "labels.csv"):
    ...     raise UnreadableError("no such file")
    Traceback (most recent call last):
    ...
    convscope.errors.ConvscopeError: labels.csv: no such file
    """
    try:
        yield
    except UnreadableError as reason:
        raise kind(f"{where}: {reason}") from None


def open_regular(path: Name, *, limit: int | None = FILE_LIMIT) -> BinaryIO:
    """Open a regular file of at most `limit` bytes (None: of any size) for reading.

    Raises:
        UnreadableError: there is no such file, it is a folder, a pipe, a socket or a device, or it is too large.
    """
    descriptor, _ = _opened(path, os.O_RDONLY, limit)
    return os.fdopen(descriptor, "rb")


def require_regular(path: Name) -> int:
    """Return the size in bytes of a regular file, for a library that opens it by its name.

    Raises:
        UnreadableError: as `open_regular` does.

    >>> require_regular("/")
    Traceback (most recent call last):
    ...
    convscope.files.regular.UnreadableError: not a regular file but a folder
    """
    descriptor, size = _opened(path, os.O_RDONLY, None)
    os.close(descriptor)
    return size


def read_bytes(path: Name, *, limit: int = FILE_LIMIT) -> bytes:
    """Read the whole of a regular file of at most `limit` bytes.

    Raises:
        UnreadableError: as `open_regular` does, or the file changed meanwhile.
    """
    descriptor, size = open_descriptor(path, limit=limit)
    try:
        return read_whole(descriptor, size)
    finally:
        os.close(descriptor)


def open_descriptor(path: Name, *, limit: int = FILE_LIMIT) -> tuple[int, int]:
    """Return a regular file's descriptor, which the caller closes, and its size in bytes, as `read_whole` takes them.

    Raises:
        UnreadableError: as `open_regular` does.
    """
    return _opened(path, os.O_RDONLY, limit)


def read_whole(descriptor: int, size: int) -> bytes:
    """Read all bytes of a file from its descriptor.

    Raises:
        UnreadableError: the file can't be read, or has fewer bytes by now.
    """
    try:
        data = os.pread(descriptor, size, 0)
        while 0 < len(data) < size and (more := os.pread(descriptor, size - len(data), len(data))):
            data += more  # the system reads 2 GiB at once
    except OSError as error:
        raise UnreadableError(explain_os_error(error)) from None
    if len(data) != size:
        raise UnreadableError("the file changed while it was read")
    return data


def read_start(path: Name, count: int) -> bytes:
    """Read the first `count` bytes of a regular file; fewer where it has fewer.

    Raises:
        UnreadableError: as `open_regular` does.
    """
    with open_regular(path, limit=None) as file:
        try:
            return file.read(count)
        except OSError as error:
            raise UnreadableError(explain_os_error(error)) from None


def read_part(path: Name, start: int, count: int) -> bytes:
    """Read `count` bytes of a regular file from byte `start` on.

    Raises:
        UnreadableError: as `open_regular` does, or the file is shorter.
    """
    descriptor, _ = _opened(path, os.O_RDONLY, None)
    try:
        data = os.pread(descriptor, count, start)
    except OSError as error:
        raise UnreadableError(explain_os_error(error)) from None
    finally:
        os.close(descriptor)
    if len(data) != count:
        raise UnreadableError(f"it ends before byte {start + count:,}: it is cut short, or changed while it was read")
    return data


def read_gzip(path: Name, count: int) -> bytes:
    """Return the first `count` bytes of a gzip file's content, or all of it if it is shorter.

    Nothing after them is inflated; zeros after the last member are skipped (Python's gzip reads them one by one).

    Raises:
        UnreadableError: the file can't be read, or is damaged.
    """
    found = bytearray()
    with open_regular(path, limit=None) as file:
        try:
            held = file.read(_PIECE)
            while held.startswith(_GZIP_MAGIC) and len(found) < count:
                member = zlib.decompressobj(_GZIP)
                while len(found) < count and not member.eof:
                    if not held:
                        raise UnreadableError("cut short: its compressed data ends early")
                    found += member.decompress(held, count - len(found))
                    held = member.unconsumed_tail or (b"" if member.eof else file.read(_PIECE))
                held = member.unused_data
                if len(held) < len(_GZIP_MAGIC):
                    held += file.read(_PIECE)
        except OSError as error:
            raise UnreadableError(explain_os_error(error)) from None
        except zlib.error as error:
            raise UnreadableError(f"its compressed data is damaged ({error})") from None
    return bytes(found)


def append_bytes(path: Name, data: bytes) -> None:
    """Append to a regular file, creating it if it does not exist: all of the data, or nothing of it.

    Raises:
        UnreadableError: the path is not a regular file, or can't be written, as where the disk is full.
    """
    descriptor, _ = _opened(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, None)
    try:
        with os.fdopen(descriptor, "ab", buffering=0) as file:
            left = memoryview(data)
            try:
                while left:
                    left = left[file.write(left) or 0 :]
            except OSError:
                # A full disk takes the start of a line, to which the next line would be added.
                if written := len(data) - len(left):
                    with suppress(OSError):
                        os.ftruncate(file.fileno(), os.fstat(file.fileno()).st_size - written)
                raise
    except OSError as error:
        raise UnreadableError(explain_os_error(error)) from None


def write_text(path: Name, text: str) -> None:
    """Write a text file in UTF-8; the path may also be a terminal, or a pipe with a reader.

    Raises:
        UnreadableError: it can't be written, or is a pipe without a reader.
    """
    descriptor = _descriptor(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.set_blocking(descriptor, True)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UnreadableError(explain_os_error(error)) from None


def explain_os_error(error: OSError) -> str:
    """Return the system's reason in plain words.

    >>> explain_os_error(FileNotFoundError())
    'no such file'
    """
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    return (error.strerror or str(error)).lower()


def is_folder(path: Name) -> bool:
    """Return whether a path is a folder that can be reached.

    It is none where its name is too long, or where a folder on its way may not be entered: pathlib raises there.

    >>> is_folder("/"), is_folder("x" * 300)
    (True, False)
    """
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def is_there(path: Name) -> bool:
    """Return whether a path leads to something; raises OSError where that can't be found out.

    So it is with a name that is too long, and where a folder on the way may not be entered: pathlib returns False there
    from Python 3.14 on.

    >>> is_there("/"), is_there("/nowhere")
    (True, False)
    """
    try:
        os.stat(path)  # noqa: PTH116 - of what can be no name a Path raises
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise
    except ValueError:  # a zero character, or half of a surrogate pair
        return False
    return True


def kind_of_file(mode: int) -> str:
    """Return the kind of a path that is not a regular file, by its mode: "a folder", "a pipe" ...

    >>> kind_of_file(os.stat("/").st_mode)
    'a folder'
    """
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFLNK: "a broken link"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def size_in_words(size: int) -> str:
    """Return a size in bytes as MiB, or as bytes below one.

    >>> size_in_words(10 * 2**30), size_in_words(1000)
    ('10,240 MiB', '1,000 bytes')
    """
    return f"{size / 2**20:,.0f} MiB" if size >= 2**20 else f"{size:,} bytes"


def _opened(path: Name, flags: int, limit: int | None) -> tuple[int, int]:
    """Open a regular file and return its descriptor and size in bytes; raises UnreadableError."""
    descriptor = _descriptor(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError(f"not a regular file but {kind_of_file(status.st_mode)}")
        if limit is not None and status.st_size > limit:
            raise UnreadableError(f"{size_in_words(status.st_size)}; the limit is {size_in_words(limit)}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status.st_size


def _descriptor(path: Name, flags: int) -> int:
    """Open without waiting for a pipe's other end; raises UnreadableError."""
    try:
        return os.open(path, flags | _NONBLOCK | _CLOEXEC | _BINARY, 0o644)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a pipe that is opened for writing and has no reader
            raise UnreadableError(f"not a regular file but {_kind_at(path)}") from None
        if isinstance(error, PermissionError) and flags != os.O_RDONLY:
            raise UnreadableError("no permission to write it") from None
        raise UnreadableError(explain_os_error(error)) from None
    except ValueError:  # a zero character, or half of a surrogate pair
        raise UnreadableError("no file can have this name") from None


def _kind_at(path: Name) -> str:
    try:
        return kind_of_file(Path(path).stat().st_mode)
    except OSError:
        return "a device"
