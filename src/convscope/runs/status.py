"""status.json: how far a run's training is, or how it ended; written whole, so it can be polled. Imports no torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from convscope.files.checked import read_json
from convscope.files.regular import UnreadableError
from convscope.runs.atomic_files import write_file

State = Literal["training", "done", "stopped", "diverged", "failed"]


@dataclass(frozen=True, kw_only=True)
class Status:
    """The state of a training.

    A process that is killed leaves "training" behind; whether one still trains, the directory's lock says.

    Args:
        state: "stopped" is by the user, "diverged" by numbers that are not finite, "failed" by any other error.
        epoch: epochs that are complete.
        epochs: epochs that were asked for.
        reason: why it ended, where it is not done.
    """

    state: State
    epoch: int
    epochs: int
    reason: str = ""


def write_status(path: Path, status: Status) -> None:
    """Write status.json, whole; raises WriteError where the disk refuses."""
    write_file(path, json.dumps(asdict(status), indent=2) + "\n")


def read_status(path: Path) -> Status | None:
    """Return what a status.json says; None where there is none, or none that can be read."""
    try:
        fields = read_json(path)
        return Status(
            state=cast(State, fields.text("state", one_of=get_args(State))),
            epoch=fields.integer("epoch", at_least=0),
            epochs=fields.integer("epochs", at_least=0),
            reason=fields.text("reason", default=""),
        )
    except UnreadableError:
        return None
