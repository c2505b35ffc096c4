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
from convscope.recipe.setting import Value
from convscope.report.shell import typed
from convscope.report.units import plural
from convscope.runs.atomic_files import Unwritten, write_file
from convscope.runs.checkpoint import saved_checkpoints
from convscope.runs.events import Listener, Silent
from convscope.runs.run_directory import ModelCard, Run, create_run, open_run, require_name, run_name
from convscope.training.autotune.make import make_plan
from convscope.training.distributed.launch import joined
from convscope.training.distributed.process_group import Lost, Team
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
from convscope.training.loop.guarded_step import Diverged
from convscope.training.loop.loop import fit
from convscope.training.loop.state import new_state
from convscope.training.opening import card_of, data_lines, lasting_source, open_images, own_torch
from convscope.training.resolve.memory import LEAST_BATCH, fit_to_memory, followed, is_out_of_memory, with_batch
from convscope.training.resolve.resolve import Settled, settle
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
    with joined() as team:
        heard = listener if team.first else Silent()
        if at := team.remembered(THE_RUN):
            return _train_on(team, Path(at), {}, listener=heard, cache_directory=cache_directory)
        return _train_new(
            team,
            recipe,
            listener=heard,
            name=name,
            runs_directory=runs_directory,
            cache_directory=cache_directory,
            earlier=earlier,
        )


def train_on(path: Path, changes: dict[str, Value], *, listener: Listener, cache_directory: Path | None) -> Outcome:
    """Go on with a run from its newest checkpoint, as if it had never stopped; `changes` may add epochs."""
    with joined() as team:
        return _train_on(
            team, path, changes, listener=listener if team.first else Silent(), cache_directory=cache_directory
        )


