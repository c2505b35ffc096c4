"""Taking parts out of a network, in place: each function says how many modules it replaced.

The weights that are left are the very ones that the whole network started from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

Module = TypeVar("Module", bound=nn.Module)


def replace_modules(network: nn.Module, kind: type[Module], make: Callable[[Module], nn.Module | None]) -> int:
    """Put `make(module)` in the place of each module of this kind; where it is None the module stays.

    A module that stands in two places is replaced by one module in both.

    >>> network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.ReLU()))
    >>> replace_modules(network, nn.ReLU, lambda relu: nn.Tanh()), type(network[2][0]).__name__
    (2, 'Tanh')
    """
    made: dict[nn.Module, nn.Module | None] = {}
    replaced = 0
    for parent in list(network.modules()):
        # `_modules` and not named_children, which names a module that stands twice in one parent only once.
        for name, child in list(parent._modules.items()):
            if not isinstance(child, kind):
                continue
            if child not in made:
                made[child] = make(child)
            if (new := made[child]) is not None:
                setattr(parent, name, new.train(child.training))
                replaced += 1
    return replaced


def sigmoid_for_relu(network: nn.Module, batch: Tensor | None) -> int:
    """A sigmoid in the place of each ReLU."""
    return replace_modules(network, nn.ReLU, lambda relu: nn.Sigmoid())


def tanh_for_relu(network: nn.Module, batch: Tensor | None) -> int:
    """A hyperbolic tangent in the place of each ReLU."""
    return replace_modules(network, nn.ReLU, lambda relu: nn.Tanh())


def without_dropout(network: nn.Module, batch: Tensor | None) -> int:
    """Nothing in the place of each dropout that drops."""
    return replace_modules(network, _DropoutNd, lambda dropout: nn.Identity() if dropout.p > 0 else None)


def average_for_max_pooling(network: nn.Module, batch: Tensor | None) -> int:
    """The average of the same windows in the place of their maximum; padding is not averaged in."""
    return replace_modules(network, nn.MaxPool2d, _average)


def _average(pool: nn.MaxPool2d) -> nn.Module | None:
    if pool.dilation not in (1, (1, 1)):
        return None  # torch averages no windows with holes
    sizes = (pool.kernel_size, pool.stride, pool.padding)
    return nn.AvgPool2d(*sizes, ceil_mode=pool.ceil_mode, count_include_pad=False)


class ChannelAffine(nn.Module):
    """What batch normalization leaves when it stops normalizing: a learned scale and shift of each channel.

    (N, C, ...) to the same.
    """

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(scale)
        self.bias = nn.Parameter(shift)

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift."""
        shape = (1, -1) + (1,) * (x.ndim - 2)
        return x * self.weight.view(shape) + self.bias.view(shape)


def without_batch_norm(network: nn.Module, batch: Tensor | None) -> int:
    """A scale and a shift that no longer look at the batch, in the place of each batch normalization.

    They start as what normalization does to `batch` (N, C, H, W), the first of the training images, so that the
    network starts as the same function at the same scale (data-dependent initialization: Salimans and Kingma 2016,
    section 3); what is removed is the normalizing of every batch. Without a batch they start as what is stored.
    """
    if batch is not None:
        with _statistics_of_one_batch(network), torch.no_grad():
            network(batch)
    return replace_modules(network, _BatchNorm, _folded)


def _folded(norm: _BatchNorm) -> nn.Module | None:
    if norm.running_mean is None or norm.running_var is None:
        return None
    deviation = torch.sqrt(norm.running_var + norm.eps)
    scale = 1 / deviation if norm.weight is None else norm.weight.detach() / deviation
    shift = -norm.running_mean * scale if norm.bias is None else norm.bias.detach() - norm.running_mean * scale
    return ChannelAffine(scale, shift)


@contextmanager
def _statistics_of_one_batch(network: nn.Module) -> Iterator[None]:
    """Training mode in which what is stored becomes the statistics of the one batch that runs."""
    modes = [(module, module.training) for module in network.modules()]
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    network.train()
    for norm in norms:
        norm.momentum = 1.0
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training in modes:
            module.training = training
