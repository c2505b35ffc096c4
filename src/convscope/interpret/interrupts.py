"""Whether the user interrupted the work: a part that then returns what it has so far does not always say so."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from convscope.report.progress import Progress


@dataclass
class Interrupts:
    """Whether an interrupt came."""

    came: bool = False

    def require_none(self) -> None:
        """Raise KeyboardInterrupt where an interrupt came that what was running has taken for its own end."""
        if self.came:
            raise KeyboardInterrupt

    def noting(self, progress: Progress) -> Progress:
        """Return the progress with a note of the interrupt that it raises."""

        def noted(done: int, total: int, what: str) -> None:
            try:
                progress(done, total, what)
            except KeyboardInterrupt:
                self.came = True
                raise

        return noted


@contextmanager
def noted_interrupts() -> Iterator[Interrupts]:
    """Note Ctrl-C inside, beside what the handler of the process does with it.

    >>> with noted_interrupts() as interrupts:
    ...     try:
    ...         signal.raise_signal(signal.SIGINT)
    ...     except KeyboardInterrupt:
    ...         print("returned early")
    returned early
    >>> interrupts.came
    True
    """
    found = Interrupts()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield found
        return

    def handle(number: int, frame: FrameType | None) -> None:
        found.came = True
        before(number, frame)

    signal.signal(signal.SIGINT, handle)
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, before)


def interrupted_text(missing: Sequence[str]) -> str:
    """Return what a page says of an interrupt: which parts there are, and which were asked for and are missing.

    >>> interrupted_text(["occlusion", "checks"])
    'Interrupted: the parts that were ready are shown. Not measured: occlusion, checks.'
    """
    ready = "Interrupted: the parts that were ready are shown."
    return f"{ready} Not measured: {', '.join(missing)}." if missing else ready
