"""A run while it trains: its parts, and what of them it writes and says."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from torch import nn

from convscope.arrays import Floats
from convscope.data.records import Dataset
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import to_toml
from convscope.recipe.setting import SettingValue
from convscope.runs.atomic_files import write_file
from convscope.runs.checkpoint import (
    Checkpoint,
)
from convscope.runs.events import Listener, OnEpoch, State, Status
from convscope.runs.model_spec import ModelSpec
from convscope.runs.run_directory import Run
from convscope.runs.run_names import short_name
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.loop.state import (
    Settings,
    TrainingState,
    first_plan,
    loop_settings,
    new_state,
)
from convscope.training.resolve.resolved_recipe import Notice, ResolvedRecipe
from convscope.training.session import Session
from convscope.training.timing.pacer import Pacer
from convscope.training.timing.step_plan import StepPlan


@dataclass
class Job:
    """Everything that one call of `train` works with."""

    run: Run
    session: Session
    settings: Settings
    state: TrainingState
    listener: Listener
    group: ProcessGroup = field(default_factory=ProcessGroup)
    # The caller's function, which is given each epoch once it is written.
    on_epoch: OnEpoch | None = None
    started: float = field(default_factory=time.time)
    # Seconds of training before this command: of a run that is resumed.
    earlier_seconds: float = 0.0
    # What keeps the training within its time; None before it begins, and where no cost was measured.
    pacer: Pacer | None = None
    # When the command began, on the monotonic clock; None where that is unknown.
    began: float | None = None
    saved_at: float = -math.inf
    # The end of the last complete epoch, while that is not on the disk yet.
    unsaved: Checkpoint | None = None
    # The scores (N, classes) that a solved head gives the validation images.
    solved_scores: Floats | None = None
    # Where features are kept; None: the usual cache folder.
    cache_directory: Path | None = None
    # The epoch of the newest checkpoint on the disk.
    saved_epoch: int = 0
    # What recipe.toml holds.
    recipe_written: Recipe | None = None
    # Settings that recipe.toml keeps where this device computes by others: those of a GPU on which the run may go on.
    kept_settings: Mapping[str, SettingValue] = field(default_factory=dict)
    # How many unreadable images of a stream the user was notified of.
    unreadable_shown: int = 0
    # Whether the norms of an earlier process were cut at the epoch from which this one goes on.
    norms_continued: bool = False

    @classmethod
    def of(
        cls,
        run: Run,
        session: Session,
        network: nn.Module,
        listener: Listener,
        group: ProcessGroup,
        on_epoch: OnEpoch | None = None,
    ) -> Job:
        """Return the job that trains a network from its first epoch."""
        settings = loop_settings(session.resolved, session.spec, session.train)
        job = cls(run, session, settings, new_state(network, session.resolved), listener, group, on_epoch)
        job.recipe_written = session.recipe
        return job

    @property
    def resolved(self) -> ResolvedRecipe:
        """The recipe with nothing at auto."""
        return self.session.resolved

    @property
    def dataset(self) -> Dataset:
        """All images."""
        return self.session.dataset

    @property
    def spec(self) -> ModelSpec:
        """The network, and how images are prepared for it."""
        return self.session.spec

    @cached_property
    def data_hash(self) -> str:
        """A hash of which image is in which split with which label."""
        return hash_of(self.dataset)

    def notify(self, line: str) -> None:
        """Pass a line on to the listener and the log, in the process that writes."""
        if self.group.first:
            self.listener.notify(line)
            self.run.log(line)

    def warn(self, line: str) -> None:
        """Pass a warning on to the listener and the log, in the process that writes."""
        if self.group.first:
            self.listener.warn(line)
            self.run.log(line, level="warning")

    def notices(self, notices: Iterable[Notice]) -> None:
        """Pass on what was found while the training was opened."""
        for notice in notices:
            (self.warn if notice.level == "warning" else self.notify)(notice.text)

    @property
    def epoch_steps(self) -> int:
        """How many steps a whole epoch has."""
        return self.session.epoch_steps

    def write_recipe(self) -> None:
        """Write recipe.toml, where the plan was changed since it was written."""
        if self.lasting_recipe != self.recipe_written:
            write_file(self.run.recipe_path, to_toml(self.lasting_recipe))
        self.recipe_written = self.lasting_recipe

    @property
    def lasting_recipe(self) -> Recipe:
        """The recipe as recipe.toml has it, on whatever device the run goes on."""
        return self.resolved.recipe.changed(self.kept_settings)

    @property
    def plan(self) -> StepPlan:
        """The plan of the steps as it is now."""
        return self.state.plan or first_plan(self.resolved, self.epoch_steps)

    @property
    def command_seconds(self) -> float | None:
        """The seconds since the command began."""
        return None if self.began is None else time.monotonic() - self.began

    def leave_out(self, seconds: float) -> None:
        """Leave out seconds in which the training was paused, of the command's time and of its budget."""
        if self.began is not None:
            self.began += seconds
        if self.session.budget is not None:
            self.session = replace(self.session, budget=self.session.budget.later(seconds))

    @property
    def steps_done(self) -> int:
        """How many of the planned steps the complete epochs have."""
        return min(self.state.epoch * self.plan.epoch_steps, self.plan.steps)

    def follow_plan(self) -> None:
        """Put the number of steps and epochs of a plan that was changed into the recipe."""
        plan = self.plan
        if plan.steps != first_plan(self.resolved, self.epoch_steps).steps:
            resolved = self.resolved.changed(steps=plan.steps, epochs=plan.epochs)
            self.session = replace(self.session, resolved=resolved)

    def write_status(self, state: State, *, reason: str = "") -> None:
        """Write status.json; of several processes the first does."""
        if self.group.first:
            epoch, plan = self.state.epoch, self.plan
            self.run.write_status(
                Status(
                    state=state,
                    epoch=epoch,
                    epochs=plan.epochs,
                    step=self.steps_done,
                    steps=plan.steps,
                    reason=reason,
                    started=round(self.started, 3),
                )
            )


def hash_of(dataset: Dataset) -> str:
    """Return a hash of which image is in which split with which label."""
    digest = hashlib.sha256()
    for split, images in dataset.splits.items():
        names = (short_name(name, dataset) for name in images.names)
        rows = [[split, name, int(label)] for name, label in zip(names, images.labels, strict=True)]
        if images.targets is not None:
            digest.update(images.targets.tobytes())
        digest.update(json.dumps(rows).encode())
    return digest.hexdigest()
