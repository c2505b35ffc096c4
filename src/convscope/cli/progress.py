"""The progress of a run on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from convscope.report.printable import printable
from convscope.report.units import loss, percent, seconds

if TYPE_CHECKING:
    from convscope.runs.events import EpochRow, Listener, StepProgress
    from convscope.runs.run_directory import Run

QUIET_SECONDS = 30.0  # a log gets a line within long epochs no more often than this


@contextmanager
def training_progress(*, quiet: bool = False) -> Iterator[Listener]:
    """Return a listener that draws a bar if stderr is a terminal, else one that prints lines."""
    from convscope.report.progress import plain_progress
    from convscope.runs.events import Silent

    if quiet:
        yield Silent()
    elif sys.stderr.isatty():
        with _bars() as bars:
            yield _Terminal(bars)
    else:
        yield _Lines(plain_progress(sys.stderr))


def log_lines(run: Run, lines: Iterable[str]) -> None:
    """Add lines to a run's log; an error of the disk is ignored, as the run is already written."""
    from convscope.runs.atomic_files import WriteError

    with suppress(WriteError):
        for line in lines:
            run.log(line)


def header_line(row: EpochRow) -> str:
    """Return the column headings of `epoch_line`."""
    trained, measured = ("all right", "mAP") if row.multi_label else ("accuracy", "accuracy")
    return (
        f"{'epoch':>9}  {'train loss':>10} {trained:>9}  {'val loss':>10} {measured:>9}  {'images/s':>9}  {'time':>11}"
    )


def epoch_line(row: EpochRow, epochs: int) -> str:
    """Return an epoch as one line under `header_line`; the best so far is marked."""
    val_loss = loss(row.val_loss) if row.val_loss is not None else ""
    place = f"{row.epoch}/{epochs}" if epochs else str(row.epoch)
    return (
        f"{place:>9}  {loss(row.train_loss):>10} {percent(row.train_accuracy):>9}  {val_loss:>10} "
        f"{percent(row.val_accuracy) if row.val_accuracy is not None else '':>9}  {row.images_per_second:>9,.0f}  "
        f"{seconds(row.seconds):>11}{'  best' if row.best else ''}"
    )


class _Lines:
    """Plain lines: messages, an epoch a line, and the progress of slow work at intervals."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._header_shown = False
        self._spoke = time.monotonic()
        self._epochs = 0

    def notify(self, line: str) -> None:
        self._write(line)

    def progressed(self, done: int, total: int, what: str) -> None:
        self._progress(done, total, what)

    def stepped(self, step: StepProgress) -> None:
        self._epochs = step.epochs
        if time.monotonic() - self._spoke < QUIET_SECONDS:
            return
        self._write(
            f"epoch {step.epoch} of {step.epochs}: batch {step.batch} of {step.batches}, "
            f"{step.images_per_second:,.0f} images/s, {_left(step.seconds_left)} left"
        )

    def epoch_ended(self, row: EpochRow) -> None:
        if not self._header_shown:
            self._header_shown = True
            self._write(header_line(row))
        self._write(epoch_line(row, self._epochs))

    def _write(self, line: str) -> None:
        self._spoke = time.monotonic()
        print(printable(line), file=sys.stderr, flush=True)


class _Terminal(_Lines):
    """The same above a progress bar."""

    def __init__(self, bars: Any) -> None:
        super().__init__(None)
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def progressed(self, done: int, total: int, what: str) -> None:
        self._update(what, done, total, "")
        if total and done >= total:
            self._bars.remove_task(self._tasks.pop(what))

    def stepped(self, step: StepProgress) -> None:
        self._epochs = step.epochs
        self._update(
            "training",
            (step.epoch - 1) * step.batches + step.batch,
            step.epochs * step.batches,
            f"epoch {step.epoch}/{step.epochs}  {step.images_per_second:,.0f} images/s  loss {loss(step.loss)}  "
            f"accuracy {percent(step.accuracy)}  {_left(step.seconds_left)} left",
        )

    def epoch_ended(self, row: EpochRow) -> None:
        super().epoch_ended(row)
        if row.epoch == self._epochs:
            self._bars.remove_task(self._tasks.pop("training"))

    def _update(self, what: str, done: int, total: int, note: str) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(printable(what), total=total or None, note=note)
        self._bars.update(self._tasks[what], completed=done, total=total or None, note=note)

    def _write(self, line: str) -> None:
        from rich.text import Text

        self._bars.console.print(Text(printable(line)), soft_wrap=True)


def _left(duration: float) -> str:
    """Return the remaining time as text, to the second."""
    return f"{round(duration)} s" if duration < 60 else seconds(duration)


@contextmanager
def _bars() -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=8) as bars:
        yield bars
