"""The Train room: sets, recipes, runs and the trainings started here, as the endpoints ask for them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convscope.recipe.recipe import Recipe
from convscope.runs.live_files import LiveRequest
from convscope.runs.live_view import LiveView
from convscope.runs.run_directory import Run
from convscope.studio.protocol import StudioError
from convscope.studio.trainings.comparison import MOST_RUNS, compared
from convscope.studio.trainings.data_sets import DataSets
from convscope.studio.trainings.launches import Launch, Launches
from convscope.studio.trainings.recipe_fields import preset_rows, recipe_fields, recipe_of
from convscope.studio.trainings.run_events import RunWatcher
from convscope.studio.trainings.run_records import files_stamp, record_of, report_of, summary_of
from convscope.studio.trainings.run_state import RunState, is_there, state_of, with_death
from convscope.studio.trainings.run_table import LARGEST_REPORT, RunTable, bytes_of


class TrainRoom:
    """Everything behind the endpoints of Train; its methods read files, and are called in threads.

    Args:
        runs: the runs folder.
        roots: folders whose data sets may be chosen.
        cache: of decoded images; None: the usual one.
    """

    def __init__(self, runs: Path, roots: tuple[Path, ...] = (), cache: Path | None = None) -> None:
        self.runs = RunTable(runs)
        self.sets = DataSets(roots)
        self.cache = cache
        self._launches: Launches | None = None
        self._making = threading.Lock()  # two tabs may begin at once
        self._summaries: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {}

    @property
    def launches(self) -> Launches:
        """The trainings that were started here."""
        with self._making:
            if self._launches is None:  # its folder is made when the first one is
                self._launches = Launches(self.runs.root, self.cache)
            return self._launches

    @property
    def running(self) -> int:
        """How many of the trainings started here run."""
        return 0 if self._launches is None else self._launches.running

    def close(self) -> None:
        """Remove temporary files; trainings go on."""
        if self._launches is not None:
            self._launches.close()

    def options(self) -> dict[str, Any]:
        """Return the sets, the fields of a recipe, the presets, and the runs whose weights may be taken."""
        return {
            "sets": [each.to_dict() for each in self.sets.listed()],
            "fields": recipe_fields(),
            "recipes": preset_rows(),
            "weights": sorted(self._weights()),
        }

    def recipe(self, chosen: str, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a form on the data set of this id; raises StudioError for what can't be."""
        source = self.sets.find(chosen).source
        return recipe_of(values, data=source, weights=self._weights())

    def recipe_file(self, chosen: str, values: Mapping[str, Any], tab: str) -> Path:
        """Write a form's recipe for a forecast, and return where."""
        return self.launches.recipe_file(self.recipe(chosen, values), f"forecast-{abs(hash(tab)):x}.toml")

    def start(self, chosen: str, values: Mapping[str, Any], name: str | None) -> str:
        """Start a training; returns the name of its run."""
        return self.launches.start(self.recipe(chosen, values), name).name

    def listed(self) -> dict[str, Any]:
        """Return a row for each run, and for each training that has no run directory yet."""
        rows = []
        launches = [] if self._launches is None else self._launches.all()
        waiting = [launch.to_dict() for launch in reversed(launches) if not launch.has_run]
        opening = {row["name"] for row in waiting}
        for name in self.runs.names():
            run = Run(self.runs.root / name)
            if name not in opening and is_there(run):
                rows.append(self._summary(run))
        return {"runs": [*waiting, *rows], "left_out": self.runs.unlinkable()}

    def _summary(self, run: Run) -> dict[str, Any]:
        """Return the row of a run, as it was read before where none of its files has changed and nothing trains it."""
        name, stamp = run.path.name, files_stamp(run)
        known = self._summaries.get(name)
        if known is not None and known[0] == stamp and not known[1]["alive"]:
            return known[1]
        found = summary_of(run, self.state(run))
        self._summaries[name] = stamp, found
        return found

    def record(self, name: str) -> dict[str, Any]:
        """Return everything of a run, or of a training that has no run directory yet."""
        if (launch := self._waiting(name)) is not None:
            return {**launch.to_dict(), "waiting": True}
        run = self.runs.find(name)
        found = {**record_of(run, self.state(run)), "waiting": False}
        launch = self._launch(name)
        return {**found, "started_here": launch is not None and launch.alive}

    def state(self, run: Run) -> RunState:
        """Return the state of a run, with what is known of why its process ended."""
        found = state_of(run)
        launch = self._launch(run.path.name)
        if found.alive or launch is None or launch.alive or not launch.has_run:
            return with_death(found, found.reason, run)
        return with_death(found, launch.why_ended() or found.reason, run)

    def watcher(self, name: str, after: str) -> RunWatcher:
        """Return what looks for news of a run."""
        run = self.runs.find(name)
        return RunWatcher(run, lambda: self.state(run), after=after)

    def is_waiting(self, name: str) -> bool:
        """Return whether a training has no run directory yet."""
        return self._waiting(name) is not None

    def view(self, name: str) -> LiveView:
        """Return what a training shows of itself, and note that it is being looked at."""
        run = self.runs.find(name)
        if state_of(run).alive:
            run.live.watch()
        found = run.live.read_view()
        if found is None:
            raise StudioError(f"{name} has no live view yet", "gone")
        return found

    def ask(self, name: str, what: LiveRequest) -> dict[str, Any]:
        """Ask a training to wait or to end; returns its state after."""
        launch = self._waiting(name)
        if launch is not None:
            if what == "pause":
                raise StudioError(f"{name} has no run yet: it can be paused once its first step is taken", "busy")
            self.launches.end(launch)
            return launch.to_dict()
        run = self.runs.find(name)
        found = self.state(run)
        if not found.alive:
            raise StudioError(f"{name} is not training: it is {found.state}", "gone")
        if what == "pause" and found.progress is not None and not found.progress.can_pause:
            raise StudioError(f"{name} trains in several processes, which are not paused: stop it, and resume it later")
        run.live.ask(what)
        if what == "stop":
            run.live.withdraw("pause")
        return self.state(run).to_dict()

    def go_on(self, name: str) -> dict[str, Any]:
        """Let a training go on that waits; returns its state after."""
        run = self.runs.find(name)
        run.live.withdraw("pause")
        return self.state(run).to_dict()

    def report(self, name: str) -> bytes:
        """Return the report of a run."""
        run = self.runs.find(name)
        return report_of(run, bytes_of(run, run.report, limit=LARGEST_REPORT))

    def compare(self, names: list[str]) -> dict[str, Any]:
        """Return several runs beside each other; raises StudioError for fewer than two, or too many."""
        names = list(dict.fromkeys(names))
        if not 2 <= len(names) <= MOST_RUNS:
            raise StudioError(f"{len(names)} runs: 2 to {MOST_RUNS} are compared", "range")
        return compared([self.record(name) for name in names])

    def _weights(self) -> dict[str, str]:
        """Return the runs whose weights a training may start from, by name: those of one network that have some."""
        return {
            name: str(self.runs.root / name)
            for name in self.runs.names()
            if (self.runs.root / name / "weights.safetensors").is_file()
        }

    def _launch(self, name: str) -> Launch | None:
        return None if self._launches is None else self._launches.of(name)

    def _waiting(self, name: str) -> Launch | None:
        """Return the training of this name that has no run directory; None where a run of the name is there."""
        launch = self._launch(name)
        return launch if launch is not None and not launch.has_run else None
