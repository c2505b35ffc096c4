"""The state of a run that is resumed: its newest checkpoint, the plan of its steps, its best weights."""

from __future__ import annotations

from convscope.errors import RunError
from convscope.files.fields import Fields
from convscope.files.regular import refused_as
from convscope.report.printable import from_here
from convscope.report.usage import settings_text
from convscope.runs.checkpoint import (
    PLAN,
    load_checkpoint,
    load_optimizer,
    load_plan,
    save_plan,
)
from convscope.runs.progress import RunProgress
from convscope.runs.run_directory import Run
from convscope.runs.tensor_files import load_weights
from convscope.training.job import Job
from convscope.training.kept_state import bits_depend_on
from convscope.training.loop.state import (
    Best,
    first_plan,
    is_better,
)
from convscope.training.timing.step_plan import StepPlan


def restore(job: Job, *, as_recorded: bool = False, asked_now: bool = False) -> None:
    """Put the newest checkpoint into the job's state; a run that was stopped before its first starts over.

    The plan of the steps is the one recorded beside the checkpoint, or the checkpoint's own, unless the recipe has
    another number of steps and it is not to be taken `as_recorded`: then that was asked for since. A number that the
    plan had before it was changed is another one where it was `asked_now`; else recipe.toml was written before the
    change.
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
        plans = [] if progress.plan is None else [StepPlan.from_fields(Fields(progress.plan, "plan."))]
    with refused_as(RunError, job.run.checkpoints / PLAN):
        if (later := load_plan(job.run.checkpoints, step=progress.step)) is not None:
            plans.insert(0, StepPlan.from_fields(later))
    depended = progress.bits_depend_on
    if progress.data != job.data_hash:
        raise RunError(f"the images of {job.dataset.source} have changed since {job.run} was trained: start a new run")
    if depended != (here := bits_depend_on(job)):
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
    asked = first_plan(job.resolved, job.epoch_steps).steps
    state.plan = None
    # A command that was killed as it began has recorded its plan, and not yet its recipe: then the checkpoint's counts.
    for plan in (plan.in_epochs_of(job.epoch_steps) for plan in plans):
        if as_recorded or asked in ({plan.steps} if asked_now else {piece.steps for piece in plan.pieces}):
            state.plan = plan
            break
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
