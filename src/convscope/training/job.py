"""A run while it trains: its parts, and how its state goes to the disk and comes back."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from convscope.arrays import Floats
from convscope.data.records import Dataset, ImageSet, Problem
from convscope.data.streamed import Streamed
from convscope.errors import RunError
from convscope.files.fields import Fields
from convscope.files.regular import refused_as
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import to_toml
from convscope.report.printable import from_here
from convscope.report.units import plural
from convscope.report.usage import settings_text
from convscope.runs.atomic_files import write_file
from convscope.runs.checkpoint import (
    PLAN,
    Checkpoint,
    load_checkpoint,
    load_optimizer,
    load_plan,
    optimizer_tensors,
    save_checkpoint,
    save_plan,
)
from convscope.runs.events import Listener, OnEpoch, State, Status, header, table_row
from convscope.runs.model_spec import ModelSpec
from convscope.runs.progress import RunProgress
from convscope.runs.run_directory import Run, short_name
from convscope.runs.tensor_files import load_weights
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.loop.state import (
    Best,
    Settings,
    TrainingState,
    first_plan,
    is_better,
    loop_settings,
    new_state,
)
from convscope.training.resolve.resolved_recipe import Notice, ResolvedRecipe
from convscope.training.session import Session
from convscope.training.timing.step_plan import StepPlan
from convscope.training.training_images import in_short

# A checkpoint is written at the end of an epoch, but not again within these seconds: epochs of small sets are short.
CHECKPOINT_EVERY_SECONDS = 10.0


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
        if self.resolved.recipe != self.recipe_written:
            write_file(self.run.recipe_path, to_toml(self.resolved.recipe))
        self.recipe_written = self.resolved.recipe

    @property
    def plan(self) -> StepPlan:
        """The plan of the steps as it is now."""
        return self.state.plan or first_plan(self.resolved, self.epoch_steps)

    @property
    def command_seconds(self) -> float | None:
        """The seconds since the command began."""
        return None if self.began is None else time.monotonic() - self.began

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


def keep_epoch(job: Job) -> None:
    """Write the row of an epoch, and at intervals the weights and the checkpoint; in one process only."""
    if not job.group.first:
        return
    job.follow_plan()
    # First, so that a disk that refuses one of the small files does not cost the epoch.
    job.unsaved = _checkpoint(job)
    row = job.state.rows[-1]
    names = header(multi_label=row.multi_label)
    job.run.log("  ".join(f"{name} {cell}" for name, cell in zip(names, table_row(row), strict=True)), event=row)
    notify_unreadable(job)
    keep_norms(job)
    write_metrics(job)
    job.write_status("training")
    if time.monotonic() - job.saved_at >= CHECKPOINT_EVERY_SECONDS:
        keep_reached(job)
    else:
        # The next epoch's steps change what the network and the optimizer hold, and it may be stopped in between.
        job.unsaved = job.unsaved.copied()


def keep_norms(job: Job) -> None:
    """Write the norms of layers that were measured since the last epoch; those of an unfinished epoch are replaced."""
    meter = job.state.norms
    if not job.norms_continued:
        job.run.cut_norms(job.state.epoch - 1)
        job.norms_continued = True
    if meter is not None and (samples := meter.read(job.epoch_steps)):
        job.run.add_norms(samples)


def keep_reached(job: Job) -> None:
    """Write the checkpoint of the last complete epoch, if that is not done yet, and the best weights so far."""
    # The checkpoint first: weights ahead of it are a run that nothing can go on with, or that would lose them again.
    if job.unsaved is not None:
        save_checkpoint(job.run.checkpoints, job.unsaved)
        job.saved_epoch, job.unsaved = job.unsaved.values["epoch"], None
        # After the checkpoint, which has the plan: a recipe ahead of it would be taken for another one's.
        job.write_recipe()
    if job.state.best is not None:
        write_best(job, job.state.best)
    job.saved_at = time.monotonic()


def write_best(job: Job, best: Best) -> None:
    """Write the best weights; what was chosen for others, a temperature or a threshold, is taken from the run first.

    In this order a process that is killed in between leaves weights without them, never weights with those of others.
    """
    run = job.run
    if run.measures_of_weights() != best.measures:
        try:
            found = run.spec()
        except RunError:  # removed or damaged meanwhile: no reason to lose a training
            found = None
        if found is None or found != found.of_training:
            run.write_spec(job.spec.of_training)
    run.write_weights(best.weights, best.measures)


def unreadable(train: ImageSet) -> tuple[Problem, ...]:
    """Return the images of a stream that this process could not read so far."""
    return train.images.problems if isinstance(train.images, Streamed) else ()


def notify_unreadable(job: Job) -> None:
    """Name the images of a stream that became unreadable since the last call: all in the log, a few to the listener."""
    found = unreadable(job.session.train)[job.unreadable_shown :]
    if not found or not job.group.first:
        return
    job.unreadable_shown += len(found)
    for problem in found:
        job.run.log(f"{problem.path}: {problem.reason}", level="warning")
    job.listener.warn(f"{plural(len(found), 'image')} can't be read: {in_short(found)}")


def write_metrics(job: Job) -> None:
    """Write metrics.csv: a row an epoch."""
    names = header(multi_label=job.dataset.multi_label)
    job.run.write_table(job.run.metrics_path, names, [table_row(row) for row in job.state.rows])


def _checkpoint(job: Job) -> Checkpoint:
    """Return a checkpoint of the state as it is at the end of an epoch; its tensors are the state's own."""
    state = job.state
    assert state.best is not None
    progress = RunProgress(
        step=state.step,
        epoch=state.epoch,
        seconds=state.seconds,
        best=state.best.measures,
        rows=tuple(state.rows),
        data=job.data_hash,
        bits_depend_on=_bits_depend_on(job),
        plan=job.plan.to_dict(),
    )
    return Checkpoint(
        model=state.network.state_dict(),
        best=state.best.weights,
        average={} if state.average is None else state.average.network.state_dict(),
        optimizer=optimizer_tensors(state.network, state.optimizer),
        values=progress.to_dict(),
    )


