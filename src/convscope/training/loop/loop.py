"""The loop: epochs of steps, a validation after each, the best weights kept.

Every random draw is decided by the seed and the place in the run: the order by (seed, epoch), the augmentation by
(seed, epoch, step), dropout by (seed, epoch). So a run resumed at the end of an epoch equals the unbroken run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice

import numpy as np
import numpy.typing as npt
from torch import nn

from convscope.api.generators import OwnGenerators
from convscope.data.augment import generator_for
from convscope.data.batches import Batches
from convscope.data.records import ImageSet
from convscope.data.training_batches import TrainingBatches
from convscope.nets.layer_groups import train_mode
from convscope.nets.modules import has_batch_norm
from convscope.runs.events import EpochRow, Listener
from convscope.scoring.answer import evaluation_batch, scores_of_images
from convscope.scoring.measured import one_measure
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.distributed.shared_batch_norm import normalizes_alone, unshared
from convscope.training.loop.nonfinite import (
    Diagnosis,
    DivergedError,
    broken_weights,
    diagnose_validation,
    largest_weight,
)
from convscope.training.loop.norms import LayerNormMeter
from convscope.training.loop.pace import Pace
from convscope.training.loop.running_statistics import BATCHES, FEW_STEPS, measured_anew
from convscope.training.loop.state import (
    Best,
    EpochMeter,
    Settings,
    TrainingState,
    batches_of,
    copy_weights,
    first_plan,
    is_better,
)
from convscope.training.loop.step import DeferredCheck, StepInput, guarded_step, read_held
from convscope.training.optim.optimizers import set_rate
from convscope.training.optim.schedule import learning_rate_factor
from convscope.training.timing.pacer import Pacer

# The random stream of dropout and other draws inside the network, minus the rank: no step has so high a number.
NETWORK_STREAM = 2**23 - 1

# Devices on which a step's numbers are read one step later.
READ_LATE = ("cuda",)


def fit(
    state: TrainingState,
    settings: Settings,
    train: ImageSet,
    val: ImageSet | None,
    *,
    listener: Listener,
    keep: Callable[[TrainingState], None],
    stop: Callable[[], bool],
    group: ProcessGroup | None = None,
    pacer: Pacer | None = None,
    notify: Callable[[str], None] = lambda line: None,
    between_steps: Callable[[int], float] = lambda step: 0.0,
) -> str:
    """Train until the planned steps are done, patience has run out, or `stop()`; return "done", "early" or "stopped".

    `keep(state)` is called at the end of each epoch. A stop in the middle of an epoch skips the rest of it; if no
    epoch was complete before, the weights as they are then are measured and kept; so they are where no step is
    planned. With a `group`, this process trains on its share of every batch. A `pacer` may change the plan, and each
    change is passed to `notify`. `between_steps` is called before each step, and returns for how many seconds the
    training was paused: they are left out of all times.

    Raises:
        DivergedError: the loss became NaN or infinite; `state.best` still holds the best weights before that.
        PeersLostError: other processes of the group can't be reached any more.
    """
    group = group or ProcessGroup()
    stop = group.stopping_together(stop)
    # Two images are mixed with each other, and two have a variance to normalize by: a share has both or none.
    pairs = settings.augmentation.mixing.on or normalizes_alone(state.network)
    share = partial(group.rows, least=2 if pairs else 1)
    batches = batches_of(settings, train, share=share)
    # Of a run whose batch was halved meanwhile, the plan has as many epochs of twice the steps.
    state.plan = (state.plan or first_plan(settings.resolved, len(batches))).in_epochs_of(len(batches))
    batches = replace(batches, schedule_steps=state.plan.schedule_steps, place=lambda step: state.planned.place(step))
    state.norms = _norm_meter(state, settings) if group.first else None
    pace = Pace(state, pacer, group, notify, validated=0 if val is None else len(val))
    if not state.plan.steps and state.best is None:
        _keep_as_is(state, val, settings, group)
    while state.epoch < state.planned.epochs:
        if patience_is_over(state, settings.resolved.patience):
            return "early"
        trained = _train_epoch(state, settings, batches, listener, stop, group, pace, between_steps)
        if trained is None:
            if state.best is None:
                _keep_as_is(state, val, settings, group)
            return "stopped"
        began = time.perf_counter()
        _measure_statistics(state, batches)
        _share_buffers(state, group)
        accuracy, loss = _measure(state.evaluated, val, settings, group)
        _require_finite_loss(state, val, settings, loss, trained.learning_rate)
        _require_finite_weights(state, group, trained.learning_rate)
        state.epoch += 1
        state.seconds += time.perf_counter() - began
        better = is_better(accuracy, loss, state.best)
        if better:
            state.best = Best(state.epoch, accuracy, loss, copy_weights(state.evaluated))
        row = replace(
            trained,
            epoch=state.epoch,
            seconds=state.seconds,
            val_loss=loss,
            val_accuracy=accuracy,
            best=better,
            multi_label=train.targets is not None,
        )
        state.rows.append(row)
        listener.epoch_ended(row)
        pace.between_epochs()
        keep(state)
        if stop():
            return "done" if state.epoch == state.planned.epochs else "stopped"
    return "done"


def _require_finite_loss(
    state: TrainingState, val: ImageSet | None, settings: Settings, loss: float | None, rate: float
) -> None:
    """Raise DivergedError where the validation loss is not finite, with what it comes from."""
    if val is None or loss is None or math.isfinite(loss):
        return
    found = diagnose_validation(
        state.evaluated,
        replace(settings.resolved.mode, compile="no").forward_of(state.evaluated),
        Batches(
            val,
            batch_size=evaluation_batch(val.images.shape[1:]),
            device=settings.resolved.device,
            normalization=settings.normalization,
        ),
    )
    raise DivergedError.at("the validation loss", loss, epoch=state.epoch, step=state.step, rate=rate, found=found)


def _norm_meter(state: TrainingState, settings: Settings) -> LayerNormMeter:
    mode = settings.resolved.mode
    uncompiled = None if mode.compile == "no" else replace(mode, compile="no").forward_of(state.network)
    return LayerNormMeter(state.network, steps=state.planned.steps, uncompiled=uncompiled)


def _keep_as_is(state: TrainingState, val: ImageSet | None, settings: Settings, group: ProcessGroup) -> None:
    """Measure the weights as they are, and keep them as those of epoch 0."""
    _share_buffers(state, group)
    accuracy, loss = _measure(state.evaluated, val, settings, group)
    state.best = Best(0, accuracy, loss, copy_weights(state.evaluated))


def _measure_statistics(state: TrainingState, batches: TrainingBatches) -> None:
    """Measure running statistics anew, of the averaged network too, where an epoch has few steps."""
    if len(batches) > FEW_STEPS or not has_batch_norm(state.network):
        return
    # Whole batches in every process: the same statistics as of one process, without an exchange.
    with closing(replace(batches, share=None).epoch(state.epoch)) as source:
        pixels = [batch.pixels for batch in islice(source, BATCHES)]
    with unshared(state.network), unshared(state.evaluated):
        for network in dict.fromkeys((state.network, state.evaluated)):
            measured_anew(network, state.network, pixels)


def _require_finite_weights(state: TrainingState, group: ProcessGroup, rate: float) -> None:
    """Raise DivergedError in every process if the weights of one are not finite, which a loss need not show.

    A saturated unit makes finite outputs of an infinity, and such weights would be kept as the best.
    """
    largest = largest_weight(state.evaluated)
    spoilt = group.total((~largest.isfinite()).float().cpu().reshape(1))
    if not spoilt.item():
        return
    found = broken_weights(state.evaluated) or Diagnosis(text="those of another process are not finite")
    raise DivergedError.at(
        "the largest weight", float(largest), epoch=state.epoch, step=state.step, rate=rate, found=found
    )


def _share_buffers(state: TrainingState, group: ProcessGroup) -> None:
    """Give all processes the same running statistics, in the averaged network as well."""
    group.average_buffers(state.network)
    if state.average is not None:
        group.average_buffers(state.average.network)


def _train_epoch(
    state: TrainingState,
    settings: Settings,
    batches: TrainingBatches,
    listener: Listener,
    stop: Callable[[], bool],
    group: ProcessGroup,
    pace: Pace,
    between_steps: Callable[[int], float],
) -> EpochRow | None:
    """Take an epoch's steps and return what they measured, or None if it was stopped before its end."""
    meter = EpochMeter(epoch=state.epoch, seconds=state.seconds)
    rate = settings.resolved.learning_rate
    train_mode(state.network)
    own = _generators(settings, state.epoch, group.rank)
    # Several processes wait for one another at each step in any case.
    deferred = DeferredCheck(state.network) if settings.resolved.device in READ_LATE and group.size == 1 else None
    pace.epoch_began()
    number = 0
    with closing(batches.epoch(state.epoch)) as source:  # ends the threads that decode, however the epoch ends
        while number < state.planned.steps_of(state.epoch):
            # Steps are counted by place: a resumed run with more epochs goes on at its place in the new schedule.
            step = state.epoch * len(batches) + number
            if paused := between_steps(step):
                meter.leave_out(paused)
                pace.leave_out(paused)
            if stop():
                if deferred is not None:
                    read_held(state, settings, deferred)
                state.seconds += meter.elapsed
                return None
            pace.before_step(step)
            with meter.waiting():
                batch = next(source)
            rates = _rates(settings, state, step)
            rate = rates(1.0)
            set_rate(state.optimizer, rates)
            with own:
                measured = [guarded_step(state, settings, StepInput(batch, step, rate), group, deferred)]
            if state.average is not None:
                state.average.add(state.network, step, len(batches))
            number += 1
            if deferred is not None and number == state.planned.steps_of(state.epoch):
                measured.append(read_held(state, settings, deferred))
            for stats in measured:
                if stats is not None:
                    meter.count(*stats)
            pace.step_ended(step)
            if progress := meter.due(number, rate, state.planned, pace.seconds_left):
                listener.stepped(progress)
    state.step += number
    state.seconds += meter.elapsed
    return meter.row(rate)


