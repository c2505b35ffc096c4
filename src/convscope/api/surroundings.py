"""What a process has beside torch: its folder, environment, signal handlers and recursion limit, put back as found."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Those that programs handle: to look at every number would take longer than a small network's forward pass.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGPIPE")
_SIGNALS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


@contextmanager
def surroundings_restored() -> Iterator[None]:
    """Put back after a user's code the working folder, the environment, signal handlers and the recursion limit.

    Handlers belong to the main thread, and are looked at there alone.

    >>> folder = Path.cwd()
    >>> with surroundings_restored():
    ...     os.chdir("/")
    >>> Path.cwd() == folder
    True
    """
    folder = None
    with suppress(OSError):
        folder = Path.cwd()
    variables, limit = os.environ.copy(), sys.getrecursionlimit()
    in_main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in _SIGNALS} if in_main else {}
    try:
        yield
    finally:
        _put_back(folder, variables)
        if sys.getrecursionlimit() != limit:
            sys.setrecursionlimit(limit)
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def _put_back(folder: Path | None, variables: dict[str, str]) -> None:
    with suppress(OSError):
        if folder is not None and Path.cwd() != folder:
            os.chdir(folder)
    if os.environ != variables:
        for name in os.environ.keys() - variables.keys():
            del os.environ[name]
        os.environ.update({name: value for name, value in variables.items() if os.environ.get(name) != value})
