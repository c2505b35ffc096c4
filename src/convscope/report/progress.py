"""Progress of long work: a callable that work reports to, and its forms for a terminal and for a log.

Work takes a `Progress` and calls it with what is done, of how much, and what it is doing, independent of the display.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from convscope.api.torch_state import changes_undone
from convscope.report.notebook import NotebookBars, in_notebook
from convscope.report.printable import printable

Progress = Callable[[int, int, str], None]
"""`progress(done, total, what)`; a total of 0 means that it is not known."""

ProgressOption = bool | Progress
"""What a public function takes as `progress`: True for a bar, a function that is called, or False for nothing."""

QUIET_SECONDS = 10.0  # a log gets a line when this much time has gone by, and one when a piece of work ends


def no_progress(done: int, total: int, what: str) -> None:
    """Report nothing.

    >>> no_progress(1, 10, "decoding")
    """


@contextmanager
def progress_of(option: ProgressOption) -> Iterator[Progress]:
    """Return what a public function's argument `progress` asks for.

    >>> with progress_of(lambda done, total, what: print(f"{what}: {done}/{total}")) as progress:
    ...     progress(1, 2, "measuring")
    measuring: 1/2
    """
    if option is True:
        with shown_progress() as progress:
            yield progress
    else:
        yield called(option) if option else no_progress


def called(function: Progress) -> Progress:
    """Return a function of the caller whose changes of torch's state end with each call.

    >>> called(lambda done, total, what: print(done, total, what))(1, 2, "decoding")
    1 2 decoding
    """

    def progress(done: int, total: int, what: str) -> None:
        with changes_undone():
            function(done, total, what)

    return progress


@contextmanager
def shown_progress(*, file: TextIO | None = None) -> Iterator[Progress]:
    """Return a bar in a notebook or on a terminal, and a few plain lines elsewhere; on stderr by default."""
    stream = file or sys.stderr
    if file is None and in_notebook():
        with _notebook_bar() as progress:
            yield progress
    elif is_terminal(stream):
        with _bar(stream) as progress:
            yield progress
    else:
        yield plain_progress(stream)


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is an open terminal; a program may have put anything in the place of stderr.

    >>> is_terminal(None)
    False
    """
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, ValueError, OSError):  # no such method; closed
        return False


def write_line(line: str, stream: TextIO | None) -> None:
    """Write a line of progress; where it can't be written, there is none: the work goes on."""
    if stream is not None:
        with suppress(AttributeError, ValueError, OSError):
            print(line, file=stream, flush=True)


def plain_progress(stream: TextIO | None, *, clock: Callable[[], float] = time.monotonic) -> Progress:
    """Return the lines for a log: at most one every ten seconds, and one at the end of work that took longer than that.

    >>> times = iter([0.0, 11.0, 12.0])
    >>> progress = plain_progress(sys.stdout, clock=lambda: next(times))
    >>> for done in (1, 2, 4):
    ...     progress(done, 4, "decoding")
    decoding: 2 of 4
    decoding: 4 of 4
    """
    started: dict[str, float] = {}
    spoken: dict[str, float] = {}

    def progress(done: int, total: int, what: str) -> None:
        now, what = clock(), printable(what)
        first = started.setdefault(what, now)
        ended = total > 0 and done >= total
        due = now - spoken.get(what, first) >= QUIET_SECONDS
        if due or (ended and what in spoken):
            spoken[what] = now
            write_line(f"{what}: {done:,} of {total:,}" if total else f"{what}: {done:,}", stream)
        if ended:
            started.pop(what, None)
            spoken.pop(what, None)

    return progress


@contextmanager
def _notebook_bar() -> Iterator[Progress]:
    bars = NotebookBars()

    def progress(done: int, total: int, what: str) -> None:
        bars.show(what, done, total, f"{done:,} of {total:,}" if total else f"{done:,}")

    try:
        yield progress
    finally:
        bars.close()


@contextmanager
def _bar(stream: TextIO) -> Iterator[Progress]:
    """Return a bar; what is printed on the terminal meanwhile is above it, and what goes into a file is in the file."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(file=stream)
    with RichProgress(*columns, console=console, transient=True, redirect_stdout=is_terminal(sys.stdout)) as bars:
        tasks = {}

        def progress(done: int, total: int, what: str) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(printable(what), total=total or None)
            bars.update(tasks[what], completed=done, total=total or None)

        yield progress
