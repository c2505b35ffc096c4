"""Stopping well: the first Ctrl-C asks the run to come to an end, the second stops at once."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# What a shell shows for a process that a signal ended: 128 and the signal's number.
EXIT_OFFSET = 128
HEEDED = (signal.SIGINT, signal.SIGTERM)
# One wish to stop may reach a process that was launched by another several times: from the terminal and from the
# launcher, or, where Linux tells that the launcher is gone, from each of its threads.
ONE_WISH_SECONDS = 5.0


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
def heeding_interrupts(on_first: Callable[[], None], *, one_wish: float = 0.0) -> Iterator[StopRequest]:
    """While inside, a first SIGINT or SIGTERM fills the request and calls `on_first`; a second raises.

    What comes within `one_wish` seconds of the first counts as the first.

    Only the main thread may take signals over; elsewhere the request just stays empty. What was there is put back.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    first_at = 0.0

    def heed(number: int, frame: FrameType | None) -> None:
        nonlocal first_at
        if request:
            if time.monotonic() - first_at < one_wish:
                return
            raise KeyboardInterrupt
        first_at = time.monotonic()
        request.signal_number = number
        on_first()

    before = {number: signal.signal(number, heed) for number in HEEDED}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
