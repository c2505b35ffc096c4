"""How much the threads of a process decode at once: one budget for all, so that memory does not grow with threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from convscope.data.pixels.sniff import PIXEL_LIMIT


class Budget:
    """Some units of which threads reserve a part while they work; more than there are, one thread alone may have.

    What is below `small` is not counted: it costs less than the lock.

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

    @contextmanager
    def reserve(self, units: int) -> Iterator[None]:
        """Wait until the units are free, and hold them while the block runs. A thread may not reserve twice."""
        if units < self.small:
            yield
            return
        with self._changed:
            self._changed.wait_for(lambda: self.reserved == 0 or self.reserved + units <= self.capacity)
            self.reserved += units
        try:
            yield
        finally:
            with self._changed:
                self.reserved -= units
                self._changed.notify_all()


# Pixels in decoding at once: some 16 bytes each are held while an image is decoded, turned and flattened.
PIXELS = Budget(PIXEL_LIMIT, small=2**18)
# Bytes of large files in memory at once. Reserved before pixels, never after.
FILE_BYTES = Budget(2**28, small=2**22)
