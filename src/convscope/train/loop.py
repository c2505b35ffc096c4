"""The loop: epochs of steps, a validation after each, the best weights kept.

Every random draw is decided by the seed and where the run stands: the order by (seed, epoch), the augmentation by
(seed, epoch, step), dropout by (seed, epoch). So a run that goes on from the end of an epoch is the unbroken run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from convscope.data.augment import Augmentation, augment, generator_for, turns_of
from convscope.data.augmentation.mixing import mix
from convscope.data.augmentation.resolution import early_size, scaled_down
from convscope.data.batches import Batches, Normalization
from convscope.data.records import ImageSet
from convscope.errors import RunError
from convscope.nets.depth import train_mode
from convscope.train.answer import EVALUATION_BATCH, answer
from convscope.train.averaging import Average
from convscope.train.behind import Behind, Taken
from convscope.train.diagnosis import Diagnosis, diagnose, diagnose_weights, largest_gradient
from convscope.train.events import EpochRow, Listener
from convscope.train.measured import one_measure
from convscope.train.mode import Forward, Mode
from convscope.train.objective import Objective
from convscope.train.optimizers import make_optimizer, set_rate
from convscope.train.schedule import learning_rate_factor
from convscope.train.step import descend, differentiate
from convscope.train.team import Team
from convscope.train.watch import Watch

# The stream of dropout and other draws inside the network, counted down by process: no step has such a number.
NETWORK_STREAM = 2**23 - 1

# Devices that need not wait for a step's numbers to be read.
READ_LATE = ("cuda",)


class Diverged(RunError):
    """The loss stopped being a number; `of_data` says that the images or labels had brought one that is none."""

    def __init__(self, message: str, *, of_data: bool = False) -> None:
        super().__init__(message)
        self.of_data = of_data


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the loop needs of a recipe, in plain types."""

    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    depth_decay: float
    momentum: float
    weight_decay: float
    schedule: str
    warmup: float
    objective: Objective
    gradient_clip: float
    patience: int
    seed: int
    device: str
    mode: Mode
    augmentation: Augmentation
    normalization: Normalization
    # Epochs over which the weights are averaged (0: not), and the size of images in the first share of the steps.
    average: float = 0.0
    resolution_start: float = 1.0
    resolution_share: float = 0.0


@dataclass(frozen=True)
class Best:
    """The weights with the highest validation accuracy (the lower loss among equals), and the epoch they are from.

    Of several labels the mean average precision stands in the accuracy's place.
    """

    epoch: int
    accuracy: float | None
    loss: float | None
    weights: dict[str, Tensor]


@dataclass
class State:
    """How far a run has come: what changes while it trains. `epoch` and `step` count what is complete.

    Where the weights are averaged, `average` holds their mean, and it is the mean that answers and is kept.
    """

    network: nn.Module
    forward: Forward
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: Best | None = None
    rows: list[EpochRow] = field(default_factory=list)
    average: Average | None = None

    @property
    def answering(self) -> nn.Module:
        """The network that is measured and kept."""
        return self.network if self.average is None else self.average.network


def new_state(network: nn.Module, settings: Settings) -> State:
    """A network on its device, laid out for its mode, with a fresh optimizer."""
    network = network.to(settings.device)
    settings.mode.lay_out(network)
    optimizer = make_optimizer(
        settings.optimizer,
        network,
        learning_rate=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        batch_size=settings.batch_size,
        depth_decay=settings.depth_decay,
    )
    average = Average(network, settings.average) if settings.average else None
    return State(network, settings.mode.forward_of(network), optimizer, average=average)


