"""What a training shows of itself while it runs, and what it is asked for: the files of `live/` in its run directory.

    live/progress.json  how far the training is, written at most twice a second
    live/view.bin       filters, feature maps and norms as they are now: see `live_view`
    live/norms.jsonl    norms at some steps of the whole training: see `layer_norms`
    live/pause          is there while the training is to wait between two steps
    live/stop           is there once the training is to end after the step that it is in
    live/watched        its time is that of the last look at the view

The last three are made by another process, and are empty. A training removes what is left of an earlier one.
"""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from convscope.errors import RunError
from convscope.files.checked import read_json
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError, read_bytes, refused_as
from convscope.report.short_repr import ShortRepr
from convscope.runs.atomic_files import WriteError, replace_file
from convscope.runs.events import StepProgress
from convscope.runs.live_view import LARGEST_VIEW, LiveView

LiveRequest = Literal["pause", "stop"]
Phase = Literal["training", "finishing"]
LARGEST_PROGRESS = 2**14
# A view is wanted by whoever looked at it within these seconds.
WATCHED_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True, repr=False)
class LiveProgress(ShortRepr):
    """How far a training is, and whether it waits.

    Args:
        time: when it was written, in seconds since 1970.
        phase: "training", or "finishing" while it is measured and its report is written.
        within: how far it is within its epoch.
        paused: whether it waits.
        can_pause: whether it heeds `live/pause`: one process alone does.
    """

    time: float
    phase: Phase
    within: StepProgress
    paused: bool = False
    can_pause: bool = True

    def headline(self) -> str:
        """Return the place of the training."""
        return self.within.headline()

    def to_dict(self) -> dict[str, Any]:
        """Return progress.json: all fields beside each other; a loss that is not finite is None."""
        within = asdict(self.within)
        own = {name: getattr(self, name) for name in ("time", "phase", "paused", "can_pause")}
        return {**own, **within, "loss": self.within.loss if math.isfinite(self.within.loss) else None}

    @classmethod
    def from_fields(cls, fields: Fields) -> LiveProgress:
        """Return the progress that `to_dict` made; raises UnreadableError where it is none."""
        return cls(
            time=fields.number("time", at_least=0),
            phase=cast(Phase, fields.text("phase", one_of=get_args(Phase))),
            within=StepProgress.from_fields(fields),
            paused=fields.flag("paused"),
            can_pause=fields.flag("can_pause"),
        )


@dataclass(frozen=True)
class LiveFiles:
    """The files of `live/` of a run directory.

    >>> import tempfile
    >>> files = LiveFiles(Path(tempfile.mkdtemp()))
    >>> files.ask("pause")
    >>> files.is_asked("pause"), files.is_asked("stop")
    (True, False)
    >>> files.withdraw("pause")
    >>> files.is_asked("pause")
    False
    """

    run: Path

    @property
    def folder(self) -> Path:
        """The folder itself."""
        return self.run / "live"

    @property
    def view_path(self) -> Path:
        """Filters, maps and norms as they are now."""
        return self.folder / "view.bin"

    @property
    def progress_path(self) -> Path:
        """How far the training is."""
        return self.folder / "progress.json"

    def ask(self, what: LiveRequest) -> None:
        """Ask the training to wait between two steps, or to end; raises WriteError where the disk refuses."""
        self._write(what, b"")

    def withdraw(self, what: LiveRequest) -> None:
        """Ask for it no more: a training that waits goes on."""
        with refused_as(WriteError, f"{self.folder / what} can't be removed"):
            try:
                (self.folder / what).unlink(missing_ok=True)
            except OSError as error:
                raise UnreadableError(error.strerror or str(error)) from None

    def is_asked(self, what: LiveRequest) -> bool:
        """Return whether the training is to wait, or to end."""
        return os.path.lexists(self.folder / what)

    def watch(self) -> None:
        """Note that the view is being looked at, so that the training writes it more often."""
        if self._seconds_since_look() > WATCHED_SECONDS / 3:
            with suppress(WriteError):
                self._write("watched", b"")

    @property
    def is_watched(self) -> bool:
        """Whether the view was looked at within the last seconds."""
        return self._seconds_since_look() < WATCHED_SECONDS

    def _seconds_since_look(self) -> float:
        try:
            return max(0.0, time.time() - (self.folder / "watched").lstat().st_mtime)
        except OSError:
            return math.inf

    def clear(self) -> None:
        """Remove what an earlier training was asked for and showed; its view stays, as a picture of the last step."""
        for name in ("pause", "stop", "progress.json"):
            with suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)

    def write_view(self, view: LiveView) -> None:
        """Write the view; raises WriteError where the disk refuses."""
        self._write(self.view_path.name, view.encoded())

    def read_view(self) -> LiveView | None:
        """Return the view; None where there is none. Raises RunError where the file is damaged."""
        if not os.path.lexists(self.view_path):
            return None
        with refused_as(RunError, "live/view.bin"):
            return LiveView.decoded(read_bytes(self.view_path, limit=LARGEST_VIEW))

    def write_progress(self, progress: LiveProgress) -> None:
        """Write how far the training is; raises WriteError where the disk refuses."""
        self._write(self.progress_path.name, json.dumps(progress.to_dict()).encode())

    def read_progress(self) -> LiveProgress | None:
        """Return how far the training is; None where that is not known."""
        try:
            return LiveProgress.from_fields(read_json(self.progress_path, limit=LARGEST_PROGRESS))
        except UnreadableError:
            return None

    def _write(self, name: str, content: bytes) -> None:
        try:
            replace_file(self.folder / name, content)
        except WriteError:
            if self.folder.is_dir() or not self.run.is_dir():
                raise
            with suppress(OSError):
                self.folder.mkdir()
            replace_file(self.folder / name, content)
