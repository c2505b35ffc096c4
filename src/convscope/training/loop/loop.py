"""The loop: epochs of steps, a validation after each, the best weights kept.

Every random draw is decided by the seed and where the run stands: the order by (seed, epoch), the augmentation by
(seed, epoch, step), dropout by (seed, epoch). So a run that goes on from the end of an epoch is the unbroken run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from convscope.data.augment import alternating_flip_of, augment, generator_for
from convscope.data.augmentation.mixing import mix
from convscope.data.augmentation.resolution import early_size, scaled_down
from convscope.data.batches import Batches
from convscope.data.records import ImageSet
from convscope.nets.layer_groups import train_mode
from convscope.runs.events import EpochRow, Listener
from convscope.scoring.answer import EVALUATION_BATCH, scores_of_images
from convscope.scoring.measured import one_measure
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.distributed.shared_batch_norm import least_batch
from convscope.training.loop.deferred_check import DeferredCheck, StepInput
from convscope.training.loop.diagnosis import diagnose_validation
from convscope.training.loop.epoch_meter import EpochMeter
from convscope.training.loop.guarded_step import DivergedError, guarded_step, read_held
from convscope.training.loop.state import Best, Settings, TrainingState, copy_weights, is_better
from convscope.training.optim.optimizers import set_rate
from convscope.training.optim.schedule import learning_rate_factor

# The stream of dropout and other draws inside the network, counted down by process: no step has such a number.
NETWORK_STREAM = 2**23 - 1

# Devices that need not wait for a step's numbers to be read.
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
) -> str:
    """Train until the epochs are done, patience is at its end, or `stop()`; says which: "done", "early" or "stopped".

    `keep(state)` is called at the end of each epoch. A stop in the middle of an epoch skips the rest of it; if no
    epoch was complete before, the weights as they are then are measured and kept. With a `group`, this process trains
    on its share of every batch.

    Raises:
        DivergedError: the loss became NaN or infinite; `state.best` still holds the best weights before that.
        Lost: other processes of the team can't be reached any more.
    """
    group = group or ProcessGroup()
    stop = group.heeding(stop)
    least = least_batch(state.network, group)
    batches = Batches(
        train,
        batch_size=settings.resolved.batch_size,
        shuffle=True,
        seed=settings.resolved.seed,
        device=settings.resolved.device,
        normalization=settings.normalization,
        # Batch normalisation has no variance of one value to divide by; the order differs in each epoch.
        drop_last=0 < len(train) % settings.resolved.batch_size < least and len(train) >= least,
        share=group.rows,
    )
    while state.epoch < settings.resolved.epochs:
        if _patience_is_over(state, settings.resolved.patience):
            return "early"
        trained = _train_epoch(state, settings, replace(batches, epoch=state.epoch), listener, stop, group)
        if trained is None:
            if state.best is None:
                _share_buffers(state, group)
                measured = _measure(state.answering, val, settings, group)
                state.best = Best(0, measured[0], measured[1], copy_weights(state.answering))
            return "stopped"
        began = time.perf_counter()
        _share_buffers(state, group)
        accuracy, loss = _measure(state.answering, val, settings, group)
        if loss is not None and not math.isfinite(loss):
            assert val is not None
            found = diagnose_validation(
                state.answering,
                replace(settings.resolved.mode, compile="no").forward_of(state.answering),
                Batches(
                    val,
                    batch_size=EVALUATION_BATCH,
                    device=settings.resolved.device,
                    normalization=settings.normalization,
                ),
            )
            raise DivergedError.at(
                "the validation loss", loss, epoch=state.epoch, step=state.step, rate=trained.learning_rate, found=found
            )
        state.epoch += 1
        state.seconds += time.perf_counter() - began
        better = is_better(accuracy, loss, state.best)
        if better:
            state.best = Best(state.epoch, accuracy, loss, copy_weights(state.answering))
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
        keep(state)
        if stop():
            return "done" if state.epoch == settings.resolved.epochs else "stopped"
    return "done"


def _share_buffers(state: TrainingState, group: ProcessGroup) -> None:
    """Let all processes of a team have the same statistics, in the averaged network as well."""
    group.average_buffers(state.network)
    if state.average is not None:
        group.average_buffers(state.average.network)


def _train_epoch(
    state: TrainingState,
    settings: Settings,
    batches: Batches,
    listener: Listener,
    stop: Callable[[], bool],
    group: ProcessGroup,
) -> EpochRow | None:
    """One epoch's steps and what they measured, or None when it was stopped before its end."""
    watch = EpochMeter(epoch=state.epoch, epochs=settings.resolved.epochs, batches=len(batches), seconds=state.seconds)
    steps = len(batches) * settings.resolved.epochs
    rate = settings.resolved.learning_rate
    train_mode(state.network)
    _seed_network(settings, state.epoch, group.rank)
    turns = alternating_flip_of(
        settings.augmentation, len(batches.image_set), settings.resolved.seed, settings.resolved.device
    )
    # Several processes must wait for one another in any case.
    behind = DeferredCheck(state.network) if settings.resolved.device in READ_LATE and group.size == 1 else None
    with closing(iter(batches)) as source:  # however this ends, so do the threads that decode
        for batch in range(len(batches)):
            if stop():
                if behind is not None:
                    read_held(state, settings, behind)
                state.seconds += watch.elapsed
                return None
            images = batches.size_of(batch)
            # Steps are counted by place: a run whose epochs were added goes on at its place in the new schedule.
            step = state.epoch * len(batches) + batch
            with watch.waiting():
                pixels, labels, rows = next(source)
                generator = generator_for(settings.resolved.seed, state.epoch, batch, device=pixels.device)
                part = group.part(images)
                mirrored = None if turns is None else turns.mirrored(rows, state.epoch)
                pixels = augment(pixels, settings.augmentation, generator=generator, part=part, mirrored=mirrored)
                pixels, labels = mix(pixels, labels, settings.augmentation.mixing, generator=generator, part=part)
                early = settings.resolved.progressive_resize_share * steps
                if step < early:
                    whole = (pixels.shape[2], pixels.shape[3])
                    pixels = scaled_down(
                        pixels, early_size(whole, settings.resolved.progressive_resize_start, step / early)
                    )
            rates = _rates(settings, step, steps, [row.val_accuracy for row in state.rows])
            rate = rates(1.0)
            set_rate(state.optimizer, rates)
            taken = StepInput(pixels=pixels, labels=labels, images=images, step=step, rate=rate)
            counted = [guarded_step(state, settings, taken, group, behind)]
            if state.average is not None:
                state.average.add(state.network, step, len(batches))
            if behind is not None and batch + 1 == len(batches):
                counted.append(read_held(state, settings, behind))
            for one in counted:
                if one is not None:
                    watch.count(*one)
            if shown := watch.due(batch + 1, rate):
                listener.stepped(shown)
    state.step += len(batches)
    state.seconds += watch.elapsed
    return watch.row(rate)


