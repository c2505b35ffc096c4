"""The state of a run in training on the disk: epochs, checkpoints, the best weights, norms, metrics."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict

import torch

from convscope.data.records import ImageSet, Problem
from convscope.data.streamed import Streamed
from convscope.errors import RunError
from convscope.report.units import plural
from convscope.runs.checkpoint import (
    Checkpoint,
    optimizer_tensors,
    save_checkpoint,
)
from convscope.runs.events import header, table_row
from convscope.runs.progress import RunProgress
from convscope.training.job import Job
from convscope.training.loop.state import (
    Best,
)
from convscope.training.timing.rates import CHECKPOINT_EVERY_SECONDS
from convscope.training.training_images import in_short


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
        bits_depend_on=bits_depend_on(job),
        plan=job.plan.to_dict(),
    )
    return Checkpoint(
        model=state.network.state_dict(),
        best=state.best.weights,
        average={} if state.average is None else state.average.network.state_dict(),
        optimizer=optimizer_tensors(state.network, state.optimizer),
        values=progress.to_dict(),
    )


def bits_depend_on(job: Job) -> dict[str, object]:
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
