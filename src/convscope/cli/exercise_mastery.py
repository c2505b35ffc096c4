"""The file with a learner's mastery: in the user's data folder, on this machine alone."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from convscope.cli.output import echo
from convscope.errors import RunError
from convscope.exercises.mastery import NEEDED, Mastery, Standing
from convscope.files.checked import read_json
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError
from convscope.runs.atomic_files import replace_file

FORMAT = 1
LARGEST_FILE = 2**20
_NAME = "exercises.json"


def data_directory() -> Path:
    """Return the folder of what is kept for the user: CONVSCOPE_DATA, or `convscope` in the user's data folder."""
    if chosen := os.environ.get("CONVSCOPE_DATA"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "convscope"
    base = os.environ.get("XDG_DATA_HOME")
    # The XDG specification has relative paths ignored.
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".local" / "share") / "convscope"


class MasteryFile:
    """The mastery as it was kept; where its file can't be read or written, one line says so, and nothing is kept."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self.mastery = Mastery()
        try:
            self.path = data_directory() / _NAME
            if os.path.lexists(self.path):
                self.mastery = _read(self.path)
        except (UnreadableError, OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
            self._give_up(error)

    def keep(self, name: str, seed: int, *, right: bool) -> Standing:
        """Keep the end of a draw, `right` within the tries that count or not, and return the standing after it."""
        self.mastery = self.mastery.after(name, seed, right=right)
        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(self.path, _text(self.mastery).encode())
            except (OSError, RunError) as error:
                self._give_up(error)
        return self.mastery.of(name)

    def _give_up(self, error: Exception) -> None:
        reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
        place = self.path or _NAME
        self.path = None
        said = reason if str(place) in reason else f"{place}: {reason}"
        echo(f"convscope: progress is not kept: {said}", err=True)


def _read(path: Path) -> Mastery:
    kept = read_json(path, limit=LARGEST_FILE)
    kept.require_format(FORMAT, remedy="delete it")
    exercises = kept.object("exercises")
    return Mastery({name: _standing(exercises.object(name)) for name in exercises.values})


def _standing(kept: Fields) -> Standing:
    in_a_row, seeds = kept.integer("in_a_row", at_least=0, at_most=NEEDED), kept.integers("seeds", at_least=0)
    return Standing(in_a_row, kept.flag("mastered"), seeds)


def _text(mastery: Mastery) -> str:
    exercises = {
        name: {"in_a_row": one.in_a_row, "mastered": one.mastered, "seeds": list(one.seeds)}
        for name, one in mastery.standings.items()
    }
    return json.dumps({"format": FORMAT, "exercises": exercises}, indent=1) + "\n"
