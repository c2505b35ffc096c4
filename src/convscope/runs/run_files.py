"""The files of a run directory: where each is, and how a training writes it.

    recipe.toml  model.json  weights.safetensors  checkpoint/  metrics.csv  report.html  log.txt  events.jsonl
    status.json  live/  scores.json  [split.csv]  [code/]

They are all that predict, explain, export and serve need, and all that a reader wants to see. A run is never
overwritten: a new one takes the next free name.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.errors import RunError
from convscope.files.regular import UnreadableError, append_bytes, read_bytes, refused_as
from convscope.report.csv_table import csv_text
from convscope.report.json_values import json_dict, json_text
from convscope.report.printable import printable
from convscope.report.short_repr import ShortRepr
from convscope.runs.atomic_files import WriteError, make_folder, remove_left_over, write_file
from convscope.runs.events import Event, Level, Message, Status, event_line, read_status, write_status
from convscope.runs.kept_code import write_code
from convscope.runs.layer_norms import NormSample, norm_line, norms_at
from convscope.runs.live_files import LiveFiles
from convscope.runs.lock import locked
from convscope.runs.model_spec import NAME, ModelSpec
from convscope.runs.runs_in_folder import CHECKPOINTS

if TYPE_CHECKING:
    from torch import Tensor

SCORES_FORMAT = 1
_RECORDING = threading.Lock()
# Names of files and checkpoints while they are written or removed.
LEFT_OVER = re.compile(
    r"\.(?:tmp|old)-(?:[a-z]+\.(?:toml|json|jsonl|csv|html|py|bin|safetensors)|look-step-\d+\.html"
    r"|pause|stop|watched|step-\d{9})-\d+"
)


@dataclass(frozen=True, repr=False)
class RunFiles(ShortRepr):
    """The files of a run directory, of which every one has a property here.

    Args:
        path: of the directory.
    """

    path: Path

    @property
    def report(self) -> Path:
        """The page that shows the run."""
        return self.path / "report.html"

    @property
    def weights(self) -> Path:
        """The best weights."""
        return self.path / "weights.safetensors"

    @property
    def checkpoints(self) -> Path:
        """The folder of what is needed to go on."""
        return self.path / CHECKPOINTS

    @property
    def recipe_path(self) -> Path:
        """The settings."""
        return self.path / "recipe.toml"

    @property
    def spec_path(self) -> Path:
        """The architecture, classes and preprocessing."""
        return self.path / NAME

    @property
    def code_path(self) -> Path:
        """A copy of the code of the network, where that is the user's own. It is data: nothing imports it by itself."""
        return self.path / "code"

    @property
    def metrics_path(self) -> Path:
        """A row an epoch."""
        return self.path / "metrics.csv"

    @property
    def log_path(self) -> Path:
        """The messages, with the time."""
        return self.path / "log.txt"

    @property
    def split_path(self) -> Path:
        """Which image went where, when the split was made here."""
        return self.path / "split.csv"

    @property
    def status_path(self) -> Path:
        """How far the training is, or how it ended."""
        return self.path / "status.json"

    @property
    def events_path(self) -> Path:
        """The events, a JSON record a line."""
        return self.path / "events.jsonl"

    @property
    def scores_path(self) -> Path:
        """The scores of the best weights, by class, once they were measured."""
        return self.path / "scores.json"

    @property
    def live(self) -> LiveFiles:
        """What a training shows of itself while it runs, and what it is asked for."""
        return LiveFiles(self.path)

    @property
    def norms_path(self) -> Path:
        """The norms of each layer's outputs and gradients at some steps, a JSON record a line."""
        return self.live.folder / "norms.jsonl"

    def add_norms(self, samples: Iterable[NormSample]) -> None:
        """Add samples to the norms; raises WriteError where the disk refuses."""
        make_folder(self.norms_path.parent)
        self._append(self.norms_path, "".join(map(norm_line, samples)))

    def cut_norms(self, epoch: float) -> None:
        """Remove the samples from an epoch on, and a line that was cut off; raises WriteError where the disk refuses.

        A process that was killed leaves those of an epoch that the next one trains again.
        """
        if not os.path.lexists(self.norms_path):
            return
        try:
            kept = [sample for sample in norms_at(self.norms_path) if sample.epoch < epoch]
        except RunError:
            kept = []
        write_file(self.norms_path, "".join(map(norm_line, kept)))

    def write_status(self, status: Status) -> None:
        """Write status.json, whole, and an event where the state changed, or a new training began.

        Raises:
            WriteError: the disk refuses.
        """
        before = read_status(self.status_path)
        write_status(self.status_path, status)
        kept = ("state", "pid", "started")
        if before is None or any(getattr(before, name) != getattr(status, name) for name in kept):
            self.record(status)

    def write_spec(self, spec: ModelSpec) -> None:
        """Write model.json, and beside it the code of the network where the spec has its text."""
        if spec.source is not None and spec.source.text:
            write_code(self.code_path, spec.source)
        write_file(self.spec_path, json.dumps(spec.to_dict(), indent=2) + "\n")

    def write_weights(self, weights: Mapping[str, Tensor], measures: Mapping[str, object]) -> None:
        """Write the best weights, and in the same file how good they are: epoch, accuracy, loss."""
        from convscope.runs.tensor_files import sealed_bytes

        write_file(self.weights, sealed_bytes(weights, note=json.dumps(measures)))

    def write_scores(self, scores: Mapping[str, Any] | None) -> None:
        """Write the scores of the best weights, or remove those of earlier weights; raises WriteError."""
        if scores is None:
            with suppress(OSError):
                self.scores_path.unlink(missing_ok=True)
            return
        write_file(self.scores_path, json_text(json_dict({"format": SCORES_FORMAT, **scores})) + "\n")

    def write_table(self, path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write a CSV file, whole."""
        write_file(path, csv_text(header, rows))

    def log(self, line: str, *, level: Level = "info", event: Event | None = None) -> None:
        """Add a line to log.txt and an event to events.jsonl, the line as a message unless another is given.

        Raises:
            WriteError: the disk refuses.
        """
        self._append(self.log_path, f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {printable(line)}\n")
        self.record(event or Message(text=line, level=level))

    def record(self, event: Event) -> None:
        """Add an event to events.jsonl, with the time; raises WriteError where the disk refuses."""
        with _RECORDING:  # a message may come from another thread, and the times are in order
            self._append(self.events_path, event_line(event, time=time.time()))

    def _append(self, path: Path, lines: str) -> None:
        with refused_as(WriteError, f"{path} can't be written"):
            append_bytes(path, lines.encode("utf-8", "backslashreplace"))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process from training in this directory meanwhile; raises RunError where one does.

        Temporary files that a killed process left here are removed: while the lock is held, no other process writes.
        """
        with locked(self.path) as held:
            if held:
                for folder in (self.path, self.checkpoints, self.live.folder):
                    remove_left_over(folder, LEFT_OVER)
                self._end_last_event()
            yield

    def _end_last_event(self) -> None:
        """End the last line of events.jsonl, which a power cut or a full disk may have left without its end."""
        with suppress(UnreadableError):
            written = read_bytes(self.events_path)
            if written and not written.endswith(b"\n"):
                self._append(self.events_path, "\n")
