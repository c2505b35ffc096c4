"""The state of a run as the page shows it: what its status says, whether its process is there, whether it waits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

from convscope.runs.events import Status
from convscope.runs.live_files import LiveProgress
from convscope.runs.run_directory import Run
from convscope.studio.trainings.run_table import log_tail, without_time

ShownState = Literal[
    "opening", "training", "pausing", "paused", "stopping", "finishing",
    "done", "stopped", "interrupted", "diverged", "failed", "unknown",
]  # fmt: skip
"""`State`, with what it is doing while it trains; "opening" has no run directory yet, "unknown" has no status."""

ALIVE: frozenset[ShownState] = frozenset({"opening", "training", "pausing", "paused", "stopping", "finishing"})


@dataclass(frozen=True, kw_only=True)
class RunState:
    """The state of a run now.

    Args:
        state: what it does, or how it ended.
        reason: why it ended, or what it waits for; "" where there is nothing to say.
        status: as status.json has it; None where it has none.
        progress: within its epoch; None but while it trains.
    """

    state: ShownState
    reason: str = ""
    status: Status | None = None
    progress: LiveProgress | None = None

    @property
    def alive(self) -> bool:
        """Whether a process trains it, as far as can be seen."""
        return self.state in ALIVE

    def to_dict(self) -> dict[str, Any]:
        """Return the state as the page gets it."""
        status = self.status
        return {
            "state": self.state,
            "alive": self.alive,
            "reason": self.reason,
            "epoch": status.epoch if status else 0,
            "epochs": status.epochs if status else 0,
            "step": status.step if status else 0,
            "steps": status.steps if status else 0,
            "started": status.started if status else 0,
            "progress": self.progress.to_dict() if self.progress else None,
        }


def state_of(run: Run) -> RunState:
    """Return the state of a run that is there."""
    status = run.status()
    if status is None:
        return RunState(state="unknown", reason="status.json is missing or damaged")
    if status.state != "training":
        return RunState(state=status.state, reason=status.reason or _last_words(run, status), status=status)
    live, progress = run.live, run.live.read_progress()
    state: ShownState = "training"
    if live.is_asked("stop"):
        state = "stopping"
    elif progress is not None and progress.paused:
        state = "paused"
    elif progress is not None and progress.phase == "finishing":
        state = "finishing"
    elif live.is_asked("pause"):
        state = "pausing"
    return RunState(state=state, status=status, progress=progress)


def with_death(state: RunState, why: str, run: Run) -> RunState:
    """Return the state of a run whose process ended without a word, with what is known of why, and its last line."""
    status = state.status
    if status is None or status.state != "interrupted" or not status.reason.startswith(f"process {status.pid} is gone"):
        return state
    return RunState(state="failed", reason=_joined(why, _last_line(run)), status=status, progress=None)


def _last_words(run: Run, status: Status) -> str:
    return _last_line(run) if status.state in ("failed", "diverged") else ""


def _last_line(run: Run) -> str:
    lines = log_tail(run)
    return without_time(lines[-1]) if lines else ""


def _joined(why: str, line: str) -> str:
    return f"{why}; its last line: {line}" if line and line not in why else why


def is_there(run: Run) -> bool:
    """Return whether the run's folder is still there."""
    return os.path.lexists(run.path)
