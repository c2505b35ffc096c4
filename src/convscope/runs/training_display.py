"""What is shown of a training: bars on a terminal and in a notebook, plain lines elsewhere; and the log."""

from __future__ import annotations

import html
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from convscope.report.notebook import NotebookBars, in_notebook
from convscope.report.printable import printable
from convscope.report.progress import Progress, ProgressOption, called, is_terminal, plain_progress, write_line
from convscope.report.units import loss, percent, seconds
from convscope.runs.events import EpochRow, Listener, Silent, StepProgress

QUIET_SECONDS = 30.0  # a log gets a line within long epochs no more often than this
PARTS = 1000  # of a series of trainings, as a caller's function is given it
BETWEEN_TRAININGS_SECONDS = 60.0  # and between two trainings of a series

_log = logging.getLogger("convscope")
# Python prints what is logged where no handler is set, from warnings on: a library leaves that to the program.
_log.addHandler(logging.NullHandler())


@contextmanager
def shown_training() -> Iterator[Listener]:
    """Return a listener that shows a training: in a notebook's output cell, by a bar on a terminal, or by lines."""
    if in_notebook():
        notebook = _Notebook()
        try:
            yield notebook
        finally:
            notebook.close()
    elif is_terminal(sys.stderr):
        with _bars() as bars:
            yield _Terminal(bars)
    else:
        yield _Lines(plain_progress(sys.stderr))


@contextmanager
def listening(option: ProgressOption) -> Iterator[Listener]:
    """Return the listener of a call from Python: messages and epochs go to the log, progress where it is asked for."""
    if option is True:
        with shown_training() as display:
            yield Logging(display)
    else:
        yield Logging(_Called(called(option)) if option else Silent())


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

    def warn(self, line: str) -> None:
        self._write(line)

    def progressed(self, done: int, total: int, what: str) -> None:
        self._progress(done, total, what)

    def stepped(self, step: StepProgress) -> None:
        self._epochs = step.epochs
        if time.monotonic() - self._spoke < QUIET_SECONDS:
            return
        self._write(
            f"epoch {step.epoch} of {step.epochs}: steps {step.step:,} of {step.steps:,}, "
            f"{step.images_per_second:,.0f} images/s, {_left(step.seconds_left)} left"
        )

    def epoch_ended(self, row: EpochRow) -> None:
        if not self._header_shown:
            self._header_shown = True
            self._write(header_line(row))
        self._write(epoch_line(row, self._epochs))

    def moved(self, share: float, seconds_left: float | None) -> None:
        quiet = time.monotonic() - self._spoke < BETWEEN_TRAININGS_SECONDS
        if not quiet and seconds_left is not None and seconds_left >= 1:
            self._write(f"{share:.0%} of all trainings done, {seconds(seconds_left)} left")

    def _write(self, line: str) -> None:
        self._spoke = time.monotonic()
        write_line(printable(line), sys.stderr)


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
        self._update("training", *_place(step), _note(step))

    def epoch_ended(self, row: EpochRow) -> None:
        super().epoch_ended(row)
        # A head that is solved is epoch 0 of its run, before any step.
        if row.epoch == self._epochs and "training" in self._tasks:
            self._bars.remove_task(self._tasks.pop("training"))

    def moved(self, share: float, seconds_left: float | None) -> None:
        self._update("trainings", share, 1.0, f"{seconds(seconds_left)} left" if seconds_left else "")

    def _update(self, what: str, done: float, total: float, note: str) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(printable(what), total=total or None, note=note)
        self._bars.update(self._tasks[what], completed=done, total=total or None, note=note)

    def _write(self, line: str) -> None:
        from rich.text import Text

        self._bars.console.print(Text(printable(line)), soft_wrap=True)


class _Notebook(Silent):
    """A bar and a table of the epochs in a notebook's output cell; messages go to the log."""

    def __init__(self) -> None:
        self._bars = NotebookBars()
        self._lines: list[str] = []
        self._epochs = self._last = 0

    def progressed(self, done: int, total: int, what: str) -> None:
        self._bars.show(what, done, total, f"{done:,} of {total:,}" if total else f"{done:,}")
        if total and done >= total:
            self._bars.remove(what)

    def stepped(self, step: StepProgress) -> None:
        self._epochs = step.epochs
        self._bars.show("training", *_place(step), _note(step))

    def epoch_ended(self, row: EpochRow) -> None:
        # A series of trainings numbers its epochs anew; one that is resumed begins later, a solved head at 0.
        before = self._lines if self._lines and row.epoch > self._last else [header_line(row)]
        self._last = row.epoch
        self._lines = [*before, epoch_line(row, self._epochs)]
        # The columns need a face that a notebook's style for `pre` would not give.
        self._bars.below = f'<pre style="font-family:monospace">{html.escape(chr(10).join(self._lines))}</pre>'
        self._bars.draw()

    def moved(self, share: float, seconds_left: float | None) -> None:
        self._bars.show("trainings", share, 1.0, f"{seconds(seconds_left)} left" if seconds_left else "")

    def close(self) -> None:
        self._bars.close()


class _Called(Silent):
    """Passes all progress on to a function of the caller."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def progressed(self, done: int, total: int, what: str) -> None:
        self._progress(done, total, what)

    def stepped(self, step: StepProgress) -> None:
        self._progress(*_place(step), "training")

    def moved(self, share: float, seconds_left: float | None) -> None:
        self._progress(round(share * PARTS), PARTS, "trainings")


class Logging:
    """Writes what is said to the log named "convscope", and shows the progress on a display."""

    def __init__(self, display: Listener) -> None:
        self._display = display

    def notify(self, line: str) -> None:
        """Log a message."""
        _log.info("%s", printable(line))

    def warn(self, line: str) -> None:
        """Log a warning."""
        _log.warning("%s", printable(line))

    def progressed(self, done: int, total: int, what: str) -> None:
        """Show it."""
        self._display.progressed(done, total, what)

    def stepped(self, step: StepProgress) -> None:
        """Show it."""
        self._display.stepped(step)

    def epoch_ended(self, row: EpochRow) -> None:
        """Log the epoch as a line, and show it."""
        _log.info("%s", _sentence(row))
        self._display.epoch_ended(row)

    def moved(self, share: float, seconds_left: float | None) -> None:
        """Show it."""
        self._display.moved(share, seconds_left)


def _place(step: StepProgress) -> tuple[int, int]:
    """Return the steps of the training that are done, and all of them."""
    return step.step, step.steps


def _note(step: StepProgress) -> str:
    return (
        f"epoch {step.epoch}/{step.epochs}  {step.images_per_second:,.0f} images/s  loss {loss(step.loss)}  "
        f"accuracy {percent(step.accuracy)}  {_left(step.seconds_left)} left"
    )


def _sentence(row: EpochRow) -> str:
    """Return an epoch as a line of a log, where no headings are near."""
    trained, measured = ("all right", "mAP") if row.multi_label else ("accuracy", "accuracy")
    text = f"epoch {row.epoch}: train loss {loss(row.train_loss)}, {trained} {percent(row.train_accuracy)}"
    if row.val_loss is not None and row.val_accuracy is not None:
        text += f"; validation loss {loss(row.val_loss)}, {measured} {percent(row.val_accuracy)}"
    return text + (", the best so far" if row.best else "")


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
    # What a caller prints into a file meanwhile stays there; on a terminal it is above the bar.
    redirect = is_terminal(sys.stdout)
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, refresh_per_second=8, redirect_stdout=redirect) as bars:
        yield bars
