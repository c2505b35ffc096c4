"""A memory budget for all decoding threads of a process, so that memory does not grow with their number."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from convscope.data.pixels.sniff import PIXEL_LIMIT

_UNCOUNTED = nullcontext()


class Budget:
    """Units that threads reserve while they work; a request for more than all of them is granted to one thread alone.

    Requests below `small` are not counted, as they cost less than the lock.

    >>> budget = Budget(100, small=10)
    >>> with budget.reserve(60), budget.reserve(5):
    ...     budget.reserved
    60
    >>> budget.reserved
    0
    """

    def __init__(self, capacity: int, *, small: int) -> None:
        self.capacity = capacity
        self.small = small
        self.reserved = 0
        self._changed = threading.Condition()

    def reserve(self, units: int) -> AbstractContextManager[None]:
        """Wait until the units are free, and hold them while the block runs. A thread may not reserve twice.

        Temporary arrays of the block must be unreachable when it ends; otherwise their memory is still in use.
        """
        return _UNCOUNTED if units < self.small else self._hold(units)

    @contextmanager
    def _hold(self, units: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self.reserved == 0 or self.reserved + units <= self.capacity)
            self.reserved += units
        try:
            yield
        finally:
            if 8 * units > self.capacity:
                _give_back_memory()
            with self._changed:
                self.reserved -= units
                self._changed.notify_all()


# Pixels in decoding at once: some 16 bytes each are held while an image is decoded, turned and flattened.
PIXELS = Budget(PIXEL_LIMIT, small=2**18)
# Bytes of large files in memory at once. Reserved before pixels, never after.
FILE_BYTES = Budget(2**28, small=2**22)


def _give_back_memory() -> None:
    """Return freed memory to the system: glibc keeps blocks of up to 32 MiB in an arena of each thread."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], Any] | None:
    """Return glibc's malloc_trim, or None with another C library."""
    try:
        trim: Callable[[int], Any] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
    return trim