def _train_new(
    team: Team,
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
    settled, of_memory, start = _settled_start(team, lasting, found, cache_directory)
    dataset, train = team.in_turn(lambda: open_images(found, settled, listener, cache_directory))
    card = card_of(settled, dataset, train)
    planned = team.decided(
        lambda: make_plan(recipe, settled, card, train, alone=team.size == 1, cache_directory=cache_directory)
    )
    settled = planned.settled
    run = Run(team.decided(lambda: create_run(runs_directory, name or run_name(recipe.data, card.name)).path))
    with _locked(run, team), own_torch(settled), _heeding(run, listener, team) as request:
        torch.default_generator.manual_seed(settled.recipe.seed)
        network, of_weights = starting_network(card, settled.recipe, start, train)
        settings = loop_settings(settled, card, train)
        job = Job(run, settled, dataset, train, card, settings, new_state(network, settings), listener, team)
        if team.first:
            write_file(run.recipe_path, to_toml(settled.recipe))
            run.write_card(card)
            write_split(run, dataset)
            job.run.log(f"convscope {__version__}, torch {torch.__version__}, {platform.platform()}")
            job.run.log(f"memory: {prepare_memory().line}")
            team.remember(THE_RUN, str(run.path.resolve()))
        told = (*(f"memory: {line}" for line in of_memory), *(f"plan: {line}" for line in planned.lines))
        for line in (*_introduction(job), *told, *of_weights):
            job.say(line)
        return _train(job, request, found)


def _settled_start(
    team: Team, recipe: Recipe, found: Probe, cache_directory: Path | None
) -> tuple[Settled, tuple[str, ...], Start | None]:
    """The recipe with nothing left open, what there is to say of the memory, and what the run starts from.

    The weights decide which parts can be frozen, and that changes what a step needs: the recipe is settled again.
    """

    def settled_for(recipe: Recipe) -> tuple[Settled, tuple[str, ...]]:
        return team.decided(lambda: fit_to_memory(settle(recipe, found, cache_directory), found, processes=team.size))

    settled, of_memory = settled_for(recipe)
    start = read_start(settled.recipe, classes=len(found.classes), decoding=settled.decoding)
    if start is not None and start.freeze != settled.recipe.freeze:
        settled, of_memory = settled_for(recipe.changed({"freeze": start.freeze}))
    return settled, of_memory, start


def _train_on(
    team: Team, path: Path, changes: dict[str, Value], *, listener: Listener, cache_directory: Path | None
) -> Outcome:
    run = open_run(path)
    # At once, so that a run that another process trains is refused before an image is read.
    with _locked(run, team):
        return _go_on(team, run, changes, listener=listener, cache_directory=cache_directory)


def _go_on(
    team: Team, run: Run, changes: dict[str, Value], *, listener: Listener, cache_directory: Path | None
) -> Outcome:
    recipe = run.recipe()
    if run.card().members is not None:
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
    card = run.card()
    found = probe(recipe.data, layout=recipe.layout, earlier=card.classes)
    settled, of_memory = team.decided(
        lambda: fit_to_memory(settle(recipe, found, cache_directory), found, processes=team.size)
    )
    if found.classes != card.classes:
        raise RunError(f"{recipe.data} no longer has the classes that {run} was trained on: start a new run")
    with own_torch(settled), _heeding(run, listener, team) as request:
        dataset, train = team.in_turn(lambda: open_images(found, settled, listener, cache_directory))
        torch.default_generator.manual_seed(settled.recipe.seed)
        network = _network_to_go_on(run, card, settled, train)
        settings = loop_settings(settled, card, train)
        job = Job(run, settled, dataset, train, card, settings, new_state(network, settings), listener, team)
        damage = damage_of_weights(run) if os.path.lexists(run.weights) else ""
        restore(job)
        if damage and job.state.best is not None:
            job.say(f"{run.weights.name} is damaged: it is written anew from the checkpoint")
        unfinished = team.decided(lambda: _has_all_epochs_alone(job))
        if not unfinished or "epochs" in changes:
            _require_epochs_to_go(job, asked="epochs" in changes)
        if team.first:
            write_file(run.recipe_path, to_toml(settled.recipe))
            if not run.split_path.exists():
                write_split(run, dataset)
        for line in of_memory:
            job.say(f"memory: {line}")
        if unfinished and not damage:
            job.say(f"{run} has all of its {plural(settled.epochs, 'epoch')}, but was stopped before it was measured")
        job.say(f"resuming {run} after epoch {job.state.epoch} of {settled.epochs}")
        return _train(job, request, found)


def _has_all_epochs_alone(job: Job) -> bool:
    """Whether all epochs are trained, but the weights or the report of them are not written."""
    best = job.state.best
    return job.state.epoch >= job.settled.epochs and best is not None and not is_finished(job.run, best.measures)


def _require_epochs_to_go(job: Job, *, asked: bool) -> None:
    """Raise RunError where as many epochs are trained as are wanted, or were now asked for."""
    trained, wanted = job.state.epoch, job.settled.epochs
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
        except Unwritten as error:
            raise Unwritten(finish_unwritten(job, error)) from error
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            size = job.settled.batch_size
            if job.team.size > 1 or size < 2 * LEAST_BATCH:
                _log(job, line := f"the memory does not hold a step of {size} images: lower --batch-size")
                raise RunError(line) from error
        else:
            return _finish(job, ending, request)
        # Out of the handler, where the error no longer holds what was in memory.
        job = _with_half_the_batch(job, found)


def _finish(job: Job, ending: str, request: StopRequest) -> Outcome:
    try:
        return finish(job, ending, request)
    except Unwritten as error:
        raise Unwritten(finish_unwritten(job, error)) from error


def _with_half_the_batch(job: Job, found: Probe) -> Job:
    """The job with half as many images a step, from its newest checkpoint or from the start."""
    settled = with_batch(job.settled, found, job.settled.batch_size // 2)
    job.say(f"memory: it does not hold a step of {job.settled.batch_size} images: {followed(settled, job.settled)}")
    job.state.optimizer.zero_grad(set_to_none=True)
    job.state.optimizer.state.clear()
    if settled.device == "cuda":
        torch.cuda.empty_cache()
    keep_reached(job)
    torch.default_generator.manual_seed(settled.recipe.seed)
    network = _network_to_go_on(job.run, job.card, settled, job.train)
    settings = loop_settings(settled, job.card, job.train)
    smaller = replace(job, settled=settled, settings=settings, state=new_state(network, settings))
    restore(smaller)
    write_file(job.run.recipe_path, to_toml(settled.recipe))
    return smaller


def _network_to_go_on(run: Run, card: ModelCard, settled: Settled, train: ImageSet) -> nn.Module:
    """What the newest checkpoint is put into; where there is none yet, what the run began with."""
    if saved_checkpoints(run.checkpoints):
        return resumed_network(card, settled.recipe)
    start = read_start(settled.recipe, classes=len(card.classes), decoding=settled.decoding)
    network, _ = starting_network(card, settled.recipe, start, train)
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
            team=job.team,
        )
    except Lost as error:
        _log(job, line := f"{error}: go on with {typed('--resume', job.run)}")
        finish(job, "lost", request)
        raise Lost(line) from error
    except DataError as error:
        # Images of a stream can't be read any more: not for a report either, which shows some.
        if not job.team.first:
            raise
        keep_reached(job)
        _log(job, line := f"{error}; {_what_is_kept(job)}")
        raise DataError(line) from error
    except Diverged as error:
        reason = f"{error}; {_what_is_kept(job)}"
        advice = ""
        if not error.of_data:
            advice = advice_for(settings, job.state.network, of_class_weights=error.of_class_weights)
        _log(job, line := "; ".join(filter(None, (reason, advice))))
        finish(job, "diverged", request, reason=reason, advice=advice)
        raise Diverged(line, of_data=error.of_data, of_class_weights=error.of_class_weights) from None


def _what_is_kept(job: Job) -> str:
    """What is left of a run that could not go on, in words."""
    kept = job.state.best
    return f"the weights of epoch {kept.epoch}, the best, are kept in {job.run.weights}" if kept else NOTHING_KEPT


def _log(job: Job, line: str) -> None:
    """Put into the log what the user is told by an error."""
    if job.team.first:
        job.run.log(line)


def _stand_together(job: Job) -> None:
    """Let every process of a team have the same images and the same weights."""
    team = job.team
    if team.size == 1:
        return
    team.agree("images", job.data_hash)
    if job.settled.recipe.sync_batchnorm:
        share_batch_norm(job.state.network, team)
    team.copy_from_first(job.state.network)


def _locked(run: Run, team: Team) -> AbstractContextManager[None]:
    """The run's lock, held by the process that writes."""
    return run.locked() if team.first else nullcontext()


@contextmanager
def _heeding(run: Run, listener: Listener, team: Team) -> Iterator[StopRequest]:
    """Heed Ctrl-C, SIGTERM and SIGHUP from the moment that there is a run directory."""

    def warn() -> None:
        line = "stopping: the best weights and the report are being written (again to stop at once)"
        listener.said(line)
        if team.first:
            run.log(line)

    with heeding_interrupts(warn, one_wish=ONE_WISH_SECONDS if team.place.launched else 0.0) as request:
        yield request


def _introduction(job: Job) -> Iterator[str]:
    dataset, settled = job.dataset, job.settled
    yield from data_lines(dataset)
    yield from dataset.notes_on_training
    if dataset.problems:
        yield f"{plural(len(dataset.problems), 'image')} kept out: {in_short(dataset.problems)}"
    together = f"{job.team.size} processes, each " if job.team.size > 1 else ""
    yield f"network: {job.card.name}, {settled.weights:,} weights, {together}on {settled.device}, {settled.mode}"
    yield from settled.notes
    for reason in settled.reasons:
        yield f"auto: {reason}"
    yield f"run: {job.run}"
