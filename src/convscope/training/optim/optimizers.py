"""The optimizers by name, with weight decay where it belongs and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from convscope.errors import RunError, did_you_mean
from convscope.nets.layer_groups import param_groups_of, rate_factors, scale_free_of
from convscope.report.usage import settings_text
from convscope.training.optim.muon import FILTERS, SCALE_FREE, MuonWithSGD

# Keys of a parameter group: a factor of the schedule's learning rate, and the share of the run in which its parameters
# are trained; see `set_rate`.
RATE_FACTOR, UNTIL = "rate_factor", "until"

# optimizer -> (images of a step, the highest learning rate there) that trained every network of the catalogue. It grows
# with the root of the batch: the noise of a step does, and twice the batch does not allow twice the rate in small sets.
BASE_RATE = {"sgd": (128, 0.05), "adamw": (128, 0.002), "muon": (128, 0.02)}
# Muon's, where the filters' scale is free: the rate is about the angle by which a step turns a layer. Larger batches
# allow no higher rate.
SCALE_FREE_RATE = (1000, 0.24)
# In Adam, the decay of the first moment: what momentum is in SGD.
MOMENTUM = {"sgd": 0.9, "adamw": 0.9, "muon": 0.6}
# The second moment of Adam (Kingma and Ba 2015, algorithm 1).
SECOND_MOMENT = 0.999
# No group has a higher rate: an optimizer multiplies and divides it in float32, which ends at 3e38.
HIGHEST_RATE = 1e30
# Against divergence, this part of the learning rate is proposed, or of the default one where that is lower.
GENTLER = 1 / 5


@dataclass(frozen=True)
class _Kind:
    """What parameters of one group have in common."""

    filters: bool
    scale_free: bool
    weight_decay: float
    factor: float
    until: float


def make_optimizer(
    name: str,
    network: nn.Module,
    *,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    batch_size: int = 128,
    layer_lr_decay: float = 1.0,
) -> torch.optim.Optimizer:
    """Return an optimizer of a network's weights; biases and normalization (one axis or none) are not decayed.

    A `layer_lr_decay` other than 1 multiplies the learning rate of each layer group by it once more, from the last
    to the first; see `set_rate`. A network that implements `HasParamGroups` gives learning rates of its own for the
    usual rate of the optimizer at `batch_size`; at another rate they are scaled by the same factor.

    Raises:
        RunError: an optimizer that does not exist, or not in this torch.
    """
    if name not in OPTIMIZERS:
        raise RunError(f"there is no optimizer {name!r}.{did_you_mean(name, OPTIMIZERS)}")
    by_depth = rate_factors(network, layer_lr_decay)
    # Adam divides by the gradient's own size, so that rates in units of the gradient have no meaning to it.
    param_groups, scale_free = param_groups_of(network), scale_free_of(network)
    usual = default_learning_rate(name, batch_size, network)
    alike: dict[_Kind, list[nn.Parameter]] = {}
    for weight, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        factor, decay, until = by_depth[weight], weight_decay if parameter.ndim > 1 else 0.0, 1.0
        if own := param_groups.get(weight):
            until = own.until
            if name != "adamw":
                factor *= own.rate * batch_size / usual
                decay = own.decay / own.rate
        elif name == "muon" and parameter.ndim <= 2:
            factor *= default_learning_rate("sgd", batch_size, network) / usual
        kind = _Kind(parameter.ndim > 2, weight in scale_free, decay, factor, until)
        alike.setdefault(kind, []).append(parameter)
    groups: Groups = [
        {
            "params": parameters,
            "weight_decay": kind.weight_decay,
            FILTERS: kind.filters,
            SCALE_FREE: kind.scale_free,
            RATE_FACTOR: kind.factor,
            UNTIL: kind.until,
        }
        for kind, parameters in alike.items()
    ]
    return OPTIMIZERS[name](groups, learning_rate, momentum)


def decays_any(name: str, network: nn.Module) -> bool:
    """Return whether the recipe's weight decay applies to any weights that are trained.

    Parameters with a learning rate of their own have a decay of their own, and Muon rescales filters of free scale.

    >>> from convscope.nets.cifarnet import cifarnet
    >>> decays_any("muon", cifarnet()), decays_any("sgd", cifarnet())
    (False, True)
    """
    apart = set() if name == "adamw" else {*param_groups_of(network)}
    if name == "muon":
        apart |= scale_free_of(network)
    return any(
        parameter.ndim > 1 and parameter.requires_grad and weight not in apart
        for weight, parameter in network.named_parameters()
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: Callable[[float], float]) -> None:
    """Set every group's learning rate to its own factor of the current one.

    `rate(until)` is the rate of parameters that are trained for that share of the run: 1 for nearly all. While it is 0
    the group's parameters are frozen, which saves computing their gradients; a plan that becomes much longer goes back
    in its schedule, and trains them again.
    """
    for group in optimizer.param_groups:
        group["lr"] = min(rate(group[UNTIL]) * group[RATE_FACTOR], HIGHEST_RATE)
        if group[UNTIL] < 1:
            learns = group["lr"] > 0
            for parameter in group["params"]:
                parameter.requires_grad_(learns)
                if not learns:
                    parameter.grad = None


Groups = list[dict[str, Any]]


def _sgd(groups: Groups, learning_rate: float, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, nesterov=momentum > 0)


def _adamw(groups: Groups, learning_rate: float, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(momentum, SECOND_MOMENT))


def _muon(groups: Groups, learning_rate: float, momentum: float) -> torch.optim.Optimizer:
    return MuonWithSGD(groups, learning_rate=learning_rate, momentum=momentum)


# optimizer -> how it is made from (groups of parameters, highest learning rate, momentum).
OPTIMIZERS: dict[str, Callable[[Groups, float, float], torch.optim.Optimizer]] = {
    "sgd": _sgd,
    "adamw": _adamw,
    "muon": _muon,
}


def default_learning_rate(optimizer: str, batch_size: int, network: nn.Module | None = None) -> float:
    """Return the default peak learning rate, rounded to two digits.

    >>> default_learning_rate("sgd", 64), default_learning_rate("adamw", 512)
    (0.035, 0.004)
    """
    images, rate = BASE_RATE[optimizer]
    grown = (batch_size / images) ** 0.5
    if optimizer == "muon" and scale_free_of(network):
        images, rate = SCALE_FREE_RATE
        grown = min(1.0, (batch_size / images) ** 0.5)
    return float(f"{rate * grown:.2g}")


def against_divergence(
    learning_rate: float, *, optimizer: str, batch_size: int, network: nn.Module, clipped: bool = False
) -> str:
    """Return what to do about a loss that grew or is not finite, as a clause.

    `learning_rate` is the schedule's peak; with `clipped`, gradients are clipped already.
    """
    rate = GENTLER * min(learning_rate, default_learning_rate(optimizer, batch_size, network))
    clip = "" if clipped else f", or set {settings_text(gradient_clip=1)}"
    lower = settings_text(learning_rate=float(f"{rate:.2g}"))
    return f"lower the rate, of at most {learning_rate:.3g}, say to {lower}{clip}"
