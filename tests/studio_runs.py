"""Run directories as a page reads them, without a training."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from convscope.runs.events import EpochRow, Message, Status
from convscope.runs.run_directory import Run

HOSTILE = ("<img src=x onerror=alert(1)>", "a b%2F..", "-rf", "new\nline", "\u202eright", "@best", "a,b", "C:\\x")


def row(epoch: int) -> EpochRow:
    return EpochRow(
        epoch=epoch, seconds=1.0 * epoch, train_loss=0.5, train_accuracy=0.5, val_loss=0.4, val_accuracy=0.6,
        learning_rate=0.1, images_per_second=10.0, data_wait=0.0, best=True,
    )  # fmt: skip


def make_run(folder: Path, **status: Any) -> Run:
    """The files of a run that a page reads, without a network."""
    folder.mkdir(parents=True)
    (folder / "model.json").write_text("{}")
    values = {"state": "done", "epoch": 1, "epochs": 2, **status}
    (folder / "status.json").write_text(json.dumps(asdict(Status(**values))))
    return Run(folder)


def add(run: Run, *events: EpochRow | Message) -> None:
    for event in events:
        run.record(event)
