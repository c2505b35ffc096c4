"""The optimizers by name, with weight decay where it belongs and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from convscope.errors import RunError, did_you_mean


def make_optimizer(
    name: str, network: nn.Module, *, learning_rate: float, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    """An optimizer over a network's weights; biases and normalisation (one axis or none) are not decayed.

    Raises:
        RunError: an optimizer that does not exist.
    """
    if name not in OPTIMIZERS:
        raise RunError(f"no optimizer is called {name!r}.{did_you_mean(name, OPTIMIZERS)}")
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return OPTIMIZERS[name]([group for group in groups if group["params"]], learning_rate, momentum)


Groups = list[dict[str, object]]


def _sgd(groups: Groups, learning_rate: float, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, nesterov=momentum > 0)


def _adamw(groups: Groups, learning_rate: float, momentum: float) -> torch.optim.Optimizer:
    # Adam's first moment is what `momentum` is to SGD; the second is the paper's (Kingma and Ba 2015, algorithm 1).
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(momentum, 0.999))


# optimizer -> how it is made from (groups of parameters, highest learning rate, momentum).
OPTIMIZERS: dict[str, Callable[[Groups, float, float], torch.optim.Optimizer]] = {"sgd": _sgd, "adamw": _adamw}

# optimizer -> the highest learning rate at a batch of 128 that trained every network of the catalogue. It grows with
# the root of the batch: the noise of a step does, and twice the batch does not bear twice the rate in small sets.
BASE_BATCH = 128
BASE_RATE = {"sgd": 0.05, "adamw": 0.002}


def default_learning_rate(optimizer: str, batch_size: int) -> float:
    """The highest learning rate that is taken when nobody says, rounded to two digits.

    >>> default_learning_rate("sgd", 64), default_learning_rate("adamw", 512)
    (0.035, 0.004)
    """
    rate = BASE_RATE[optimizer] * (batch_size / BASE_BATCH) ** 0.5
    return float(f"{rate:.2g}")