def _rates(settings: Settings, step: int, steps: int, accuracies: Sequence[float | None]) -> Callable[[float], float]:
    """The learning rate at a step, of what learns for the whole run (1) or for a share of it: 0 after that share."""

    def rate(until: float) -> float:
        own_steps = max(1, int(steps * until))
        if step >= own_steps:
            return 0.0
        factor = learning_rate_factor(
            settings.resolved.schedule,
            step=step,
            steps=own_steps,
            warmup=settings.resolved.warmup,
            accuracies=accuracies,
        )
        return settings.resolved.learning_rate * factor

    return rate


def _seed_network(settings: Settings, epoch: int, rank: int) -> None:
    """Seed the generators that dropout draws from; `train` has set the user's own aside meanwhile.

    Each process of a team has a stream of its own, lest it drop the same units as the others.
    """
    seed = generator_for(settings.resolved.seed, epoch, NETWORK_STREAM - rank).initial_seed()
    torch.default_generator.manual_seed(seed)
    if settings.resolved.device == "cuda":
        torch.cuda.manual_seed(seed)


def _measure(
    network: nn.Module, val: ImageSet | None, settings: Settings, group: ProcessGroup
) -> tuple[float | None, float | None]:
    """Validation accuracy (mAP of several labels) and loss, or two Nones without a validation part.

    In the arithmetic of the training step: between epochs, speed counts for more than the last digit.
    """
    if val is None or not len(val):
        return None, None
    forward = replace(settings.resolved.mode, compile="no").forward_of(network)
    objective = settings.objective

    def answers(images: ImageSet) -> npt.NDArray[np.float64]:
        both = scores_of_images(
            network, images, settings.normalization, device=settings.resolved.device, forward=forward
        )
        return both[:, 0]

    scores = group.answers(val, answers, EVALUATION_BATCH)
    return one_measure(objective.probabilities_of(scores), val), objective.plain_of_scores(scores, val.answers)


def _patience_is_over(state: TrainingState, patience: int) -> bool:
    return bool(patience) and state.best is not None and state.epoch - state.best.epoch >= patience
