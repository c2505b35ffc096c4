"""Train a run from a recipe to its report, or resume one from its newest checkpoint."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from convscope import __version__
from convscope.api.generators import OwnGenerators
from convscope.data.open import Probe
from convscope.errors import DataError, RunError
from convscope.hardware.allocator import prepare_memory
from convscope.hardware.device import require_threads
from convscope.nets.own_code import is_own, source_of
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import to_toml
from convscope.recipe.setting import AUTO, SettingValue
from convscope.report.printable import from_here
from convscope.report.units import plural
from convscope.report.usage import call_text, setting_name, settings_text
from convscope.runs.atomic_files import WriteError, write_file
from convscope.runs.checkpoint import saved_checkpoints
from convscope.runs.events import Listener, OnEpoch, Silent, State
from convscope.runs.run_directory import Run, RunLike, open_run, run_of, with_code
from convscope.training.added_minutes import add_minutes
from convscope.training.distributed.launch import joined
from convscope.training.distributed.process_group import PeersLostError, ProcessGroup
from convscope.training.distributed.shared_batch_norm import share_batch_norm
from convscope.training.finish import finish, finish_unwritten, is_finished
from convscope.training.interrupt import SAME_REQUEST_SECONDS, StopRequest, handling_interrupts
from convscope.training.job import Job, damage_of_weights, keep_epoch, keep_reached, record_plan, restore
from convscope.training.loop.loop import fit
from convscope.training.loop.nonfinite import DivergedError, advice_for
from convscope.training.opening import Opening
from convscope.training.outcome import Outcome
from convscope.training.resolve.memory import halved, no_memory, with_backoff
from convscope.training.session import Session, locked, new_run, prepare, write_split
from convscope.training.solved_head import is_to_solve, solve_head
from convscope.training.start import read_start, resumed_network
from convscope.training.time_left import forecast_time_left

NOTHING_KEPT = "no epoch was complete, so there are no weights to keep"
# What a resumed run may change; anything else would make it another run.
CHANGEABLE = ("minutes", "epochs", "steps", "patience", "threads", "device")
# The name under which torchrun's processes keep their run beyond a restart.
THE_RUN = "run"


def train_new(
    recipe: Recipe,
    *,
    listener: Listener,
    name: str | None,
    runs_directory: Path,
    cache_directory: Path | None,
    earlier: tuple[str, ...] = (),
    given: Probe | None = None,
    on_epoch: OnEpoch | None = None,
    request: StopRequest | None = None,
    began: float | None = None,
) -> Outcome:
    """Train `recipe.data` into a new run directory; an impossible recipe is refused before an image is read.

    `given` are the images where they are in memory. `earlier` are the classes of a run that this one belongs to: they
    are kept in its order. Processes that torchrun started train together: each is given its share of every batch, and
    the first one writes. Once torchrun has started them again, they resume the run that they trained. A
    `request` may be filled from another thread. The recipe's minutes are counted from `began`, on the monotonic clock;
    without it no recipe may have any.
    """
    with joined() as group:
        listener = listener if group.first else Silent()
        if at := group.remembered(THE_RUN):
            again = open_run(Path(at), model=recipe.model if is_own(recipe.model) else "")
            return _resume(
                group, again, {}, given, listener=listener, cache_directory=cache_directory, on_epoch=on_epoch
            )
        session = prepare(
            recipe,
            Opening(
                listener=listener,
                cache_directory=cache_directory,
                name=name,
                group=group,
                earlier=earlier,
                given=given,
                solves=True,
                began=began,
            ),
        )
        opened = new_run(session, runs_directory=runs_directory, spec=session.spec, group=group)
        with (
            opened as run,
            session.computing(),
            _handling_interrupts(run, listener, group, request) as request,
        ):
            network, of_weights = session.network()
            job = Job.of(run, session, network, listener, group, on_epoch)
            job.cache_directory, job.began = cache_directory, began
            if group.first:
                run.log(f"convscope {__version__}, torch {torch.__version__}, {platform.platform()}")
                run.log(f"memory: {prepare_memory().line}")
                group.remember(THE_RUN, str(run.path.resolve()))
            job.notices(session.notices)
            for line in (*of_weights, f"run: {run}"):
                job.notify(line)
            return _train(job, request)


def train_on(
    resume: RunLike,
    changes: dict[str, SettingValue],
    *,
    listener: Listener,
    cache_directory: Path | None,
    given: Probe | None = None,
    on_epoch: OnEpoch | None = None,
    request: StopRequest | None = None,
    began: float | None = None,
) -> Outcome:
    """Resume a run from its newest checkpoint, as if it had never stopped; `changes` may add epochs, steps or minutes.

    `given` are its images again, where they were in memory. Minutes are counted from `began`, or from now.
    """
    with joined() as group:
        listener = listener if group.first else Silent()
        run, changes = with_code(run_of(resume), changes)
        return _resume(
            group,
            run,
            changes,
            given,
            listener=listener,
            cache_directory=cache_directory,
            on_epoch=on_epoch,
            request=request,
            began=began,
        )


def _resume(
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
    began = time.monotonic() if began is None else began
    changes, minutes = _minutes_apart(changes)
    # At once, so that a run that another process trains is refused before an image is read.
    with locked(run, group):
        run.require_code()
        recipe = _recipe_to_resume(run, changes)
        session = prepare(
            recipe,
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
        with session.computing(), _handling_interrupts(run, listener, group, request) as request:
            job = Job.of(run, session, _network_to_resume(run, session), listener, group, on_epoch)
            job.cache_directory, job.began = cache_directory, began
            damage = damage_of_weights(run) if os.path.lexists(run.weights) else ""
            restore(job)
            if damage and job.state.best is not None:
                job.warn(f"{run.weights.name} is damaged: it is written anew from the checkpoint")
            unfinished = group.decided(lambda: _has_all_epochs_alone(job))
            if minutes:
                add_minutes(job, minutes, began=began)
                record_plan(job)
            elif not (unfinished or is_to_solve(job)) or changes.keys() & {"epochs", "steps"}:
                _require_epochs_to_go(job, asked="epochs" in changes)
            if group.first:
                write_file(run.recipe_path, to_toml(job.session.recipe))
                if session.spec.source != run.spec().source:
                    run.write_spec(session.spec)
                if not run.split_path.exists():
                    write_split(run, session.dataset)
            job.notices([notice for notice in session.notices if notice.topic == "memory"])
            epochs = job.plan.epochs
            if unfinished and not damage and not minutes:
                job.notify(f"{run} has all of its {plural(epochs, 'epoch')}, but was stopped before it was measured")
            job.notify(f"resuming {run} after epoch {job.state.epoch} of {epochs}")
            forecast_time_left(job, began=began)
            return _train(job, request)


def _minutes_apart(changes: dict[str, SettingValue]) -> tuple[dict[str, SettingValue], float]:
    """Return the other changes, and the minutes to add: these are no part of a run's recipe, which has its steps."""
    others = {name: value for name, value in changes.items() if name != "minutes"}
    minutes = changes.get("minutes", AUTO)
    if minutes in (AUTO, 0):
        return others, 0.0
    if length := sorted(others.keys() & {"epochs", "steps"}):
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
    recipe = recipe.changed({**length, **changes, "model": run.spec().code or recipe.model})
    if "threads" in changes:  # a run of a larger machine is resumed as it is
        require_threads(recipe.threads)
    return recipe


