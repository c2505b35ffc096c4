"""Trainings that a listener of the test watches."""

from __future__ import annotations

import signal
from pathlib import Path

from convscope.recipe.recipe import Recipe
from convscope.runs.events import EpochRow, Listener, Silent
from convscope.training.outcome import Outcome
from convscope.training.train_run import train_new


class StopAfter(Silent):
    """Presses Ctrl-C at the end of an epoch."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def epoch_ended(self, row: EpochRow) -> None:
        if row.epoch == self._epoch:
            signal.raise_signal(signal.SIGINT)


class Lines(Silent):
    """Keeps every notice."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def notify(self, line: str) -> None:
        self.lines.append(line)


def train_watched(
    data: str | Path, recipe: Recipe, *, listener: Listener, runs_directory: Path, name: str | None = None
) -> Outcome:
    """Train as `convscope.train` does, but show it to a listener."""
    return train_new(
        recipe.changed({"data": str(data)}),
        listener=listener,
        name=name,
        runs_directory=runs_directory,
        cache_directory=None,
    )
