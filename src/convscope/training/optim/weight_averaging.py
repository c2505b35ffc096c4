"""Weight averaging: beside the weights that learn goes a slow mean of them, which answers better while rates are high.

An exponential moving average over a time that is given in epochs, so that it does not depend on the batch size (Polyak
and Juditsky 1992 average all steps; Tarvainen and Valpola, "Mean teachers", NeurIPS 2017, section 2, forget the old).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class Average:
    """The moving average of a network's weights and of its normalisations' statistics, as a network of its own.

    After step t (from 0) each number is moved by max(1 - exp(-1 / (epochs * steps)), 1 / (t + 1)) of the way to
    what it is now, where an epoch has so many `steps`: the plain mean at first, then the last `epochs` count most.
    """

    def __init__(self, network: nn.Module, epochs: float) -> None:
        self.network = copy.deepcopy(network)
        self.network.requires_grad_(False)
        self._epochs = epochs

    def share(self, step: int, steps: int) -> float:
        """What the weights after `step` (from 0) count for, in epochs of so many steps."""
        return max(1 - math.exp(-1 / (self._epochs * steps)), 1 / (step + 1))

    @torch.no_grad()
    def add(self, network: nn.Module, step: int, steps: int) -> None:
        """Take in the network as it is after `step` (from 0), in epochs of so many steps."""
        pairs = list(zip(_numbers(self.network), _numbers(network), strict=True))
        real = [(mean, now) for mean, now in pairs if mean.is_floating_point()]
        torch._foreach_lerp_([mean for mean, _ in real], [now for _, now in real], self.share(step, steps))
        for mean, now in pairs:
            if not mean.is_floating_point():
                mean.copy_(now)


def _numbers(network: nn.Module) -> Iterator[Tensor]:
    yield from (parameter.detach() for parameter in network.parameters())
    yield from network.buffers()