def fit(
    state: State,
    settings: Settings,
    train: ImageSet,
    val: ImageSet | None,
    *,
    listener: Listener,
    keep: Callable[[State], None],
    stop: Callable[[], bool],
    team: Team | None = None,
) -> str:
    """Train until the epochs are done, patience is at its end, or `stop()`; says which: "done", "early" or "stopped".

    `keep(state)` is called at the end of each epoch. A stop in the middle of an epoch skips the rest of it; if no
    epoch was complete before, the weights as they are then are measured and kept. With a `team`, this process trains
    on its share of every batch.

    Raises:
        Diverged: the loss became NaN or infinite; `state.best` still holds the best weights before that.
        Lost: other processes of the team can't be reached any more.
    """
    team = team or Team()
    stop = team.heeding(stop)
    least = team.least_batch(state.network)
    batches = Batches(
        train,
        batch_size=settings.batch_size,
        shuffle=True,
        seed=settings.seed,
        device=settings.device,
        normalization=settings.normalization,
        # Batch normalisation has no variance of one value to divide by; the order differs in each epoch.
        drop_last=0 < len(train) % settings.batch_size < least and len(train) >= least,
        share=team.rows,
    )
    while state.epoch < settings.epochs:
        if _patience_is_over(state, settings.patience):
            return "early"
        trained = _train_epoch(state, settings, replace(batches, epoch=state.epoch), listener, stop, team)
        if trained is None:
            if state.best is None:
                _share_buffers(state, team)
                measured = _measure(state.answering, val, settings, team)
                state.best = Best(0, measured[0], measured[1], copy_weights(state.answering))
            return "stopped"
        began = time.perf_counter()
        _share_buffers(state, team)
        accuracy, loss = _measure(state.answering, val, settings, team)
        if loss is not None and not math.isfinite(loss):
            found = diagnose_weights(state.answering)
            raise _diverged("the validation loss", loss, state.epoch, state.step, trained.learning_rate, found)
        state.epoch += 1
        state.seconds += time.perf_counter() - began
        better = _is_better(accuracy, loss, state.best)
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
            return "done" if state.epoch == settings.epochs else "stopped"
    return "done"


def _share_buffers(state: State, team: Team) -> None:
    """Let all processes of a team have the same statistics, in the averaged network as well."""
    team.average_buffers(state.network)
    if state.average is not None:
        team.average_buffers(state.average.network)


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """The weights as they are now, on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in network.state_dict().items()}


def _train_epoch(
    state: State, settings: Settings, batches: Batches, listener: Listener, stop: Callable[[], bool], team: Team
) -> EpochRow | None:
    """One epoch's steps and what they measured, or None when it was stopped before its end."""
    watch = Watch(epoch=state.epoch, epochs=settings.epochs, batches=len(batches), seconds=state.seconds)
    steps = len(batches) * settings.epochs
    rate = settings.learning_rate
    train_mode(state.network)
    _seed_network(settings, state.epoch, team.rank)
    turns = turns_of(settings.augmentation, len(batches.image_set), settings.seed, settings.device)
    # Several processes must wait for one another in any case.
    behind = Behind(state.network) if settings.device in READ_LATE and team.size == 1 else None
    with closing(iter(batches)) as source:  # however this ends, so do the threads that decode
        for batch in range(len(batches)):
            if stop():
                if behind is not None:
                    _held(state, settings, behind)
                state.seconds += watch.elapsed
                return None
            images = batches.size_of(batch)
            # Steps are counted by place: a run whose epochs were added goes on at its place in the new schedule.
            step = state.epoch * len(batches) + batch
            with watch.waiting():
                pixels, labels, rows = next(source)
                generator = generator_for(settings.seed, state.epoch, batch, device=pixels.device)
                part = team.part(images)
                mirrored = None if turns is None else turns.mirrored(rows, state.epoch)
                pixels = augment(pixels, settings.augmentation, generator=generator, part=part, mirrored=mirrored)
                pixels, labels = mix(pixels, labels, settings.augmentation.mixing, generator=generator, part=part)
                early = settings.resolution_share * steps
                if step < early:
                    whole = (pixels.shape[2], pixels.shape[3])
                    pixels = scaled_down(pixels, early_size(whole, settings.resolution_start, step / early))
            rates = _rates(settings, step, steps, [row.val_accuracy for row in state.rows])
            rate = rates(1.0)
            set_rate(state.optimizer, rates)
            taken = Taken(pixels=pixels, labels=labels, images=images, step=step, rate=rate)
            counted = [_step(state, settings, taken, team, behind)]
            if state.average is not None:
                state.average.add(state.network, step, len(batches))
            if behind is not None and batch + 1 == len(batches):
                counted.append(_held(state, settings, behind))
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
            settings.schedule, step=step, steps=own_steps, warmup=settings.warmup, accuracies=accuracies
        )
        return settings.learning_rate * factor

    return rate


# How many images a step had, their mean loss, unsmoothed, and how many were answered rightly.
Counted = tuple[int, float, int]


