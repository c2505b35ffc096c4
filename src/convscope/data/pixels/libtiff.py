"""Collect the errors that libtiff reports while it decodes, which it would print to stderr.

libtiff has one handler of errors for the whole process, and Pillow leaves it as it is. So it is set here, once, in the
library that Pillow itself has loaded, to a function that keeps the errors of each thread apart. If that library
can't be found (a Pillow that is linked with it statically), nothing is set, and `listens` is false.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_Handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)


class _Heard(threading.local):
    """The errors of this thread's decoding, or None while it decodes nothing."""

    errors: list[str] | None = None


_heard = _Heard()


def _keep(module: bytes | None, message: bytes | None, arguments: int | None) -> None:
    """Keep an error, as its text up to the first number in it: the arguments are a C va_list."""
    errors = _heard.errors
    if errors is not None and len(errors) < 4:
        text = (message or b"").split(b"%", 1)[0].decode("latin-1").strip().rstrip(" ,;:(")
        errors.append(f"{(module or b'').decode('latin-1')}: {text}"[:120])


# Kept for as long as libtiff may call it.
_callback = _Handler(_keep)


@functools.cache
def listens() -> bool:
    """Return whether libtiff's errors are collected; sets the handler at the first call."""
    library = _library()
    if library is None:
        return False
    library.TIFFSetErrorHandler.restype = ctypes.c_void_p
    library.TIFFSetErrorHandler.argtypes = [_Handler]
    library.TIFFSetErrorHandler(_callback)
    return True


@contextlib.contextmanager
def complaints() -> Iterator[list[str]]:
    """Keep the errors that libtiff reports in this thread: a list that fills up while the block runs."""
    listens()
    before = _heard.errors
    _heard.errors = []
    try:
        yield _heard.errors
    finally:
        _heard.errors = before


def _library() -> Any:
    """Return the libtiff that Pillow's decoders have loaded, or None."""
    from PIL import _imaging

    beside = Path(_imaging.__file__).parent
    folders = [beside.parent / "pillow.libs", beside / ".dylibs"]
    paths = [path for folder in folders if folder.is_dir() for path in sorted(folder.glob("libtiff*"))]
    for name in [*map(str, paths), *_mapped()]:
        try:
            library = ctypes.CDLL(name)
            if hasattr(library, "TIFFSetErrorHandler"):
                return library
        except OSError:
            continue
    return None


def _mapped() -> list[str]:
    """Return the paths of a libtiff that this process has loaded, on Linux, for a Pillow that uses the system's."""
    if sys.platform != "linux":
        return []
    try:
        lines = Path("/proc/self/maps").read_text(errors="replace").splitlines()
    except OSError:
        return []
    return sorted({line.split(maxsplit=5)[5] for line in lines if "/libtiff" in line})
