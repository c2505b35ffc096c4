"""What the loop is given, how far a training is, and what is measured during an epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from convscope.data.augment import Augmentation, fitted
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.data.training_batches import TrainingBatches
from convscope.hardware.mode import ForwardPass
from convscope.recipe.class_weights import class_weights
from convscope.report.short_repr import ShortRepr
from convscope.runs.events import EpochRow, StepProgress
from convscope.runs.model_spec import ModelSpec
from convscope.scoring.objective import Objective
from convscope.training.loop.norms import LayerNormMeter
from convscope.training.optim.optimizers import make_optimizer
from convscope.training.optim.weight_averaging import Average
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.timing.step_plan import StepPlan

SHOW_EVERY_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the loop reads: the resolved recipe, and what is fitted to the training images."""

    resolved: ResolvedRecipe
    objective: Objective
    augmentation: Augmentation
    normalization: Normalization


def loop_settings(resolved: ResolvedRecipe, spec: ModelSpec, train: ImageSet) -> Settings:
    """Return the resolved recipe with what is fitted to the training images."""
    classes = spec.classes
    counts = np.bincount(train.labels, minlength=len(classes)) if train.targets is None else train.targets.sum(0, int)
    weights = class_weights(
        resolved.recipe.class_weights,
        classes=classes,
        counts=counts.tolist(),
        images=len(train),
        multi_label=resolved.loss == "multi-label",
    )
    objective = Objective(
        loss=resolved.loss,
        label_smoothing=resolved.label_smoothing,
        class_weights=None if weights is None else torch.tensor(weights, device=resolved.device),
    )
    return Settings(
        resolved=resolved,
        objective=objective,
        augmentation=fitted(resolved.augmentation, train, spec.normalization),
        normalization=spec.normalization,
    )


@dataclass(frozen=True, eq=False, repr=False)
class Best(ShortRepr):
    """The weights with the highest validation accuracy (the lower loss among equals), and the epoch they are from.

    With several labels, mean average precision takes the place of accuracy.
    """

    epoch: int
    accuracy: float | None
    loss: float | None
    weights: dict[str, Tensor] = field(repr=False)

    @property
    def measures(self) -> dict[str, float | int | None]:
        """Return everything but the weights."""
        return {"epoch": self.epoch, "accuracy": self.accuracy, "loss": self.loss}


def is_better(accuracy: float | None, loss: float | None, best: Best | None) -> bool:
    """Return whether weights replace the best; without validation images the last ones always do."""
    if best is None or best.loss is None or loss is None:
        return True
    return (accuracy or 0.0, -loss) > (best.accuracy or 0.0, -best.loss)


@dataclass
class TrainingState:
    """What changes while a run trains; `epoch` and `step` count what is complete.

    Where the weights are averaged, `average` holds their mean, and it is the mean that is measured and kept.
    """

    network: nn.Module
    forward: ForwardPass
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: Best | None = None
    rows: list[EpochRow] = field(default_factory=list)
    average: Average | None = None
    # None until the loop begins, and then that of the recipe.
    plan: StepPlan | None = None
    # Why the plan was changed before which step, since this process began.
    reasons: dict[int, str] = field(default_factory=dict)
    # Measures the layers at some steps, in the process that writes; None before the loop begins.
    norms: LayerNormMeter | None = None

    @property
    def planned(self) -> StepPlan:
        """The plan of its steps, once the loop has begun."""
        assert self.plan is not None, "the loop has not begun"
        return self.plan

    @property
    def evaluated(self) -> nn.Module:
        """Return the network that is measured and kept: the averaged one where there is one."""
        return self.network if self.average is None else self.average.network


def new_state(network: nn.Module, resolved: ResolvedRecipe) -> TrainingState:
    """Return a network on its device, laid out for its mode, with a fresh optimizer."""
    network = network.to(resolved.device)
    resolved.mode.lay_out(network)
    optimizer = make_optimizer(
        resolved.optimizer,
        network,
        learning_rate=resolved.learning_rate,
        momentum=resolved.momentum,
        weight_decay=resolved.weight_decay,
        batch_size=resolved.batch_size,
        layer_lr_decay=resolved.layer_lr_decay,
    )
    average = Average(network, resolved.ema_epochs) if resolved.ema_epochs else None
    return TrainingState(network, resolved.mode.forward_of(network), optimizer, average=average)


