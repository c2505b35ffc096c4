"""Run a user's model: a forward pass that never ends is one line, and what it prints goes to stderr."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from types import FrameType

import click

from convscope.errors import CaptureError

SECONDS = 60.0
_AGAIN = 0.5  # seconds after which the limit is enforced anew, should the model have caught it


# An option of the commands that run a model without training it.
deadline_option = click.option(
    "--deadline", type=click.FloatRange(0.1, 86400), default=SECONDS, show_default=True, metavar="SECONDS",
    help="Stop a model that takes longer than this.",
)  # fmt: skip


class _ExpiredError(BaseException):
    """The time is over; no model catches it by `except Exception`."""


@contextmanager
def within(seconds: float, name: str) -> Iterator[None]:
    """Stop what runs inside after so many seconds, and send what it prints to stderr: stdout is the command's own.

    The limit has no effect where the system has no such alarm.

    Raises:
        CaptureError: the time is over.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        with redirect_stdout(sys.stderr):
            yield
        return

    def expire(number: int, frame: FrameType | None) -> None:
        raise _ExpiredError

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        with redirect_stdout(sys.stderr):
            yield
    except _ExpiredError:
        raise CaptureError(f"{name} takes more than {seconds:g} s: it may never end; --deadline allows more") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
