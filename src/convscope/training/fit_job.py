"""A job from its first step to its record: what was reached is kept however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import torch
from torch import nn

from convscope.api.generators import OwnGenerators
from convscope.data.batches import Batches
from convscope.data.streamed import Streamed
from convscope.errors import DataError, RunError
from convscope.hardware.mode import compiler_errors_refused
from convscope.recipe.recipe_file import to_toml
from convscope.recipe.setting import AUTO
from convscope.report.printable import from_here
from convscope.report.usage import call_text, setting_name
from convscope.runs.atomic_files import WriteError, write_file
from convscope.runs.checkpoint import saved_checkpoints
from convscope.runs.events import Listener, State
from convscope.runs.run_directory import Run
from convscope.training.distributed.process_group import PeersLostError, ProcessGroup
from convscope.training.distributed.shared_batch_norm import share_batch_norm
from convscope.training.finish import finish, finish_unwritten
from convscope.training.interrupt import SAME_REQUEST_SECONDS, StopRequest, handling_interrupts
from convscope.training.job import Job
from convscope.training.kept_state import keep_epoch, keep_reached
from convscope.training.live.live_run import LiveRun
from convscope.training.live.view_taker import ViewTaker
from convscope.training.loop.loop import fit
from convscope.training.loop.nonfinite import DivergedError, advice_for
from convscope.training.outcome import Outcome
from convscope.training.resolve.memory import halved, no_memory, with_backoff
from convscope.training.restored_state import restore
from convscope.training.session import Session
from convscope.training.solved_head import is_to_solve, solve_head
from convscope.training.start import read_start, resumed_network

NOTHING_KEPT = "no epoch was complete, so there are no weights to keep"


def train_job(job: Job, request: StopRequest) -> Outcome:
    """Train, and keep status.json true: it says "training" from here on, and how that ended."""
    if job.group.first:
        job.run.live.clear()
    job.write_status("training")
    try:
        with compiler_errors_refused():
            return _fit_and_finish(job, request)
    except BaseException as error:
        status = job.run.status()
        if status is not None and status.state == "training":
            with suppress(WriteError):
                ended: State = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
                job.write_status(ended, reason=str(error))
        raise
    finally:
        if job.group.first:
            job.run.live.clear()


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
    smaller = Job.of(job.run, session, network_to_resume(job.run, session), job.listener, job.group, job.on_epoch)
    smaller.started, smaller.cache_directory = job.started, job.cache_directory
    smaller.began, smaller.kept_settings = job.began, job.kept_settings
    smaller.unreadable_shown = job.unreadable_shown
    if session.most_steps is not None:  # as many epochs, of more steps
        most = session.most_steps * smaller.epoch_steps // job.epoch_steps
        session = smaller.session = replace(session, most_steps=most)
    if resolved.recipe.steps != AUTO:
        plan = job.plan.in_epochs_of(smaller.epoch_steps)
        smaller.session = replace(session, resolved=resolved.changed(steps=plan.steps, epochs=plan.epochs))
    restore(smaller, as_recorded=True)
    smaller.earlier_seconds = job.earlier_seconds
    smaller.follow_plan()
    write_file(job.run.recipe_path, to_toml(smaller.lasting_recipe))
    return smaller


def network_to_resume(run: Run, session: Session) -> nn.Module:
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
    job.pacer = job.session.pacer()
    _synchronize(job)
    live = _live_run(job, request) if job.group.first else None
    try:
        if is_to_solve(job):
            if not solve_head(job, lambda: bool(request), job.cache_directory):
                return "stopped"
            if job.group.first:
                request.call(job.on_epoch, job.state.rows[-1])
        ending = fit(
            job.state,
            settings,
            job.session.train,
            job.dataset.val,
            listener=job.listener if live is None else live.listener(job.listener),
            keep=lambda state: _keep_and_call(job, request),
            stop=lambda: bool(request),
            group=job.group,
            pacer=job.pacer,
            notify=job.notify,
            between_steps=lambda step: _between_steps(job, live, step),
        )
        if live is not None:
            live.finishing(job.state.step)
        return ending
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


def _live_run(job: Job, request: StopRequest) -> LiveRun:
    """Return what a job shows between its steps, and what it may be asked there: a pause, a stop."""

    def make_view() -> ViewTaker | None:
        parts = [part for part in (job.dataset.val, job.session.train) if part is not None and len(part)]
        shown = next((part for part in parts if not isinstance(part.images, Streamed)), None)
        if shown is None:
            return None
        one = Batches(shown.part(slice(0, 1)), batch_size=1)
        (image, _, _), (pixels, _, _) = (
            next(iter(batch))
            for batch in (
                one,
                replace(one, device=job.resolved.device, normalization=job.settings.normalization),
            )
        )
        uncompiled = replace(job.resolved.mode, compile="no").forward_of(job.state.network)
        as_bytes = image[0].mul(255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
        return ViewTaker(job.state.network, uncompiled, pixels, as_bytes)

    return LiveRun(
        job.run.live,
        request,
        make_view=make_view,
        notify=job.notify,
        epoch_steps=job.epoch_steps,
        batch_size=job.resolved.batch_size,
        pausable=job.group.size == 1,
    )


def _between_steps(job: Job, live: LiveRun | None, step: int) -> float:
    """Return the seconds for which the training was paused before a step; they are left out of the job's times."""
    paused = 0.0 if live is None else live.between_steps(step)
    if paused:
        job.leave_out(paused)
    return paused


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
def stopping_at_interrupts(
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
