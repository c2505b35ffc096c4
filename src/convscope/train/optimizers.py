"""The optimizers by name, with weight decay where it belongs and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from convscope.errors import RunError, did_you_mean
from convscope.nets.depth import rate_factors

# A group's own entry: how many times as fast as the schedule says its parameters learn.
RATE_FACTOR = "rate_factor"


def make_optimizer(
    name: str,
    network: nn.Module,
    *,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    depth_decay: float = 1.0,
) -> torch.optim.Optimizer:
    """An optimizer over a network's weights; biases and normalisation (one axis or none) are not decayed.

    With a `depth_decay` other than 1 each part learns so many times as fast as the one after it; see `set_rate`.

    Raises:
        RunError: an optimizer that does not exist.
    """
    if name not in OPTIMIZERS:
        raise RunError(f"no optimizer is called {name!r}.{did_you_mean(name, OPTIMIZERS)}")
    factors = rate_factors(network, depth_decay)
    alike: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for weight, parameter in network.named_parameters():
        if parameter.requires_grad:
            alike.setdefault((parameter.ndim > 1, factors[weight]), []).append(parameter)
    # Decayed groups come first, as parameters of more than one axis do.
    groups: Groups = [
        {"params": parameters, "weight_decay": weight_decay if decayed else 0.0, RATE_FACTOR: factor}
        for (decayed, factor), parameters in sorted(alike.items(), key=lambda item: (not item[0][0], -item[0][1]))
    ]
    return OPTIMIZERS[name](groups, learning_rate, momentum)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let every group learn at `rate` times its own factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group[RATE_FACTOR]


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
