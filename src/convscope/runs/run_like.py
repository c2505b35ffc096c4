"""A run as a user has it: its path, that of a checkpoint in it, the name of a built-in one, itself, or an outcome."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from convscope.errors import RunError
from convscope.nets.own_code import is_own
from convscope.recipe.setting import SettingValue
from convscope.runs.built_in import find_built_in
from convscope.runs.run_directory import Run
from convscope.runs.runs_in_folder import CHECKPOINTS, named_runs, runs_in


@runtime_checkable
class HasRun(Protocol):
    """What belongs to a run: the outcome of a training, of an ensemble, an evaluation."""

    @property
    def run(self) -> Run:
        """The run directory."""
        ...


# A run as a user has it: its path, itself, or what training it returned.
RunLike: TypeAlias = str | os.PathLike[str] | Run | HasRun


def run_of(given: RunLike, *, model: str = "", trust_code: bool = False) -> Run:
    """Return the run that is given by its path, as it is, or by an outcome; raises RunError where there is none.

    The path of a checkpoint in a run, `RUN/checkpoint/step-000000042`, is the run with the weights of that checkpoint.
    A name of `convscope.runs.built_in` is that network's run, unless there is a path of this name.
    `model` and `trust_code` say what code may be run, as `Run` takes them; where neither does, a run's own do.
    """
    if model or trust_code:
        return _opened(replace(run_of(given), model=model, trust_code=trust_code))
    if isinstance(given, Run):
        return _opened(given)
    if isinstance(given, (str, os.PathLike)):
        path = Path(given)
        if (built_in := find_built_in(str(given))) is not None and not os.path.lexists(path):
            path = built_in.path
        if not names_checkpoint(path):
            return open_run(path)
        folder = path.absolute()
        return _opened(Run(folder.parent.parent, checkpoint=folder.name))
    found = getattr(given, "run", None)
    if not isinstance(found, Run):
        raise RunError(f"a {type(given).__name__} is no run: give its path, or what convscope.train returned")
    return run_of(found)


def run_to_resume(given: RunLike) -> Run:
    """Return the run that is to be resumed, as `run_of` does; raises RunError for one of its checkpoints.

    A run goes on from its newest checkpoint, and what it wrote after an older one would be lost.
    """
    found = run_of(given)
    if found.checkpoint:
        newest = replace(found, checkpoint="")
        raise RunError(f"{found} is a checkpoint: give the run, {newest}, which goes on from its newest one")
    return found


def names_checkpoint(path: Path) -> bool:
    """Return whether a path has the form RUN/checkpoint/step-N; the folder need not be there."""
    folder = path.absolute()
    return folder.parent.name == CHECKPOINTS and folder.name.startswith("step-")


def _opened(run: Run) -> Run:
    """Return a run after the checks of `open_run`, and that its checkpoint is there."""
    open_run(run.path, model=run.model, trust_code=run.trust_code)
    if run.checkpoint and not run.opened_path.is_dir():
        kept = sorted(path.name for path in run.checkpoints.glob("step-*"))
        there = f"; it has {' and '.join(kept)}" if kept else ", and no other"
        raise RunError(f"{replace(run, checkpoint='')} has no checkpoint {run.checkpoint}{there}")
    return run


def with_code(run: Run, changes: dict[str, SettingValue]) -> tuple[Run, dict[str, SettingValue]]:
    """Return the run with the code that its network is to be built from, where a change names it, and the rest."""
    model = str(changes.get("model", ""))
    if not is_own(model):
        return run, changes
    return replace(run, model=model, trust_code=False), {k: v for k, v in changes.items() if k != "model"}


def open_run(path: Path, *, model: str = "", trust_code: bool = False) -> Run:
    """Return an existing run, with what `Run` takes beside its path.

    Raises:
        RunError: there is none, and some are named; or it can't be used.
    """
    if not path.exists():
        runs = runs_in(Path("runs"))
        there = f" Runs here: {named_runs(runs)}"
        raise RunError(f"there is no run at {path}.{there if runs else ' `convscope train DATA` makes one'}")
    run = Run(path, model=model, trust_code=trust_code)
    if names_checkpoint(path):
        raise RunError(f"{path} is a checkpoint: give the run, {path.parent.parent}")
    run.require_spec()  # before anything else of the run is read
    return run
