"""Go on with a run from its newest checkpoint, with more epochs, steps or minutes where these are asked for."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

from convscope.data.open import Probe
from convscope.errors import RunError
from convscope.hardware.device import require_threads, usable_device
from convscope.nets.own_code import source_of
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import to_toml
from convscope.recipe.setting import AUTO, SettingValue
from convscope.report.units import plural
from convscope.report.usage import settings_text
from convscope.runs.atomic_files import write_file
from convscope.runs.events import Listener, OnEpoch
from convscope.runs.run_directory import Run
from convscope.training.added_minutes import add_minutes
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.finish import is_finished
from convscope.training.fit_job import network_to_resume, stopping_at_interrupts, train_job
from convscope.training.interrupt import StopRequest
from convscope.training.job import Job
from convscope.training.loop.loop import patience_is_over
from convscope.training.new_run import locked, write_split
from convscope.training.opening import Opening
from convscope.training.outcome import Outcome
from convscope.training.resolve.machine import emulation
from convscope.training.restored_state import damage_of_weights, record_plan, restore
from convscope.training.session import prepare
from convscope.training.solved_head import is_to_solve
from convscope.training.time_left import forecast_time_left

# What a resumed run may change; anything else would make it another run.
CHANGEABLE = ("minutes", "epochs", "steps", "patience", "threads", "device", "compile")
# Of these, those that say how many steps the run has in all.
LENGTHS = ("steps", "epochs")


def resume_run(
    group: ProcessGroup,
    run: Run,
    changes: dict[str, SettingValue],
    given: Probe | None,
    *,
    listener: Listener,
    cache_directory: Path | None,
    on_epoch: OnEpoch | None,
    request: StopRequest | None = None,
    began: float | None = None,
) -> Outcome:
    """Go on with a run; arguments and errors as of `train_run.train_on`, in the processes of a group."""
    began = time.monotonic() if began is None else began
    changes, minutes = _minutes_apart(changes)
    # At once, so that a run that another process trains is refused before an image is read.
    with locked(run, group):
        run.require_code()
        recipe = _recipe_to_resume(run, changes)
        instead = _instead_of_cudas(recipe)
        session = prepare(
            recipe.changed(instead),
            Opening(
                listener=listener,
                cache_directory=cache_directory,
                group=group,
                # The temperature is that of weights that are there: `write_best` removes it together with them.
                resumed=run.spec().of_training,
                given=given,
                solves=True,
            ),
        )
        if session.spec.code and not run.trust_code:  # its files may differ now from those of its beginning
            session = replace(session, spec=replace(session.spec, source=source_of(session.spec.code)))
        with session.computing(), stopping_at_interrupts(run, listener, group, request) as request:
            job = Job.of(run, session, network_to_resume(run, session), listener, group, on_epoch)
            job.cache_directory, job.began = cache_directory, began
            job.kept_settings = {name: getattr(recipe, name) for name in instead}
            damage = damage_of_weights(run) if os.path.lexists(run.weights) else ""
            asked = next((name for name in LENGTHS if name in changes), "")
            restore(job, asked_now=bool(asked))
            if damage and job.state.best is not None:
                job.warn(f"{run.weights.name} is damaged: it is written anew from the checkpoint")
            unfinished = _plan_length(job, asked=asked, minutes=minutes, began=began)
            if group.first:
                write_file(run.recipe_path, to_toml(job.lasting_recipe))
                if session.spec.source != run.spec().source:
                    run.write_spec(session.spec)
                if not run.split_path.exists():
                    write_split(run, session.dataset)
            job.notices([notice for notice in session.notices if notice.topic == "memory"])
            # The run may be from a machine that has it.
            for line in emulation(job.resolved.mode.precision, job.resolved.device):
                job.warn(line)
            epochs = job.plan.epochs
            if unfinished and not damage and not minutes:
                job.notify(f"{run} has all of its {plural(epochs, 'epoch')}, but was stopped before it was measured")
            job.notify(f"resuming {run} after epoch {job.state.epoch} of {epochs}")
            forecast_time_left(job, began=began)
            return train_job(job, request)


def _minutes_apart(changes: dict[str, SettingValue]) -> tuple[dict[str, SettingValue], float]:
    """Return the other changes, and the minutes to add: these are no part of a run's recipe, which has its steps."""
    others = {name: value for name, value in changes.items() if name != "minutes"}
    minutes = changes.get("minutes", AUTO)
    if minutes in (AUTO, 0):
        return others, 0.0
    if length := sorted(others.keys() & {*LENGTHS}):
        raise RunError(f"minutes {minutes:g} and {length[0]} contradict each other: leave one of them out")
    return others, float(minutes)


