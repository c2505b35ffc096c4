"""What a network may tell of how it wants to be trained: which parameters learn at a pace of their own.

Most networks say nothing, and all of their parameters learn at the recipe's rate. One whose scores or biases are far
from ordinary size knows better than any rule how fast these should move, and which filters may be rescaled at will.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch


@dataclass(frozen=True, kw_only=True)
class ParamGroup:
    """How fast a parameter learns beside the filters, by steepest descent on the mean loss of a step.

    Args:
        rate: its highest learning rate for each image of a step: a step of 1,000 images has 1,000 times this rate.
        decay: the share of itself that it loses for each image of a step, at the highest rate.
        until: the share of the run in which it learns; its rate falls to 0 there, and it is frozen from then on.
    """

    rate: float
    decay: float = 0.0
    until: float = 1.0


@runtime_checkable
class HasParamGroups(Protocol):
    """A network that says how fast its parameters learn."""

    def param_groups(self) -> Mapping[str, ParamGroup]:
        """The parameters that have a pace of their own, by name."""

    def scale_free(self) -> frozenset[str]:
        """The filters, by name, whose scale changes no answer, since a batch normalization follows."""


@runtime_checkable
class Whitened(Protocol):
    """A network whose first layer is fitted to the images before it is trained."""

    def fit_whitening(self, images: torch.Tensor) -> None:
        """Fit it to normalised images (N, C, H, W)."""


def param_groups_of(network: object) -> Mapping[str, ParamGroup]:
    """The parameters of a network that have a pace of their own; of most networks none."""
    return network.param_groups() if isinstance(network, HasParamGroups) else {}


def scale_free_of(network: object) -> frozenset[str]:
    """The filters of a network that may have any scale, as far as it says so."""
    return network.scale_free() if isinstance(network, HasParamGroups) else frozenset()
