"""Somebody who watches an ablation, and what opening its images passes on."""

from __future__ import annotations

from typing import Protocol

from convscope.runs.events import Silent


class AblationListener(Protocol):
    """Somebody who watches an ablation."""

    def notify(self, line: str) -> None:
        """Show a message."""

    def progressed(self, done: int, total: int, what: str) -> None:
        """Work other than training, such as decoding, moved on."""

    def moved(self, share: float, seconds_left: float | None) -> None:
        """Show the share of all trainings that is done, and the estimated time left."""


class SilentAblation(Silent):
    """A watcher that shows nothing."""

    def moved(self, share: float, seconds_left: float | None) -> None:
        """Show nothing."""


class TrialListener(Silent):
    """Passes on what opening the data tells."""

    def __init__(self, watcher: AblationListener) -> None:
        self.progressed = watcher.progressed  # type: ignore[method-assign]
