"""The progress of a run on stderr, as the command line shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convscope.runs.events import Listener
    from convscope.runs.run_directory import Run


@contextmanager
def training_progress(*, quiet: bool = False) -> Iterator[Listener]:
    """Return a listener that draws a bar if stderr is a terminal, else one that prints lines."""
    from convscope.runs.events import Silent
    from convscope.runs.training_display import shown_training

    if quiet:
        yield Silent()
    else:
        with shown_training() as listener:
            yield listener


def log_lines(run: Run, lines: Iterable[str]) -> None:
    """Add lines to a run's log; an error of the disk is ignored, as the run is already written."""
    from convscope.runs.atomic_files import WriteError

    with suppress(WriteError):
        for line in lines:
            run.log(line)