def _rates(settings: Settings, state: TrainingState, step: int) -> Callable[[float], float]:
    """Return the rate at a step by the share of the run for which parameters learn (1: all of it): 0 after it."""
    place, steps = state.planned.place(step), state.planned.schedule_steps
    accuracies = [row.val_accuracy for row in state.rows]

    def rate(until: float) -> float:
        own_steps = max(1, int(steps * until))
        if place >= own_steps:
            return 0.0
        factor = learning_rate_factor(
            settings.resolved.schedule,
            # A place is between two steps where the plan was changed, and the last step of all is the end.
            step=min(place, own_steps - 1.0),
            steps=own_steps,
            warmup=settings.resolved.warmup,
            accuracies=accuracies,
        )
        return settings.resolved.learning_rate * factor

    return rate


def _generators(settings: Settings, epoch: int, rank: int) -> OwnGenerators:
    """Return the generators that dropout draws from in an epoch.

    Each process of a group has a stream of its own, so that it drops other units than the others.
    """
    seed = generator_for(settings.resolved.seed, epoch, NETWORK_STREAM - rank).initial_seed()
    return OwnGenerators(seed, settings.resolved.device)


def _measure(
    network: nn.Module, val: ImageSet | None, settings: Settings, group: ProcessGroup
) -> tuple[float | None, float | None]:
    """Return validation accuracy (mAP with several labels) and loss, or two Nones without validation images.

    Computed in the arithmetic of the training step: between epochs, speed counts for more than the last digit.
    """
    if val is None or not len(val):
        return None, None
    forward = replace(settings.resolved.mode, compile="no").forward_of(network)
    objective = settings.objective

    def scores_of(images: ImageSet) -> npt.NDArray[np.float64]:
        both = scores_of_images(
            network, images, settings.normalization, device=settings.resolved.device, forward=forward
        )
        return both[:, 0]

    scores = group.each_part(val, scores_of, evaluation_batch(val.images.shape[1:]))
    return one_measure(scores, val), objective.plain_of_scores(scores, val.answers)


def patience_is_over(state: TrainingState, patience: int) -> bool:
    """Return whether validation has not improved for `patience` epochs; never where that is 0."""
    return bool(patience) and state.best is not None and state.epoch - state.best.epoch >= patience
