"""Clocks by which no test depends on how fast or how busy the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

Found = TypeVar("Found")


class StoppedClock:
    """A clock that shows the same second until a test moves it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def monotonic(self) -> float:
        """Stand in for `time.monotonic`, where a test puts a clock in place of a module's `time`."""
        return self.now


def stop_clock(monkeypatch: pytest.MonkeyPatch) -> StoppedClock:
    """Stop Python's monotonic clock at its time, for all that looks it up when it is called."""
    clock = StoppedClock(time.monotonic())
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def in_loops(work: Callable[[], Found]) -> tuple[Found, float]:
    """Return what work returns and the time that this thread takes for it, as a multiple of a loop of a million steps.

    The loop runs just before, some 0.02 s on a fast core: what is slow on this machine is slow for both.
    """
    began = time.thread_time()
    for _ in range(1_000_000):
        pass
    loop = time.thread_time() - began
    began = time.thread_time()
    found = work()
    return found, (time.thread_time() - began) / loop
