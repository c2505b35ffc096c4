"""Stopping well: the first Ctrl-C asks the run to come to an end, the second stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# What a shell shows for a process that a signal ended: 128 and the signal's number.
EXIT_OFFSET = 128
HEEDED = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether somebody asked to stop, and with which signal."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def __bool__(self) -> bool:
        return self.signal_number is not None

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM, 0 when nobody asked."""
        return 0 if self.signal_number is None else EXIT_OFFSET + self.signal_number


@contextmanager
def heeding_interrupts(on_first: Callable[[], None]) -> Iterator[StopRequest]:
    """While inside, a first SIGINT or SIGTERM fills the request and calls `on_first`; a second raises.

    Only the main thread may take signals over; elsewhere the request just stays empty. What was there is put back.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def heed(number: int, frame: FrameType | None) -> None:
        if request:
            raise KeyboardInterrupt
        request.signal_number = number
        on_first()

    before = {number: signal.signal(number, heed) for number in HEEDED}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
