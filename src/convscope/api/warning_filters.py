"""The warning filters of the process, changed for a while; `warnings.catch_warnings` is not safe among threads.

Several threads may be inside at once: the first to enter keeps the caller's filters, and the last to leave restores
them. In between one list of ours is in force, changed in place, so that another thread's `catch_warnings`, which puts
back whatever it found, puts back a list that ends as the caller's.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_IGNORED: tuple[Any, ...] = ("ignore", None, Warning, None, 0)


class _Filters:
    """How many blocks ignore warnings, how many tolerate them, and the caller's filters meanwhile."""

    def __init__(self) -> None:
        self.reset_lock()
        self._ignoring = 0
        self._tolerating = 0
        self._callers: Any = None
        self._ours: list[Any] = []

    def reset_lock(self) -> None:
        """Make a new lock: in a forked process another thread may have held the old one."""
        self._lock = threading.Lock()

    def change(self, *, ignoring: int = 0, tolerating: int = 0) -> None:
        """Count blocks that were entered (1) or left (-1), and put what they ask for in force."""
        with self._lock:
            if not self._ignoring and not self._tolerating:
                self._callers, self._ours = warnings.filters, []
                warnings.filters = self._ours
            self._ignoring += ignoring
            self._tolerating += tolerating
            in_force = warnings.filters is self._ours
            if in_force:
                warnings.resetwarnings()  # the public way to tell the interpreter that filters changed
            if self._ignoring:
                self._ours[:] = [_IGNORED]
            elif self._tolerating:
                self._ours[:] = [_tolerant(item) for item in self._callers]
            else:
                self._ours[:] = self._callers
                if in_force:
                    warnings.filters = self._callers


_filters = _Filters()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_filters.reset_lock)


@contextmanager
def warnings_ignored() -> Iterator[None]:
    """Ignore every warning of the process inside.

    >>> with warnings_ignored():
    ...     warnings.warn("not shown")
    """
    _filters.change(ignoring=1)
    try:
        yield
    finally:
        _filters.change(ignoring=-1)


@contextmanager
def warnings_tolerated() -> Iterator[None]:
    """Show warnings inside that the caller's filters raise as errors; all other filters stay as they are."""
    _filters.change(tolerating=1)
    try:
        yield
    finally:
        _filters.change(tolerating=-1)


@contextmanager
def warnings_untolerated() -> Iterator[None]:
    """Leave one block of `warnings_tolerated` inside, and enter it again after."""
    _filters.change(tolerating=-1)
    try:
        yield
    finally:
        _filters.change(tolerating=1)


def tolerate_again() -> None:
    """Put in force again what the blocks entered now ask for, where the caller's function changed the filters."""
    _filters.change()


def _tolerant(item: tuple[Any, ...]) -> tuple[Any, ...]:
    return ("default", *item[1:]) if item[0] == "error" else item
