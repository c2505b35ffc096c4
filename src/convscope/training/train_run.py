"""A whole run: from a source and a recipe to a run directory, and on from a checkpoint."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from convscope import __version__
from convscope.data.open import SOURCES, Probe, probe
from convscope.data.records import ImageSet
from convscope.errors import DataError, RunError
from convscope.hardware.allocator import prepare_memory
from convscope.hardware.device import require_threads
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import to_toml
from convscope.recipe.setting import SettingValue
from convscope.report.shell import shell_quote
from convscope.report.units import plural
from convscope.runs.atomic_files import WriteError, write_file
from convscope.runs.checkpoint import saved_checkpoints
from convscope.runs.events import Listener, Silent
from convscope.runs.model_spec import ModelSpec
from convscope.runs.run_directory import Run, create_run, open_run, require_name, run_name
from convscope.training.autotune.make import make_plan
from convscope.training.distributed.launch import joined
from convscope.training.distributed.process_group import PeersLostError, ProcessGroup
from convscope.training.distributed.shared_batch_norm import share_batch_norm
from convscope.training.finish import Outcome, finish, finish_unwritten, is_finished
from convscope.training.interrupt import ONE_WISH_SECONDS, StopRequest, heeding_interrupts
from convscope.training.job import (
    Job,
    damage_of_weights,
    in_short,
    keep_epoch,
    keep_reached,
    loop_settings,
    restore,
    write_split,
)
from convscope.training.loop.divergence import advice_for
from convscope.training.loop.guarded_step import DivergedError
from convscope.training.loop.loop import fit
from convscope.training.loop.state import new_state
from convscope.training.opening import data_lines, lasting_source, open_images, own_torch, spec_of
from convscope.training.resolve.memory import LEAST_BATCH, fit_to_memory, followed, is_out_of_memory, with_batch
from convscope.training.resolve.resolve import resolve
from convscope.training.resolve.resolved_recipe import Notice, ResolvedRecipe, choice_lines
from convscope.training.start import (
    Start,
    lasting_start,
    read_start,
    resumed_network,
    starting_network,
)

NOTHING_KEPT = "no epoch was complete, so there are no weights to keep"
# What a resumed run may change; anything else would make it another run.
CHANGEABLE = ("epochs", "patience", "threads", "device")
# Under this name a team keeps its run beyond a restart.
THE_RUN = "run"


def train_new(
    recipe: Recipe,
    *,
    listener: Listener,
    name: str | None,
    runs_directory: Path,
    cache_directory: Path | None,
    earlier: tuple[str, ...] = (),
) -> Outcome:
    """Train `recipe.data` into a new run directory; an impossible recipe is refused before an image is read.

    `earlier` are the classes of a run that this one belongs to: they are kept in its order.
    Processes that torchrun started train together: each is given its share of every batch, and the first one writes.
    Once torchrun has started them again, they go on with the run that they were at.
    """
    with joined() as group:
        heard = listener if group.first else Silent()
        if at := group.remembered(THE_RUN):
            return _train_on(group, Path(at), {}, listener=heard, cache_directory=cache_directory)
        return _train_new(
            group,
            recipe,
            listener=heard,
            name=name,
            runs_directory=runs_directory,
            cache_directory=cache_directory,
            earlier=earlier,
        )


def train_on(
    path: Path, changes: dict[str, SettingValue], *, listener: Listener, cache_directory: Path | None
) -> Outcome:
    """Go on with a run from its newest checkpoint, as if it had never stopped; `changes` may add epochs."""
    with joined() as group:
        return _train_on(
            group, path, changes, listener=listener if group.first else Silent(), cache_directory=cache_directory
        )


def _train_new(
    group: ProcessGroup,
    recipe: Recipe,
    *,
    listener: Listener,
    name: str | None,
    runs_directory: Path,
    cache_directory: Path | None,
    earlier: tuple[str, ...],
) -> Outcome:
    if not recipe.data:
        raise RunError(f"there is nothing to train on: name {SOURCES}")
    require_name(name)
    require_threads(recipe.threads)
    found = probe(recipe.data, layout=recipe.layout, earlier=earlier)
    lasting = recipe.changed({"data": lasting_source(found), "weights": lasting_start(recipe)})
    resolved, of_memory, start = _settled_start(group, lasting, found, cache_directory)
    dataset, train = group.in_turn(lambda: open_images(found, resolved, listener, cache_directory))
    spec = spec_of(resolved, dataset, train)
    planned = group.decided(
        lambda: make_plan(recipe, resolved, spec, train, alone=group.size == 1, cache_directory=cache_directory)
    )
    resolved = planned.resolved
    run = Run(group.decided(lambda: create_run(runs_directory, name or run_name(recipe.data, spec.name)).path))
    with _locked(run, group), own_torch(resolved), _heeding(run, listener, group) as request:
        torch.default_generator.manual_seed(resolved.recipe.seed)
        network, of_weights = starting_network(spec, resolved.recipe, start, train)
        settings = loop_settings(resolved, spec, train)
        job = Job(run, resolved, dataset, train, spec, settings, new_state(network, resolved), listener, group)
        if group.first:
            write_file(run.recipe_path, to_toml(resolved.recipe))
            run.write_spec(spec)
            write_split(run, dataset)
            job.run.log(f"convscope {__version__}, torch {torch.__version__}, {platform.platform()}")
            job.run.log(f"memory: {prepare_memory().line}")
            group.remember(THE_RUN, str(run.path.resolve()))
        told = (*(notice.text for notice in of_memory), *(f"plan: {line}" for line in planned.lines))
        for line in (*_introduction(job), *told, *of_weights):
            job.notify(line)
        return _train(job, request, found)


def _settled_start(
    group: ProcessGroup, recipe: Recipe, found: Probe, cache_directory: Path | None
) -> tuple[ResolvedRecipe, tuple[Notice, ...], Start | None]:
    """The recipe with nothing left open, what there is to say of the memory, and what the run starts from.

    The weights decide which parts can be frozen, and that changes what a step needs: the recipe is settled again.
    """

    def settled_for(recipe: Recipe) -> tuple[ResolvedRecipe, tuple[Notice, ...]]:
        return group.decided(
            lambda: fit_to_memory(resolve(recipe, found, cache_directory), found, processes=group.size)
        )

    resolved, of_memory = settled_for(recipe)
    start = read_start(resolved.recipe, classes=len(found.classes), decoding=resolved.decoding)
    if start is not None and start.freeze != resolved.recipe.freeze:
        resolved, of_memory = settled_for(recipe.changed({"freeze": start.freeze}))
    return resolved, of_memory, start


def _train_on(
    group: ProcessGroup,
    path: Path,
    changes: dict[str, SettingValue],
    *,
    listener: Listener,
    cache_directory: Path | None,
) -> Outcome:
    run = open_run(path)
    # At once, so that a run that another process trains is refused before an image is read.
    with _locked(run, group):
        return _go_on(group, run, changes, listener=listener, cache_directory=cache_directory)


def _go_on(
    group: ProcessGroup, run: Run, changes: dict[str, SettingValue], *, listener: Listener, cache_directory: Path | None
) -> Outcome:
    recipe = run.recipe()
    if run.spec().members is not None:
        raise RunError(
            f"{run} is an ensemble, which convscope train --resume goes on with: here name one of its members"
        )
    if fixed := sorted(name for name in changes if name not in CHANGEABLE):
        raise RunError(
            f"{fixed[0]} can't change when a run is resumed, only {', '.join(CHANGEABLE)}: start a new run instead"
        )
    recipe = recipe.changed(changes)
    if "threads" in changes:  # a run of a larger machine is gone on with as it is
        require_threads(recipe.threads)
    spec = run.spec()
    found = probe(recipe.data, layout=recipe.layout, earlier=spec.classes)
    resolved, of_memory = group.decided(
        lambda: fit_to_memory(resolve(recipe, found, cache_directory), found, processes=group.size)
    )
    if found.classes != spec.classes:
        raise RunError(f"{recipe.data} no longer has the classes that {run} was trained on: start a new run")
    with own_torch(resolved), _heeding(run, listener, group) as request:
        dataset, train = group.in_turn(lambda: open_images(found, resolved, listener, cache_directory))
        torch.default_generator.manual_seed(resolved.recipe.seed)
        network = _network_to_go_on(run, spec, resolved, train)
        settings = loop_settings(resolved, spec, train)
        job = Job(run, resolved, dataset, train, spec, settings, new_state(network, resolved), listener, group)
        damage = damage_of_weights(run) if os.path.lexists(run.weights) else ""
        restore(job)
        if damage and job.state.best is not None:
            job.notify(f"{run.weights.name} is damaged: it is written anew from the checkpoint")
        unfinished = group.decided(lambda: _has_all_epochs_alone(job))
        if not unfinished or "epochs" in changes:
            _require_epochs_to_go(job, asked="epochs" in changes)
        if group.first:
            write_file(run.recipe_path, to_toml(resolved.recipe))
            if not run.split_path.exists():
                write_split(run, dataset)
        for notice in of_memory:
            job.notify(notice.text)
        if unfinished and not damage:
            job.notify(
                f"{run} has all of its {plural(resolved.epochs, 'epoch')}, but was stopped before it was measured"
            )
        job.notify(f"resuming {run} after epoch {job.state.epoch} of {resolved.epochs}")
        return _train(job, request, found)


def _has_all_epochs_alone(job: Job) -> bool:
    """Whether all epochs are trained, but the weights or the report of them are not written."""
    best = job.state.best
    return job.state.epoch >= job.resolved.epochs and best is not None and not is_finished(job.run, best.measures)


def _require_epochs_to_go(job: Job, *, asked: bool) -> None:
    """Raise RunError where as many epochs are trained as are wanted, or were now asked for."""
    trained, wanted = job.state.epoch, job.resolved.epochs
    if trained < wanted:
        return
    if asked:
        raise RunError(
            f"--epochs {wanted}: {job.run} has {plural(trained, 'epoch')} trained already, give more than {trained}"
        )
    raise RunError(f"{job.run} has all of its {plural(wanted, 'epoch')}: add some with --epochs {wanted + 10}")


def _train(job: Job, request: StopRequest, found: Probe) -> Outcome:
    """Fit, then write down everything; what was reached is kept however it ends.

    A batch that the memory does not hold is halved, and training goes on from the last checkpoint or starts over.
    """
    while True:
        try:
            ending = _fit(job, request)
        except WriteError as error:
            raise WriteError(finish_unwritten(job, error)) from error
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            size = job.resolved.batch_size
            if job.group.size > 1 or size < 2 * LEAST_BATCH:
                _log(job, line := f"the memory does not hold a step of {size} images: lower --batch-size")
                raise RunError(line) from error
        else:
            return _finish(job, ending, request)
        # Out of the handler, where the error no longer holds what was in memory.
        job = _with_half_the_batch(job, found)


def _finish(job: Job, ending: str, request: StopRequest) -> Outcome:
    try:
        return finish(job, ending, request)
    except WriteError as error:
        raise WriteError(finish_unwritten(job, error)) from error


def _with_half_the_batch(job: Job, found: Probe) -> Job:
    """The job with half as many images a step, from its newest checkpoint or from the start."""
    resolved = with_batch(job.resolved, job.resolved.batch_size // 2)
    job.notify(
        f"memory: it does not hold a step of {job.resolved.batch_size} images: {followed(resolved, job.resolved)}"
    )
    job.state.optimizer.zero_grad(set_to_none=True)
    job.state.optimizer.state.clear()
    if resolved.device == "cuda":
        torch.cuda.empty_cache()
    keep_reached(job)
    torch.default_generator.manual_seed(resolved.recipe.seed)
    network = _network_to_go_on(job.run, job.spec, resolved, job.train)
    settings = loop_settings(resolved, job.spec, job.train)
    smaller = replace(job, resolved=resolved, settings=settings, state=new_state(network, resolved))
    restore(smaller)
    write_file(job.run.recipe_path, to_toml(resolved.recipe))
    return smaller


def _network_to_go_on(run: Run, spec: ModelSpec, resolved: ResolvedRecipe, train: ImageSet) -> nn.Module:
    """What the newest checkpoint is put into; where there is none yet, what the run began with."""
    if saved_checkpoints(run.checkpoints):
        return resumed_network(spec, resolved.recipe)
    start = read_start(resolved.recipe, classes=len(spec.classes), decoding=resolved.decoding)
    network, _ = starting_network(spec, resolved.recipe, start, train)
    return network


def _fit(job: Job, request: StopRequest) -> str:
    """Run the loop; says how it ended."""
    settings = job.settings
    _stand_together(job)
    try:
        return fit(
            job.state,
            settings,
            job.train,
            job.dataset.val,
            listener=job.listener,
            keep=lambda state: keep_epoch(job),
            stop=lambda: bool(request),
            group=job.group,
        )
    except PeersLostError as error:
        _log(job, line := f"{error}: go on with {shell_quote('--resume', job.run)}")
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


def _what_is_kept(job: Job) -> str:
    """What is left of a run that could not go on, in words."""
    kept = job.state.best
    return f"the weights of epoch {kept.epoch}, the best, are kept in {job.run.weights}" if kept else NOTHING_KEPT


def _log(job: Job, line: str) -> None:
    """Put into the log what the user is told by an error."""
    if job.group.first:
        job.run.log(line)


def _stand_together(job: Job) -> None:
    """Let every process of a team have the same images and the same weights."""
    group = job.group
    if group.size == 1:
        return
    group.agree("images", job.data_hash)
    if job.resolved.recipe.sync_batchnorm:
        share_batch_norm(job.state.network, group)
    group.copy_from_first(job.state.network)


def _locked(run: Run, group: ProcessGroup) -> AbstractContextManager[None]:
    """The run's lock, held by the process that writes."""
    return run.locked() if group.first else nullcontext()


@contextmanager
def _heeding(run: Run, listener: Listener, group: ProcessGroup) -> Iterator[StopRequest]:
    """Heed Ctrl-C, SIGTERM and SIGHUP from the moment that there is a run directory."""

    def warn() -> None:
        line = "stopping: the best weights and the report are being written (again to stop at once)"
        listener.notify(line)
        if group.first:
            run.log(line)

    with heeding_interrupts(warn, one_wish=ONE_WISH_SECONDS if group.place.launched else 0.0) as request:
        yield request


def _introduction(job: Job) -> Iterator[str]:
    dataset, resolved = job.dataset, job.resolved
    yield from data_lines(dataset)
    yield from dataset.notes_on_training
    if dataset.problems:
        yield f"{plural(len(dataset.problems), 'image')} skipped: {in_short(dataset.problems)}"
    together = f"{job.group.size} processes, each " if job.group.size > 1 else ""
    yield f"network: {job.spec.name}, {resolved.parameters:,} weights, {together}on {resolved.device}, {resolved.mode}"
    yield from (notice.text for notice in resolved.notices)
    yield from (f"auto: {line}" for line in choice_lines(resolved.choices))
    yield f"run: {job.run}"
