"""Between the steps of a training: what it is asked for through `live/`, and what it shows of itself there.

Showing takes at most `SHARE` of the time, and a file that the disk refuses is left out: neither may cost a training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from convscope.report.units import plural, whole_tenths
from convscope.runs.atomic_files import WriteError
from convscope.runs.events import EpochRow, Listener, StepProgress
from convscope.runs.live_files import LiveFiles, LiveProgress
from convscope.training.live.share_of_time import ShareOfTime

if TYPE_CHECKING:
    from convscope.training.interrupt import StopRequest
    from convscope.training.live.view_taker import ViewTaker

# Of a training's time, what its view and its progress may take: both together below 2 %.
SHARE, PROGRESS_SHARE = 0.01, 0.004
# Between two views at least, in seconds: of a training that is watched, and of any other.
WATCHED_EVERY, UNWATCHED_EVERY = 0.5, 30.0
PROGRESS_EVERY = 0.5
# Between two looks at what is asked for, in a training that runs and in one that waits.
LOOK_EVERY, WAIT_SECONDS = 0.1, 0.1
# What is taken for the cost of the first progress.
EXPECTED_PROGRESS = 0.0005


class LiveRun:
    """What a training shows between its steps, and how it pauses and stops there; in the process that writes.

    Args:
        files: of its run directory.
        request: is filled where a stop is asked for.
        make_view: returns what takes views, when the first one is due; None where there is no image to show.
        notify: passes a line on to the user and the log.
        epoch_steps: steps of a whole epoch.
        pausable: whether it may wait: one process alone may.
        clock: returns seconds, and never goes back.
    """

    def __init__(
        self,
        files: LiveFiles,
        request: StopRequest,
        *,
        make_view: Callable[[], ViewTaker | None],
        notify: Callable[[str], None],
        epoch_steps: int,
        batch_size: int,
        pausable: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._files, self._request, self._notify, self._clock = files, request, notify, clock
        self._make_view: Callable[[], ViewTaker | None] | None = make_view
        self._taker: ViewTaker | None = None
        self._epoch_steps, self._batch_size, self._pausable = max(1, epoch_steps), max(1, batch_size), pausable
        now = clock()
        self._looked = -math.inf
        self._began = now
        self._first_step = -1
        self._view: ShareOfTime | None = None
        self._viewed = -1
        self._progress = ShareOfTime(
            share=PROGRESS_SHARE, interval=PROGRESS_EVERY, expected=EXPECTED_PROGRESS, begun=now - PROGRESS_EVERY
        )
        self._shown: LiveProgress | None = None

    def between_steps(self, step: int) -> float:
        """Do what is due before step `step`, counted from 0, and return the seconds for which the training waited."""
        now = self._clock()
        if now - self._looked < LOOK_EVERY:
            return 0.0
        self._looked, waited = now, 0.0
        if self._files.is_asked("stop"):
            self._stop()
        elif self._pausable and self._files.is_asked("pause"):
            waited = self._wait(step)
        self._show(step, self._clock())
        return waited

    def listener(self, shown: Listener) -> Listener:
        """Return a listener that shows what `shown` does, and writes how far the training is."""
        return _ProgressWriter(shown, self)

    def stepped(self, progress: StepProgress) -> None:
        """Write how far the training is, where that is due."""
        now = self._clock()
        if not self._progress.is_due(now):
            return
        self._write_progress(
            LiveProgress(time=time.time(), phase="training", within=progress, can_pause=self._pausable)
        )
        self._progress.done(now, seconds=self._clock() - now)

    def finishing(self, step: int) -> None:
        """Note that the steps are done, and take a last view."""
        if self._shown is not None:
            within = replace(self._shown.within, seconds_left=0.0)
            self._write_progress(replace(self._shown, phase="finishing", paused=False, within=within))
        if self._view is not None and self._viewed != step and self._view.is_due(self._clock(), interval=0.0):
            self._take(step)

    def _stop(self) -> None:
        if not self._request:
            self._request.called = True
            self._notify("stopping, as was asked for: the best weights and the report are being written")

    def _wait(self, step: int) -> float:
        """Wait until the pause is withdrawn or a stop is asked for; returns the seconds."""
        began = self._clock()
        self._notify(f"paused after {plural(step, 'step')}")
        before = self._shown or _unknown(step, step // self._epoch_steps + 1)
        self._write_progress(replace(before, paused=True))
        while self._files.is_asked("pause") and not self._request:
            time.sleep(WAIT_SECONDS)
            if self._files.is_asked("stop"):
                self._stop()
        waited = self._clock() - began
        self._write_progress(replace(before, paused=False))
        if not self._request:
            self._notify(f"going on after a pause of {whole_tenths(waited)}")
        self._progress.leave_out(waited)
        self._began += waited
        if self._view is not None:
            self._view.leave_out(waited)
        return waited

    def _show(self, step: int, now: float) -> None:
        """Write a view where one is due."""
        if self._make_view is None:
            return
        if self._view is None:
            self._await_first(step, now)
            return
        if not self._view.is_due(now):
            return
        if self._files.is_watched or self._view.is_due(now, interval=UNWATCHED_EVERY):
            self._take(step)

    def _await_first(self, step: int, now: float) -> None:
        """Begin to take views once a step was seen: its time says what one image costs, roughly."""
        if self._first_step < 0:
            self._first_step, self._began = step, now
        else:
            of_step = (now - self._began) / (step - self._first_step)
            self._view = ShareOfTime(
                share=SHARE, interval=WATCHED_EVERY, expected=2 * of_step / self._batch_size, begun=self._began
            )

    def _take(self, step: int) -> None:
        """Write a view; what fails is not tried again."""
        assert self._view is not None
        began = self._clock()
        try:
            if self._taker is None:
                self._taker = self._make_view() if self._make_view else None
            if self._taker is not None:
                self._files.write_view(self._taker.take(step, step / self._epoch_steps))
                self._viewed = step
            else:
                self._make_view = None
        except Exception as error:  # a picture of a training must not end it: a user's network, memory, the disk
            self._make_view = self._taker = None
            self._notify(f"no further live view: {type(error).__name__}: {str(error)[:200]}")
        now = self._clock()
        self._view.done(now, seconds=now - began)

    def _write_progress(self, progress: LiveProgress) -> None:
        self._shown = progress
        with suppress(WriteError):
            self._files.write_progress(progress)


def _unknown(step: int, epoch: int) -> LiveProgress:
    """Return the progress of a training of which nothing was measured yet."""
    within = StepProgress(
        epoch=epoch, epochs=0, batch=0, batches=0, step=step, steps=0, loss=math.nan, accuracy=0.0, learning_rate=0.0,
        images_per_second=0.0, seconds_left=0.0,
    )  # fmt: skip
    return LiveProgress(time=time.time(), phase="training", within=within)


class _ProgressWriter:
    """Shows what another listener does, and writes how far the training is."""

    def __init__(self, shown: Listener, live: LiveRun) -> None:
        self._shown, self._live = shown, live

    def notify(self, line: str) -> None:
        self._shown.notify(line)

    def warn(self, line: str) -> None:
        self._shown.warn(line)

    def progressed(self, done: int, total: int, what: str) -> None:
        self._shown.progressed(done, total, what)

    def stepped(self, step: StepProgress) -> None:
        self._shown.stepped(step)
        self._live.stepped(step)

    def epoch_ended(self, row: EpochRow) -> None:
        self._shown.epoch_ended(row)

    def moved(self, share: float, seconds_left: float | None) -> None:
        self._shown.moved(share, seconds_left)