def _has_all_epochs_alone(job: Job) -> bool:
    """Return whether all epochs are trained, but the weights or the report of them are not written."""
    best = job.state.best
    return job.state.epoch >= job.plan.epochs and best is not None and not is_finished(job.run, best.measures)


def _require_epochs_to_go(job: Job, *, asked: bool) -> None:
    """Raise RunError where as many epochs are trained as are wanted, or were now asked for."""
    trained, wanted = job.state.epoch, job.plan.epochs
    if trained < wanted:
        return
    if asked:
        raise RunError(
            f"epochs {wanted}: {job.run} has {plural(trained, 'epoch')} trained already, give more than {trained}"
        )
    raise RunError(
        f"{job.run} has all of its {plural(wanted, 'epoch')}: "
        f"add some with {settings_text(recipe={'epochs': wanted + 10})}"
    )


def _train(job: Job, request: StopRequest) -> Outcome:
    """Train, and keep status.json true: it says "training" from here on, and how that ended."""
    job.write_status("training")
    try:
        return _fit_and_finish(job, request)
    except BaseException as error:
        status = job.run.status()
        if status is not None and status.state == "training":
            with suppress(WriteError):
                ended: State = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
                job.write_status(ended, reason=str(error))
        raise


def _fit_and_finish(job: Job, request: StopRequest) -> Outcome:
    """Fit, then write everything; what was reached is kept however it ends.

    A batch that does not fit the memory is halved, and training goes on from the newest checkpoint or starts over.
    """

    def attempt(job: Job) -> tuple[Job, str]:
        with _keeping_what_fits(job):
            return job, _fit(job, request)

    job, ending = with_backoff(job, attempt, _with_half_the_batch)
    if ending == "stopped" and not job.group.total(torch.tensor([float(request.called)])).item():
        ending = "interrupted"
    reason = f"on_epoch raised {type(request.error).__name__}: {request.error}" if request.error else ""
    with _keeping_what_fits(job):
        outcome = finish(job, ending, request, reason=reason)
    request.raise_error(f"the run {job.run} is kept as of epoch {job.state.epoch}, and can be resumed")
    return outcome


@contextmanager
def _keeping_what_fits(job: Job) -> Iterator[None]:
    """Write what still fits if the disk refuses a file, and raise WriteError with the files kept."""
    try:
        yield
    except WriteError as error:
        raise WriteError(finish_unwritten(job, error)) from error


