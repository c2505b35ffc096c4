"""Progress on stderr, as the command line shows it; what a network of the user's own prints goes there too."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convscope.report.progress import Progress
    from convscope.runs.events import Listener
    from convscope.runs.run_directory import Run


@contextmanager
def training_progress(*, quiet: bool = False) -> Iterator[Listener]:
    """Return a listener that draws a bar if stderr is a terminal, else one that prints lines."""
    from convscope.runs.events import Silent
    from convscope.runs.training_display import shown_training

    with redirect_stdout(sys.stderr):  # stdout has the results alone
        if quiet:
            yield Silent()
        else:
            with shown_training() as listener:
                yield listener


@contextmanager
def work_progress(*, quiet: bool = False) -> Iterator[Progress]:
    """Return the progress of work other than training."""
    from convscope.report.progress import no_progress, shown_progress

    with redirect_stdout(sys.stderr):
        if quiet:
            yield no_progress
        else:
            with shown_progress() as progress:
                yield progress


def log_lines(run: Run, lines: Iterable[str]) -> None:
    """Add lines to a run's log; an error of the disk is ignored, as the run is already written."""
    from convscope.runs.atomic_files import WriteError

    with suppress(WriteError):
        for line in lines:
            run.log(line)