def _recipe_to_resume(run: Run, changes: dict[str, SettingValue]) -> Recipe:
    """Return the run's recipe with the changes; raises RunError where it can't be resumed with them."""
    recipe = run.recipe()
    if run.spec().members is not None:
        raise RunError(
            f"{run} is an ensemble: resume it with convscope.train_ensemble, or name one of its members here"
        )
    if fixed := sorted(name for name in changes if name not in CHANGEABLE):
        raise RunError(
            f"{fixed[0]} can't change when a run is resumed, only {', '.join(CHANGEABLE)}: start a new run instead"
        )
    # Whichever of the two is given says how long the run is.
    other = {"epochs": "steps", "steps": "epochs"}
    length = {other[name]: AUTO for name in other.keys() & changes.keys() if other[name] not in changes}
    if recipe.steps != AUTO and "epochs" not in changes:
        length["epochs"] = AUTO  # those of its steps, by the images that are there now: `restore` refuses other ones
    recipe = recipe.changed({**length, **changes, "model": run.spec().code or recipe.model})
    if "threads" in changes:  # a run of a larger machine is resumed as it is
        require_threads(recipe.threads)
    return recipe


def _instead_of_cudas(recipe: Recipe) -> dict[str, SettingValue]:
    """Return the settings with which a run goes on without CUDA, for those that CUDA alone computes.

    >>> _instead_of_cudas(Recipe(device="cpu", precision="tf32", compile="graphs"))
    {'precision': 'fp32', 'compile': 'no'}
    >>> _instead_of_cudas(Recipe(device="cpu", precision="bf16"))
    {}
    """
    of_cuda = {"precision": ("tf32", "fp32"), "compile": ("graphs", "no")}
    instead: dict[str, SettingValue] = {
        name: other for name, (own, other) in of_cuda.items() if getattr(recipe, name) == own
    }
    return {} if not instead or usable_device(recipe.device) == "cuda" else instead


def _has_all_epochs_alone(job: Job) -> bool:
    """Return whether all epochs are trained, but the weights or the report of them are not written."""
    best = job.state.best
    return job.state.epoch >= job.plan.epochs and best is not None and not is_finished(job.run, best.measures)


def _plan_length(job: Job, *, asked: str, minutes: float, began: float) -> bool:
    """Plan a restored job for the epochs, steps or minutes that were asked for, and record the plan.

    Returns whether all epochs are trained, and only their last files are missing.

    Raises:
        RunError: nothing would be trained.
    """
    if asked or minutes:
        _require_patience(job)
    unfinished = job.group.decided(lambda: _has_all_epochs_alone(job))
    if minutes:
        add_minutes(job, minutes, began=began)
    elif asked or not (unfinished or is_to_solve(job)):
        _require_epochs_to_go(job, asked=asked)
    if asked or minutes:
        record_plan(job)
    return unfinished


def _require_patience(job: Job) -> None:
    """Raise RunError where the patience of a run that is to train longer is over: it would end at once."""
    patience, best = job.resolved.patience, job.state.best
    if best is not None and patience_is_over(job.state, patience):
        without = job.state.epoch - best.epoch
        raise RunError(
            f"patience {patience}: {job.run} has no better validation since {plural(without, 'epoch')}, and would end "
            f"at once: give {settings_text(patience=0)} as well, or more than {without}"
        )


def _require_epochs_to_go(job: Job, *, asked: str) -> None:
    """Raise RunError where as many epochs are trained as are wanted, or were now `asked` for, as epochs or as steps."""
    trained, wanted = job.state.epoch, job.plan.epochs
    if trained < wanted:
        return
    if asked == "steps":
        # The next epoch begins at its own number of steps, also where the last one was cut short.
        raise RunError(
            f"steps {job.plan.steps:,}: {job.run} has {plural(trained, 'epoch')} of {plural(job.epoch_steps, 'step')} "
            f"trained already, give more than {trained * job.epoch_steps:,}"
        )
    if asked:
        raise RunError(
            f"epochs {wanted}: {job.run} has {plural(trained, 'epoch')} trained already, give more than {trained}"
        )
    raise RunError(
        f"{job.run} has all of its {plural(wanted, 'epoch')}: "
        f"add some with {settings_text(recipe={'epochs': wanted + 10})}"
    )
