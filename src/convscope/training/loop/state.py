"""What the loop is given, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from convscope.data.augment import Augmentation, fitted
from convscope.data.preprocessing import Normalization
from convscope.hardware.mode import ForwardPass
from convscope.runs.events import EpochRow
from convscope.runs.model_spec import ModelSpec
from convscope.scoring.objective import Objective, make_objective
from convscope.training.optim.optimizers import make_optimizer
from convscope.training.optim.weight_averaging import Average
from convscope.training.resolve.resolved_recipe import ResolvedRecipe


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the loop reads: the resolved recipe, and what is fitted to the training images."""

    resolved: ResolvedRecipe
    objective: Objective
    augmentation: Augmentation
    normalization: Normalization


def loop_settings(resolved: ResolvedRecipe, spec: ModelSpec, train: ImageSet) -> Settings:
    """Return the resolved recipe with what is fitted to the training images."""
    recipe = resolved.recipe
    classes = spec.classes
    counts = np.bincount(train.labels, minlength=len(classes)) if train.targets is None else train.targets.sum(0, int)
    objective = make_objective(recipe, counts.tolist(), classes=classes, images=len(train), device=resolved.device)
    return Settings(
        resolved=resolved,
        objective=objective,
        augmentation=fitted(resolved.augmentation, train, spec.normalization),
        normalization=spec.normalization,
    )


@dataclass(frozen=True)
class Best:
    """The weights with the highest validation accuracy (the lower loss among equals), and the epoch they are from.

    Of several labels the mean average precision stands in the accuracy's place.
    """

    epoch: int
    accuracy: float | None
    loss: float | None
    weights: dict[str, Tensor]

    @property
    def measures(self) -> dict[str, float | int | None]:
        """Everything but the weights."""
        return {"epoch": self.epoch, "accuracy": self.accuracy, "loss": self.loss}


def is_better(accuracy: float | None, loss: float | None, best: Best | None) -> bool:
    """Whether weights replace the best; without a validation part the last ones always do."""
    if best is None or best.loss is None or loss is None:
        return True
    return (accuracy or 0.0, -loss) > (best.accuracy or 0.0, -best.loss)


@dataclass
class TrainingState:
    """How far a run has come: what changes while it trains. `epoch` and `step` count what is complete.

    Where the weights are averaged, `average` holds their mean, and it is the mean that answers and is kept.
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

    @property
    def answering(self) -> nn.Module:
        """The network that is measured and kept."""
        return self.network if self.average is None else self.average.network


def new_state(network: nn.Module, resolved: ResolvedRecipe) -> TrainingState:
    """A network on its device, laid out for its mode, with a fresh optimizer."""
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


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """The weights as they are now, on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in network.state_dict().items()}
