"""Records of a training in progress: for a terminal, a notebook, metrics.csv and events.jsonl, each in its own form.

events.jsonl has one JSON object a line: "time" (seconds since 1970), "event" (its kind), and the record's fields.
"""

from __future__ import annotations

import json
import math
import os
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from dataclasses import fields as dataclass_fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, cast, get_args

from convscope.files.checked import parse_json, read_json
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError
from convscope.report.json_values import json_dict
from convscope.report.short_repr import ShortRepr
from convscope.report.units import percent
from convscope.runs.atomic_files import write_file

State = Literal["training", "done", "stopped", "interrupted", "diverged", "failed"]
Level = Literal["info", "warning"]


@cache
def this_host() -> str:
    """Return the name of this machine, as status.json has it."""
    return socket.gethostname()


class _Record(ShortRepr):
    """A record that is a line of events.jsonl."""

    def to_dict(self) -> dict[str, Any]:
        """Return the event as events.jsonl has it, without the time: "event", its kind, and the fields."""
        return json_dict({"event": EVENTS[type(self)], **asdict(self)})  # type: ignore[index, call-overload]


@dataclass(frozen=True, kw_only=True, repr=False)
class Status(_Record):
    """The state of a training, or of a series of trainings.

    A process that is killed leaves "training" in status.json; `Run.status` makes "interrupted" of it once no process
    holds the directory's lock.

    Args:
        state: "stopped" is by a callback, "interrupted" by Ctrl-C, a signal or the end of the process, "diverged" by
            numbers that are not finite, "failed" by any other error.
        epoch: epochs that are complete; of an ensemble or an ablation, trainings.
        epochs: epochs, or trainings, that were asked for.
        step: steps that are complete, of `steps` planned; both are 0 in a series of trainings.
        reason: why it ended, where it is not done.
        pid: the process that trains, or trained.
        host: its machine.
        started: when that training began or was resumed, in seconds since 1970.
    """

    state: State
    epoch: int
    epochs: int
    reason: str = ""
    step: int = field(default=0, compare=False)
    steps: int = field(default=0, compare=False)
    pid: int = field(default_factory=os.getpid, compare=False)
    host: str = field(default_factory=this_host, compare=False)
    started: float = field(default=0.0, compare=False)

    def headline(self) -> str:
        """Return the state, the epochs and the steps."""
        of_steps = f", steps {self.step:,} of {self.steps:,}" if self.steps else ""
        return f"{self.state}: {self.epoch} of {self.epochs}{of_steps}" + f", {self.reason}" * bool(self.reason)

    @classmethod
    def from_fields(cls, fields: Fields) -> Status:
        """Return the status that `asdict` made; raises UnreadableError where it is none."""
        return cls(
            state=cast(State, fields.text("state", one_of=get_args(State))),
            epoch=fields.integer("epoch", at_least=0),
            epochs=fields.integer("epochs", at_least=0),
            reason=fields.text("reason", default=""),
            step=fields.integer("step", at_least=0) if "step" in fields else 0,
            steps=fields.integer("steps", at_least=0) if "steps" in fields else 0,
            pid=fields.integer("pid", at_least=0) if "pid" in fields else 0,
            host=fields.text("host", default=""),
            started=fields.number("started", at_least=0) if "started" in fields else 0.0,
        )


def write_status(path: Path, status: Status) -> None:
    """Write status.json, whole; raises WriteError where the disk refuses."""
    write_file(path, json.dumps(asdict(status), indent=2) + "\n")


def read_status(path: Path) -> Status | None:
    """Return what a status.json says; None where there is none, or none that can be read."""
    try:
        return Status.from_fields(read_json(path))
    except UnreadableError:
        return None


