"""Trainings that this server has started: each is `convscope train` in a process of its own, as from a terminal.

The process outlives the server. Before it has its run directory, what it prints is all there is to see of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from convscope.errors import ConvscopeError
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import to_toml
from convscope.recipe.setting import AUTO
from convscope.runs.atomic_files import write_file
from convscope.runs.events import read_status
from convscope.runs.run_names import require_name, run_name
from convscope.studio.protocol import StudioError
from convscope.studio.trainings.child_process import end_all, killed_for_memory, last_lines, started, why_ended
from convscope.studio.trainings.run_table import is_linkable

MOST_AT_ONCE = 4
MOST_KEPT = 50  # trainings that ended before they had a run directory
LONGEST_NAME = 120
# Names that are tried where the asked one was taken by another process meanwhile.
TRIED = 20


@dataclass
class Launch:
    """A training that was started here.

    Args:
        name: of its run.
        process: of the training.
        output: what it prints.
        killed_before: processes that the system had ended for memory when it was started.
        began: in seconds since 1970.
        has_run: whether its run directory was seen.
    """

    name: str
    process: subprocess.Popen[bytes]
    output: Path
    killed_before: int
    began: float = field(default_factory=time.time)
    has_run: bool = False

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def last_line(self) -> str:
        """Return the last line that it printed."""
        lines = last_lines(self.output)
        return lines[-1].removeprefix("convscope: ") if lines else ""

    def why_ended(self) -> str:
        """Return why it ended, "" while it runs and where it ended well."""
        code = self.process.poll()
        return "" if code is None else why_ended(code, killed_before=self.killed_before)

    def to_dict(self) -> dict[str, Any]:
        """Return what the page is shown of a training without a run directory."""
        code, line = self.process.poll(), self.last_line()
        why = self.why_ended()
        # The last line of a command that refuses its input says everything.
        reason = line if code in (None, 2) else "; ".join(filter(None, (why, line)))
        return {
            "name": self.name,
            "state": "opening" if code is None else "failed",
            "alive": code is None,
            "reason": reason,
            "started": round(self.began, 3),
            "lines": last_lines(self.output)[-20:],
        }


class Launches:
    """Starts trainings, and knows those that it has started.

    Args:
        runs: the runs folder.
        cache: of decoded images; None: the usual one.

    Raises:
        StudioError: the disk refuses the temporary folder that recipes and outputs are in.
    """

    def __init__(self, runs: Path, cache: Path | None = None) -> None:
        self._runs, self._cache = runs.absolute(), cache
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="convscope-studio-"))
        except OSError as error:
            raise StudioError(f"no temporary folder can be made: {error.strerror or error}", "internal") from None
        self._launches: list[Launch] = []
        self._lock = threading.Lock()
        self._number = count(1)

    def start(self, recipe: Recipe, name: str | None = None) -> Launch:
        """Start a training of a recipe, under this name or the next free one.

        Raises:
            StudioError: too many run, the name can't be a run's, or the process can't be started.
        """
        with self._lock:
            if self.running >= MOST_AT_ONCE:
                raise StudioError(f"{self.running} trainings run already: stop one, or wait for its end", "busy")
            name = self._free_name(name or run_name(recipe.data, recipe.model).removesuffix(f"-{AUTO}"))
            number = next(self._number)
            output, recipe_file = self._folder / f"{number}.log", self.recipe_file(recipe, f"{number}.toml")
            words = ["train", "--recipe", str(recipe_file), f"--name={name}", f"--runs={self._runs}"]
            words += [f"--cache={self._cache}"] if self._cache is not None else []
            try:
                process = started(words, output)
            except OSError as error:
                raise StudioError(f"no process can be started: {error.strerror or error}", "internal") from None
            launch = Launch(name=name, process=process, output=output, killed_before=killed_for_memory())
            self._launches.append(launch)
            return launch

    def recipe_file(self, recipe: Recipe, name: str) -> Path:
        """Write a recipe where a process of ours reads it; raises StudioError where the disk refuses."""
        path = self._folder / name
        try:
            write_file(path, to_toml(recipe))
        except ConvscopeError as error:
            raise StudioError(str(error), "internal") from None
        return path

    @property
    def running(self) -> int:
        """How many of the trainings run."""
        return sum(launch.alive for launch in self._launches)

    def of(self, name: str) -> Launch | None:
        """Return the newest training that was started under this name."""
        return next((launch for launch in reversed(self.all()) if launch.name == name), None)

    def all(self) -> list[Launch]:
        """Return all trainings that were started here, the oldest first; each has the name that its run got."""
        with self._lock:
            for launch in self._launches:
                if not launch.has_run:
                    self._look_for_run(launch)
            without = [launch for launch in self._launches if not launch.has_run and not launch.alive]
            for old in without[:-MOST_KEPT]:
                self._launches.remove(old)
            return list(self._launches)

    def end(self, launch: Launch) -> None:
        """End a training at once, with all that it has started."""
        end_all(launch.process.pid)

    def close(self) -> None:
        """Remove what was written for the processes; those that run go on, and one that begins reads its recipe yet."""
        if not any(launch.alive and not launch.has_run for launch in self.all()):
            shutil.rmtree(self._folder, ignore_errors=True)

    def _free_name(self, name: str) -> str:
        """Return the name, or with a number after it, that neither a folder nor a training has."""
        try:
            require_name(name)
        except ConvscopeError as error:
            raise StudioError(str(error).partition(":")[0] + ": give the name of one folder", "data") from None
        if len(os.fsencode(name)) > LONGEST_NAME or not is_linkable(name):
            raise StudioError(f"the name of a run has at most {LONGEST_NAME} bytes", "range")
        taken = {launch.name for launch in self._launches if launch.alive or launch.has_run}
        for number in count(1):
            free = name if number == 1 else f"{name}-{number}"
            if free not in taken and not os.path.lexists(self._runs / free):
                return free
        raise AssertionError("unreachable: count() does not end")

    def _look_for_run(self, launch: Launch) -> None:
        """See whether a training has its run directory: another process may have taken the name, and it the next."""
        for number in range(1, TRIED):
            name = launch.name if number == 1 else f"{launch.name}-{number}"
            status = read_status(self._runs / name / "status.json")
            if status is not None and status.pid == launch.process.pid:
                launch.name, launch.has_run = name, True
                return
            if status is None and number > 1:
                return