def _with_half_the_batch(job: Job, refused: str) -> Job:
    """Return the job with half the batch, from its newest checkpoint or from the start."""
    try:
        if job.group.size > 1:
            raise no_memory(job.resolved, remedy=f"lower {setting_name('batch_size')}")
        resolved, notice = halved(job.resolved)
    except RunError as error:
        _log(job, str(error))
        raise
    job.notices([notice])
    job.state.optimizer.zero_grad(set_to_none=True)
    job.state.optimizer.state.clear()
    if resolved.device == "cuda":
        torch.cuda.empty_cache()
    keep_reached(job)
    costs = job.session.costs
    session = replace(job.session, resolved=resolved, costs=None if costs is None else costs.times(0.5))
    smaller = Job.of(job.run, session, _network_to_resume(job.run, session), job.listener, job.group, job.on_epoch)
    smaller.started, smaller.cache_directory = job.started, job.cache_directory
    smaller.began = job.began
    if resolved.recipe.steps != AUTO:
        plan = job.plan.in_epochs_of(smaller.epoch_steps)
        smaller.session = replace(session, resolved=resolved.changed(steps=plan.steps, epochs=plan.epochs))
    restore(smaller, as_recorded=True)
    smaller.earlier_seconds = job.earlier_seconds
    smaller.follow_plan()
    write_file(job.run.recipe_path, to_toml(smaller.resolved.recipe))
    return smaller


def _network_to_resume(run: Run, session: Session) -> nn.Module:
    """Return what the newest checkpoint is loaded into; where there is none yet, what the run began with."""
    if saved_checkpoints(run.checkpoints):
        with OwnGenerators(session.resolved.seed):
            return resumed_network(session.spec, session.recipe.freeze)
    resolved = session.resolved
    start = read_start(session.recipe.weights, resolved.architecture, trained=resolved.starts_trained)
    network, _ = replace(session, start=start).network()
    return network


def _fit(job: Job, request: StopRequest) -> str:
    """Solve the head where that is the start, and run the loop; returns how it ended."""
    settings = job.settings
    _synchronize(job)
    try:
        if is_to_solve(job):
            if not solve_head(job, lambda: bool(request), job.cache_directory):
                return "stopped"
            if job.group.first:
                request.call(job.on_epoch, job.state.rows[-1])
        return fit(
            job.state,
            settings,
            job.session.train,
            job.dataset.val,
            listener=job.listener,
            keep=lambda state: _keep_and_call(job, request),
            stop=lambda: bool(request),
            group=job.group,
            pacer=job.session.pacer(),
            notify=job.notify,
        )
    except PeersLostError as error:
        _log(job, line := f"{error}: go on with {call_text('train', resume=job.run)}")
        finish(job, "lost", request)
        raise PeersLostError(line) from error
    except DataError as error:
        # Images of a stream can't be read any more: not for a report either, which shows some.
        if not job.group.first:
            raise
        keep_reached(job)
        _log(job, line := f"{error}; {_what_is_kept(job)}")
        raise DataError(line) from error
    except DivergedError as error:
        reason = f"{error}; {_what_is_kept(job)}"
        advice = ""
        if not error.of_data:
            advice = advice_for(settings, job.state.network, of_class_weights=error.of_class_weights)
        _log(job, line := "; ".join(filter(None, (reason, advice))))
        finish(job, "diverged", request, reason=reason, advice=advice)
        raise DivergedError(line, of_data=error.of_data, of_class_weights=error.of_class_weights) from None


def _keep_and_call(job: Job, request: StopRequest) -> None:
    """Write an epoch, then call the caller's function with it; of several processes the first does."""
    keep_epoch(job)
    if job.group.first:
        request.call(job.on_epoch, job.state.rows[-1])


def _what_is_kept(job: Job) -> str:
    """Describe the files kept of a run that stopped early."""
    kept = job.state.best
    return (
        f"the weights of epoch {kept.epoch}, the best, are kept in {from_here(job.run.weights)}"
        if kept
        else NOTHING_KEPT
    )


def _log(job: Job, line: str) -> None:
    """Log the error that the user gets."""
    if job.group.first:
        job.run.log(line)


def _synchronize(job: Job) -> None:
    """Check that all processes have the same images, and give them the same weights."""
    group = job.group
    if group.size == 1:
        return
    group.agree("images", job.data_hash)
    if job.resolved.recipe.sync_batchnorm:
        share_batch_norm(job.state.network, group)
    group.copy_from_first(job.state.network)


@contextmanager
def _handling_interrupts(
    run: Run, listener: Listener, group: ProcessGroup, request: StopRequest | None = None
) -> Iterator[StopRequest]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into a request to stop, as soon as there is a run directory."""

    def warn() -> None:
        line = "stopping: the best weights and the report are being written (again to stop at once)"
        listener.notify(line)
        if group.first:
            run.log(line)

    seconds = SAME_REQUEST_SECONDS if group.place.launched else 0.0
    with handling_interrupts(warn, same_request=seconds, request=request) as request:
        yield request
