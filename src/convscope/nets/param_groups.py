"""Parameter groups with learning rates of their own, declared by the network.

Most networks declare none, and all of their parameters use the recipe's learning rate. A network whose scores or biases
are of unusual scale declares the rates of these, and which filters may be rescaled without changing its output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch


@dataclass(frozen=True, kw_only=True)
class ParamGroup:
    """The settings of a parameter that is trained apart from the filters, by SGD on the mean loss of a step.

    Args:
        rate: its peak learning rate per image of the batch: a batch of 1,000 images has 1,000 times this rate.
        decay: its weight decay per image of the batch, at the peak rate: the share subtracted in a step.
        until: the share of the run in which it is trained; its rate decays to 0 there, then it is frozen.
    """

    rate: float
    decay: float = 0.0
    until: float = 1.0


@runtime_checkable
class HasParamGroups(Protocol):
    """A network that declares parameter groups."""

    def param_groups(self) -> Mapping[str, ParamGroup]:
        """Return the settings of parameters with a learning rate of their own, by name."""

    def scale_free(self) -> frozenset[str]:
        """Return the names of filters whose scale does not change the output, as a batch normalization follows."""


@runtime_checkable
class Whitened(Protocol):
    """A network whose first layer is fitted to the images before it is trained."""

    def fit_whitening(self, images: torch.Tensor) -> None:
        """Fit the first layer to normalised images (N, C, H, W)."""


def param_groups_of(network: object) -> Mapping[str, ParamGroup]:
    """Return the parameter groups that a network declares, by parameter name; empty for most networks."""
    return network.param_groups() if isinstance(network, HasParamGroups) else {}


def scale_free_of(network: object) -> frozenset[str]:
    """Return the names of the filters that a network declares to be scale-free."""
    return network.scale_free() if isinstance(network, HasParamGroups) else frozenset()