@dataclass(frozen=True, kw_only=True, repr=False)
class StepProgress(ShortRepr):
    """The progress within an epoch; `epoch` and `batch` count from 1. Of `steps` planned, `step` are done."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    step: int
    steps: int
    loss: float
    accuracy: float
    learning_rate: float
    images_per_second: float
    seconds_left: float

    def headline(self) -> str:
        """Return the place of the training."""
        return f"epoch {self.epoch} of {self.epochs}, step {self.step} of {self.steps}"

    @classmethod
    def from_fields(cls, fields: Fields) -> StepProgress:
        """Return the progress that `asdict` made, a loss of None as NaN; raises UnreadableError where it is none."""
        loss = fields.optional_number("loss")
        return cls(
            epoch=fields.integer("epoch", at_least=0),
            epochs=fields.integer("epochs", at_least=0),
            batch=fields.integer("batch", at_least=0),
            batches=fields.integer("batches", at_least=0),
            step=fields.integer("step", at_least=0),
            steps=fields.integer("steps", at_least=0),
            loss=math.nan if loss is None else loss,
            accuracy=fields.number("accuracy", at_least=0),
            learning_rate=fields.number("learning_rate", at_least=0),
            images_per_second=fields.number("images_per_second", at_least=0),
            seconds_left=fields.number("seconds_left", at_least=0),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class EpochRow(_Record):
    """One epoch's measures: a row of metrics.csv. Losses are without label smoothing and class
    weights, so they compare.

    `seconds` is the training time so far, interruptions left out; `data_wait` is the share of the epoch's training
    time in which batches were prepared. Validation is None where there is none. Where images have several labels,
    the training accuracy is the share of images with every label right, the validation accuracy the mean average
    precision.
    """

    epoch: int
    seconds: float
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float
    images_per_second: float
    data_wait: float
    best: bool
    multi_label: bool = False

    def headline(self) -> str:
        """Return the epoch, the losses and the accuracies."""
        measures = ("exact match", "mAP") if self.multi_label else ("accuracy", "accuracy")
        train = f"training loss {self.train_loss:.4g}, {measures[0]} {percent(self.train_accuracy)}"
        if self.val_loss is None or self.val_accuracy is None:
            return f"{self.epoch}: {train}"
        return f"{self.epoch}: {train}; validation loss {self.val_loss:.4g}, {measures[1]} {percent(self.val_accuracy)}"

    @classmethod
    def from_fields(cls, fields: Fields) -> EpochRow:
        """Return the row that `asdict` made; raises UnreadableError where it is none."""
        fields.require_only(*(item.name for item in dataclass_fields(cls)))
        return cls(
            epoch=fields.integer("epoch", at_least=0),
            seconds=fields.number("seconds", at_least=0),
            train_loss=fields.number("train_loss"),
            train_accuracy=fields.number("train_accuracy", at_least=0, at_most=1),
            val_loss=fields.optional_number("val_loss"),
            val_accuracy=fields.optional_number("val_accuracy"),
            learning_rate=fields.number("learning_rate", at_least=0),
            images_per_second=fields.number("images_per_second", at_least=0),
            data_wait=fields.number("data_wait"),
            best=fields.flag("best"),
            multi_label="multi_label" in fields and fields.flag("multi_label"),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class Message(_Record):
    """A sentence for the reader: a choice that was made, a warning, how the training ended."""

    text: str
    level: Level = "info"

    def headline(self) -> str:
        """Return the text."""
        return self.text

    @classmethod
    def from_fields(cls, fields: Fields) -> Message:
        """Return the message that `asdict` made; raises UnreadableError where it is none."""
        level = cast(Level, fields.text("level", default="info", one_of=get_args(Level)))
        return cls(text=fields.text("text"), level=level)


OnEpoch = Callable[[EpochRow], object]
"""A function of the caller that is given each epoch once it is written."""

Event = Message | EpochRow | Status
# The kinds of records, as a line of events.jsonl names them.
EVENTS: dict[type[Event], str] = {Message: "message", EpochRow: "epoch", Status: "state"}
_READERS: dict[str, Callable[[Fields], Event]] = {name: kind.from_fields for kind, name in EVENTS.items()}


def event_line(event: Event, *, time: float) -> str:
    """Return an event as a line of events.jsonl.

    >>> event_line(Message(text="data: digits"), time=1.5)
    '{"time": 1.5, "event": "message", "text": "data: digits", "level": "info"}\\n'
    """
    return json.dumps({"time": round(time, 3), **event.to_dict()}) + "\n"


def read_event(line: str) -> Event | None:
    """Return the event of a line of events.jsonl; None where it is none, such as a line that a power cut left.

    >>> read_event(event_line(Message(text="data: digits"), time=1.5)).text
    'data: digits'
    """
    try:
        values = dict(Fields.of(parse_json(line)).values)
        values.pop("time", None)
        return _READERS[str(values.pop("event", None))](Fields(values))
    except (UnreadableError, KeyError):
        return None


# metrics.csv: its header, and where each column comes from.
COLUMNS: tuple[tuple[str, str], ...] = (
    ("epoch", "epoch"),
    ("time", "seconds"),
    ("train/loss", "train_loss"),
    ("train/accuracy_top1", "train_accuracy"),
    ("val/loss", "val_loss"),
    ("val/accuracy_top1", "val_accuracy"),
    ("lr", "learning_rate"),
    ("images_per_second", "images_per_second"),
    ("data_wait", "data_wait"),
    ("best", "best"),
)


# What the accuracies are where images have several labels.
_OF_SEVERAL = {"train/accuracy_top1": "train/exact_match", "val/accuracy_top1": "val/mean_average_precision"}


def header(*, multi_label: bool) -> list[str]:
    """Return the names of the columns of metrics.csv."""
    return [_OF_SEVERAL.get(name, name) if multi_label else name for name, _ in COLUMNS]


def table_row(row: EpochRow) -> list[str]:
    """Return a row of metrics.csv; what is not known is left empty."""
    cells = []
    for _, name in COLUMNS:
        value = getattr(row, name)
        cells.append("" if value is None else f"{value:.6g}" if isinstance(value, float) else str(int(value)))
    return cells


class Listener(Protocol):
    """Shows a training, or a series of trainings, as it happens."""

    def notify(self, line: str) -> None:
        """Show a sentence for the reader."""

    def warn(self, line: str) -> None:
        """Show a sentence that the reader should not miss."""

    def progressed(self, done: int, total: int, what: str) -> None:
        """Show how far work other than training is, such as decoding."""

    def stepped(self, step: StepProgress) -> None:
        """Show how far an epoch is; called a few times a second."""

    def epoch_ended(self, row: EpochRow) -> None:
        """Show an epoch that was trained and measured."""

    def moved(self, share: float, seconds_left: float | None) -> None:
        """Show the share of a series of trainings that is done, and the estimated time left."""


class Silent:
    """A listener that shows nothing."""

    def notify(self, line: str) -> None:
        """Show nothing."""

    def warn(self, line: str) -> None:
        """Show it as any sentence is shown."""
        self.notify(line)

    def progressed(self, done: int, total: int, what: str) -> None:
        """Show nothing."""

    def stepped(self, step: StepProgress) -> None:
        """Show nothing."""

    def epoch_ended(self, row: EpochRow) -> None:
        """Show nothing."""

    def moved(self, share: float, seconds_left: float | None) -> None:
        """Show nothing."""
