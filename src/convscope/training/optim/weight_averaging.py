"""Weight averaging: an exponential moving average of the weights, which generalizes better while rates are high.

Its time constant is given in epochs, so that it does not depend on the batch size (Polyak
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
    what it is now, where an epoch has `steps` steps: the plain mean at first, then the last `epochs` count most.
    """

    def __init__(self, network: nn.Module, epochs: float) -> None:
        self.network = copy.deepcopy(network)
        self.network.requires_grad_(False)
        self._epochs = epochs

    def share(self, step: int, steps: int) -> float:
        """Return the weight of the network after `step` (from 0) in the mean, in epochs of `steps` steps."""
        return max(1 - math.exp(-1 / (self._epochs * steps)), 1 / (step + 1))

    @torch.no_grad()
    def add(self, network: nn.Module, step: int, steps: int) -> None:
        """Add the network as it is after `step` (from 0) to the mean, in epochs of `steps` steps."""
        pairs = list(zip(_numbers(self.network), _numbers(network), strict=True))
        real = [(mean, now) for mean, now in pairs if mean.is_floating_point()]
        torch._foreach_lerp_([mean for mean, _ in real], [now for _, now in real], self.share(step, steps))
        for mean, now in pairs:
            if not mean.is_floating_point():
                mean.copy_(now)


def _numbers(network: nn.Module) -> Iterator[Tensor]:
    yield from (parameter.detach() for parameter in network.parameters())
    yield from network.buffers()
