"""Interrupts: the first Ctrl-C requests that the run ends with its files written, the second stops at once."""

from __future__ import annotations

import _thread
import signal
import threading
import time
import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TypeVar

from convscope.api.annotations import described
from convscope.api.torch_state import changes_undone
from convscope.errors import ConvscopeError, RunError

# What a shell shows for a process that a signal ended: 128 and the signal's number.
EXIT_OFFSET = 128
# A request to stop may reach a process several times. Under torchrun: from the terminal and the launcher, or, where
# Linux signals that the launcher ended, from each of its threads. When a terminal is closed: SIGHUP from the kernel and
# from the shell, SIGTERM from the service that ends the session.
SAME_REQUEST_SECONDS = 5.0
# The terminal is gone; None on systems that have no such signal.
HANG_UP: int | None = getattr(signal, "SIGHUP", None)


CallbackArgument = TypeVar("CallbackArgument")


class StopTraining(Exception):  # noqa: N818 - as StopIteration: no error, but a decision
    """Raised by a callback, such as `train(..., on_epoch=...)`, to end the training there and keep the run.

    >>> import convscope
    >>> def good_enough(row):
    ...     if row.val_accuracy > 0.99:
    ...         raise convscope.StopTraining
    """


class StopRequest:
    """Whether a stop was asked for, and how.

    Args:
        signal_number: SIGINT, or SIGTERM, which SIGHUP counts as; None where it was no signal.
        called: whether a callback asked for it, by StopTraining or by any other exception.
        error: that other exception, to be raised again once the run is written.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self.called = False
        self.error: Exception | None = None

    def __bool__(self) -> bool:
        return self.called or self.signal_number is not None

    def call(self, callback: Callable[[CallbackArgument], object] | None, argument: CallbackArgument) -> None:
        """Call the caller's function; what it raises is a request to stop, and what it sets of torch ends with it."""
        if callback is None:
            return
        try:
            with changes_undone():
                returned = callback(argument)
            if isinstance(returned, Coroutine):
                returned.close()  # it is never awaited
            if _is_decision(returned):
                raise RunError(
                    f"the callback returned {described(returned)}, and what it returns is not read: raise "
                    "convscope.StopTraining to stop, return None to go on"
                )
        except StopTraining:
            self.called = True
        except Exception as error:
            self.called, self.error = True, error

    def raise_error(self, kept: str) -> None:
        """Raise what the callback raised, with a note on what is kept; do nothing where it raised nothing."""
        if self.error is not None:
            self.error.add_note(kept)
            raise self.error

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM and SIGHUP, 0 while no stop was asked for."""
        return 0 if self.signal_number is None else EXIT_OFFSET + self.signal_number


def _is_decision(returned: object) -> bool:
    """Return whether a callback's answer was meant to be read or run: a truth value, a coroutine, a generator."""
    kind = str(getattr(returned, "dtype", "")).removeprefix("torch.")
    return isinstance(returned, (bool, Coroutine, Generator, AsyncGenerator)) or kind == "bool"


def warn_if_interrupted(run: object, *, interrupted: bool) -> None:
    """Warn the caller of a public function that Ctrl-C ended it; the loop in which it was called may go on."""
    if interrupted:
        warnings.warn(
            f"interrupted: {run} is kept and can be resumed; where trainings are in a loop, end it by the result's "
            "`interrupted`",
            RuntimeWarning,
            stacklevel=4,  # the caller's line, beyond the function and `public`
        )


def heeded() -> tuple[int, ...]:
    """Return the signals that ask for a stop; SIGHUP is not among them where it is ignored, as under nohup."""
    numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
    if HANG_UP is None or signal.getsignal(HANG_UP) is signal.SIG_IGN:
        return numbers
    return (*numbers, HANG_UP)


@contextmanager
def handling_interrupts(
    on_first: Callable[[], None], *, same_request: float = 0.0, request: StopRequest | None = None
) -> Iterator[StopRequest]:
    """While inside, a first SIGINT, SIGTERM or SIGHUP fills the request and calls `on_first`; a second raises.

    `on_first` runs in a thread of its own, which has ended when the block is left: a signal handler interrupts whatever
    the main thread does, and what it prints while that is printing would raise RuntimeError.

    What comes within `same_request` seconds of the first counts as the first; of SIGHUP, within 5 seconds. SIGHUP
    itself is never a second.

    Only the main thread may take signals over; elsewhere the request just stays empty. What was there is put back. A
    `request` that is given may be filled from elsewhere as well.
    """
    request = StopRequest() if request is None else request  # an empty one is false
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    first_at = 0.0
    notified = threading.Event()

    def notify_once() -> None:
        try:
            with suppress(ConvscopeError):  # of a full disk, writing the files that matter fails as well
                on_first()
        finally:
            notified.set()

    def heed(number: int, frame: FrameType | None) -> None:
        nonlocal first_at, same_request
        if request:
            if number == HANG_UP or time.monotonic() - first_at < same_request:
                return
            raise KeyboardInterrupt
        first_at = time.monotonic()
        if number == HANG_UP:
            number, same_request = signal.SIGTERM, max(same_request, SAME_REQUEST_SECONDS)
        request.signal_number = number
        # Not by threading.Thread: its start takes a lock that the interrupted code may hold.
        _thread.start_new_thread(notify_once, ())

    before = {number: signal.signal(number, heed) for number in heeded()}
    try:
        yield request
    finally:
        if first_at:  # a callback may have asked to stop as well, which needs no notice
            notified.wait(SAME_REQUEST_SECONDS)
        for number, handler in before.items():
            signal.signal(number, handler)