def _step(state: State, settings: Settings, taken: Taken, team: Team, behind: Behind | None) -> Counted | None:
    """One step of gradient descent on a batch, and what it measured; with `behind`, what the step before measured."""
    labels = taken.labels
    # The shares' gradients add up to that of the mean over the global batch.
    weight = len(labels) / taken.images
    judged = differentiate(
        state.network, state.forward, state.optimizer, settings.objective, taken.pixels, labels, weight=weight
    )
    with torch.no_grad():
        plain = settings.objective.plain(judged.scores, labels)
        right = settings.objective.count_right(judged.scores, labels)
        numbers = (judged.main * weight, plain * weight, right, largest_gradient(state.network))
        counted: Counted | None
        if behind is None:
            counted = _checked(state, settings, taken, team.add_up(state.network, numbers))
        else:
            counted = _held(state, settings, behind)
            behind.hold(taken, numbers)
    descend(state.network, state.optimizer, gradient_clip=settings.gradient_clip)
    return counted


def _held(state: State, settings: Settings, behind: Behind) -> Counted | None:
    """What the step measured that is held, if any is; weights and gradients are its own where it went wrong."""
    held = behind.read()
    if held is None:
        return None
    taken, numbers = held
    if not _is_finite(numbers):
        behind.put_back()
        forward = replace(settings.mode, compile="no").forward_of(state.network)
        with torch.enable_grad():
            differentiate(
                state.network, forward, state.optimizer, settings.objective, taken.pixels, taken.labels, weight=1.0
            )
    return _checked(state, settings, taken, numbers)


def _is_finite(numbers: Sequence[float]) -> bool:
    value, _, _, steepest = numbers
    return math.isfinite(value) and math.isfinite(steepest)


def _checked(state: State, settings: Settings, taken: Taken, numbers: Sequence[float]) -> Counted:
    """What a step measured; raises Diverged where it is not finite, with the network as it was in that step."""
    value, loss, right, steepest = numbers
    if not _is_finite(numbers):
        what = ("the loss", value) if not math.isfinite(value) else ("a gradient", steepest)
        forward = replace(settings.mode, compile="no").forward_of(state.network)
        found = diagnose(state.network, forward, settings.objective, taken.pixels, taken.labels)
        raise _diverged(*what, state.epoch, taken.step + 1, taken.rate, found)
    return taken.images, loss, int(right)


def _diverged(what: str, value: float, epoch: int, step: int, rate: float, found: Diagnosis) -> Diverged:
    where = f"{what} became {value} at epoch {epoch + 1}, step {step}, with learning rate {rate:.3g}"
    return Diverged(f"{where}: {found.text}", of_data=found.of_data)


def _seed_network(settings: Settings, epoch: int, rank: int) -> None:
    """Seed the generators that dropout draws from; `train` has set the user's own aside meanwhile.

    Each process of a team has a stream of its own, lest it drop the same units as the others.
    """
    seed = generator_for(settings.seed, epoch, NETWORK_STREAM - rank).initial_seed()
    torch.default_generator.manual_seed(seed)
    if settings.device == "cuda":
        torch.cuda.manual_seed(seed)


def _measure(
    network: nn.Module, val: ImageSet | None, settings: Settings, team: Team
) -> tuple[float | None, float | None]:
    """Validation accuracy (mAP of several labels) and loss, or two Nones without a validation part.

    In the arithmetic of the training step: between epochs, speed counts for more than the last digit.
    """
    if val is None or not len(val):
        return None, None
    forward = replace(settings.mode, compile="no").forward_of(network)
    probabilities = team.answers(
        val,
        lambda images: answer(
            network,
            images,
            settings.normalization,
            objective=settings.objective,
            device=settings.device,
            forward=forward,
        ),
        EVALUATION_BATCH,
    )
    return one_measure(probabilities, val), settings.objective.plain_of_probabilities(probabilities, val.answers)


def _is_better(accuracy: float | None, loss: float | None, best: Best | None) -> bool:
    """Whether weights replace the best; without a validation part the last ones always do."""
    if best is None or best.loss is None or loss is None:
        return True
    return (accuracy or 0.0, -loss) > (best.accuracy or 0.0, -best.loss)


def _patience_is_over(state: State, patience: int) -> bool:
    return bool(patience) and state.best is not None and state.epoch - state.best.epoch >= patience
