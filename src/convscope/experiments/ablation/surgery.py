"""Taking parts out of a network, in place: each function returns in how many places it replaced a module.

The weights that are left are the very ones that the whole network started from.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from convscope.api.generators import exclusive
from convscope.nets.modules import TorchBatchNorm, modes_restored, replace_modules


def sigmoid_for_relu(network: nn.Module, batch: Tensor | None) -> int:
    """Replace each ReLU by a sigmoid."""
    return replace_modules(network, nn.ReLU, lambda relu: nn.Sigmoid())


def tanh_for_relu(network: nn.Module, batch: Tensor | None) -> int:
    """Replace each ReLU by a hyperbolic tangent."""
    return replace_modules(network, nn.ReLU, lambda relu: nn.Tanh())


def without_dropout(network: nn.Module, batch: Tensor | None) -> int:
    """Replace each active dropout by the identity."""
    return replace_modules(network, _DropoutNd, lambda dropout: nn.Identity() if dropout.p > 0 else None)


def average_for_max_pooling(network: nn.Module, batch: Tensor | None) -> int:
    """Replace each max pooling by the average of the same windows; padding is not averaged in."""
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
    """Replace each batch normalization by a scale and a shift, which do not depend on the batch.

    They start as what normalization does to `batch` (N, C, H, W), the first of the training images, so that the
    network starts as the same function at the same scale (data-dependent initialization: Salimans and Kingma 2016,
    section 3); what is removed is the normalizing of every batch. Without a batch they start as what is stored.
    """
    seen = {} if batch is None else _statistics(network, batch)
    return replace_modules(network, TorchBatchNorm, lambda norm: _folded(norm, seen.get(norm)))


Statistics = tuple[Tensor, Tensor]


def _folded(norm: TorchBatchNorm, seen: Statistics | None) -> nn.Module | None:
    """Return the scale and shift that normalizing by these means and variances, or by the stored ones, comes to."""
    mean, variance = seen or (norm.running_mean, norm.running_var)
    if mean is None or variance is None:
        return None
    deviation = torch.sqrt(variance + norm.eps)
    scale = 1 / deviation if norm.weight is None else norm.weight.detach() / deviation
    shift = -mean * scale if norm.bias is None else norm.bias.detach() - mean * scale
    return ChannelAffine(scale, shift)


def _statistics(network: nn.Module, batch: Tensor) -> dict[TorchBatchNorm, Statistics]:
    """Return the mean and variance of each channel at each normalization, for the batch in training mode."""
    seen: dict[TorchBatchNorm, Statistics] = {}

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, TorchBatchNorm)
        axes = [axis for axis in range(inputs[0].ndim) if axis != 1]
        variance, mean = torch.var_mean(inputs[0], dim=axes, correction=0)
        seen[module] = mean, variance

    hooks = [m.register_forward_pre_hook(look) for m in network.modules() if isinstance(m, TorchBatchNorm)]
    try:
        with modes_restored(network), exclusive(), torch.no_grad():
            network.train()
            network(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return seen