def restore(job: Job, *, as_recorded: bool = False) -> None:
    """Put the newest checkpoint into the job's state; a run that was stopped before its first starts over.

    The plan of the steps is the checkpoint's, unless the recipe has another number of steps and it is not to be taken
    `as_recorded`: then that was asked for since.
    """
    saved = load_checkpoint(job.run.checkpoints)
    # A run stopped within its first epoch has weights too, but no row of metrics: there is nothing to lose.
    if saved is None and job.run.weights.exists() and job.run.metrics_path.exists():
        raise RunError(
            f"{job.run} has weights but no checkpoint to go on from, and starting over would replace them: "
            f"start a new run with {settings_text(recipe=from_here(job.run.recipe_path))}"
        )
    if saved is None:
        job.notify(f"{job.run} has no checkpoint yet: it starts over")
        return
    state, where = job.state, str(job.run.checkpoints)
    with refused_as(RunError, where):
        progress = RunProgress.of(saved.values)
        plan = None if progress.plan is None else StepPlan.from_fields(Fields(progress.plan, "plan."))
    with refused_as(RunError, job.run.checkpoints / PLAN):
        if (later := load_plan(job.run.checkpoints, step=progress.step)) is not None:
            plan = StepPlan.from_fields(later)
    depended = progress.bits_depend_on
    if progress.data != job.data_hash:
        raise RunError(f"the images of {job.dataset.source} have changed since {job.run} was trained: start a new run")
    if depended != (here := _bits_depend_on(job)):
        differing = ", ".join(
            f"{name} {depended.get(name)} -> {here[name]}" for name in here if depended.get(name) != here[name]
        )
        job.warn(f"the result may differ in its last digits from an unbroken run's: {differing}")
        if depended.get("processes") != here["processes"]:
            job.warn(
                "the batches stay the same; dropout draws anew for the processes there are, and batch normalization "
                f"is over each one's share of a batch, unless {settings_text(sync_batchnorm=True)}"
            )
    load_weights(state.network, saved.model, where=where)
    if state.average is not None:
        load_weights(state.average.network, saved.average, where=where)
    load_optimizer(state.network, state.optimizer, saved.optimizer)
    state.epoch, state.step, state.seconds = progress.epoch, progress.step, progress.seconds
    job.saved_epoch, job.earlier_seconds = state.epoch, state.seconds
    if plan is not None:
        plan = plan.in_epochs_of(job.epoch_steps)
        asked = first_plan(job.resolved, job.epoch_steps).steps
        state.plan = plan if as_recorded or asked in {piece.steps for piece in plan.pieces} else None
    state.best = _kept_best(job, Best(weights=saved.best, **progress.best))
    state.rows = list(progress.rows)


def record_plan(job: Job) -> None:
    """Write the plan of a restored job beside its checkpoint: a run that is killed from now on is resumed by it.

    This goes before recipe.toml: of steps that no plan has, the plan is one piece.
    """
    if job.group.first and job.state.epoch:
        save_plan(job.run.checkpoints, step=job.state.step, plan=job.plan.to_dict())


def _kept_best(job: Job, saved: Best) -> Best:
    """Return the best weights of the checkpoint, or those of the run where they are from a later epoch, and better.

    They are later where the newest checkpoint can't be read, and training goes on from the one before.
    """
    run = job.run
    measures = run.measures_of_weights()
    if measures is None or measures["epoch"] <= saved.epoch:
        return saved
    if not is_better(measures["accuracy"], measures["loss"], saved):
        return saved
    try:
        return Best(weights=run.read_weights(), **measures)
    except RunError as error:
        job.warn(f"{error}: the best weights up to epoch {saved.epoch} are taken instead")
        return saved


def damage_of_weights(run: Run) -> str:
    """Return what is wrong with a run's best weights, missing or damaged; empty where they are whole."""
    try:
        run.read_weights()
    except RunError as error:
        return str(error)
    return ""


def _bits_depend_on(job: Job) -> dict[str, object]:
    """Return the software and settings that a result's last digits depend on."""
    resolved = job.resolved
    return {
        "torch": torch.__version__,
        "machine": platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "device": resolved.device,
        "processes": job.group.size,
        **asdict(resolved.mode),
    }