def batches_of(settings: Settings, train: ImageSet, *, share: Callable[[int], slice] | None = None) -> TrainingBatches:
    """Return the batches that a training with these settings has by its first plan; `share` as in TrainingBatches."""
    batches = TrainingBatches(
        train,
        batch_size=settings.resolved.batch_size,
        seed=settings.resolved.seed,
        augmentation=settings.augmentation,
        normalization=settings.normalization,
        device=settings.resolved.device,
        share=share,
        progressive_resize_start=settings.resolved.progressive_resize_start,
        progressive_resize_share=settings.resolved.progressive_resize_share,
    )
    return replace(batches, schedule_steps=first_plan(settings.resolved, len(batches)).steps)


def first_plan(resolved: ResolvedRecipe, epoch_steps: int) -> StepPlan:
    """Return the plan of a recipe's steps, or of its epochs where the steps are at auto."""
    asked = resolved.recipe.steps
    steps = resolved.epochs * epoch_steps if isinstance(asked, str) else asked
    return StepPlan.of(steps, epoch_steps=epoch_steps)


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the weights as they are now, on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in network.state_dict().items()}


class EpochMeter:
    """Loss, correct predictions and times of the epoch after `epoch` complete ones, which took `seconds`."""

    def __init__(self, *, epoch: int, seconds: float) -> None:
        self._epoch = epoch
        self._began = time.perf_counter()
        self._shown = self._began
        self._waited = 0.0
        self._images = 0
        self._loss = 0.0
        self._correct = 0
        # The mean of earlier epochs is what an epoch takes, its validation included.
        self._epoch_seconds = seconds / epoch if epoch else None

    @property
    def elapsed(self) -> float:
        """Return the seconds since the epoch began."""
        return time.perf_counter() - self._began

    def leave_out(self, seconds: float) -> None:
        """Leave out seconds in which the training was paused."""
        self._began += seconds
        self._shown += seconds

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time spent inside as waiting for data."""
        began = time.perf_counter()
        yield
        self._waited += time.perf_counter() - began

    def count(self, images: int, loss: float, correct: int) -> None:
        """Add a batch."""
        self._images += images
        self._loss += loss * images
        self._correct += correct

    def due(
        self, batch: int, rate: float, plan: StepPlan, seconds_left: Callable[[int], float | None]
    ) -> StepProgress | None:
        """Return the progress within the epoch if it is time to show it and anything was counted.

        The time left is `seconds_left(step)`, or by the mean of the epochs so far where that is None.
        """
        now, batches = time.perf_counter(), plan.steps_of(self._epoch)
        if not self._images:
            return None
        if now - self._shown < SHOW_EVERY_SECONDS and batch < batches:
            return None
        self._shown = now
        elapsed = now - self._began
        step = self._epoch * plan.epoch_steps + batch
        left = seconds_left(step)
        if left is None:
            epoch_seconds = self._epoch_seconds or elapsed / batch * plan.epoch_steps
            left = epoch_seconds / plan.epoch_steps * (plan.steps - step)
        return StepProgress(
            epoch=self._epoch + 1,
            epochs=plan.epochs,
            batch=batch,
            batches=batches,
            step=step,
            steps=plan.steps,
            loss=self._loss / self._images,
            accuracy=self._correct / self._images,
            learning_rate=rate,
            images_per_second=self._images / max(elapsed, 1e-9),
            seconds_left=left,
        )

    def row(self, rate: float) -> EpochRow:
        """Return the epoch's measures, before its validation."""
        elapsed = max(self.elapsed, 1e-9)
        return EpochRow(
            epoch=self._epoch + 1,
            seconds=elapsed,
            train_loss=self._loss / self._images,
            train_accuracy=self._correct / self._images,
            val_loss=None,
            val_accuracy=None,
            learning_rate=rate,
            images_per_second=self._images / elapsed,
            data_wait=self._waited / elapsed,
            best=False,
        )
