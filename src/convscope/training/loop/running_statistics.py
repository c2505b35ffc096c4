"""The running statistics of batch normalization, measured anew before validation where an epoch has few steps.

A running mean moves a tenth of the way at each step. In an epoch of few steps, at a high rate, it lags so far behind
the weights that the validation loss is in the hundreds. Statistics of the weights as they are are the mean over a few
training batches (Wu and Johnson, "Rethinking 'batch' in BatchNorm", 2021, section 3). Training does not read running
statistics, so it is the same with and without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from convscope.nets.modules import TorchBatchNorm, modes_restored

# Epochs of more steps than this keep the running statistics of the steps: they span the last ten or twenty of them.
FEW_STEPS = 20
BATCHES = 2


def images_measured_anew(epoch_steps: int, batch_size: int) -> int:
    """Return on how many images running statistics are measured anew after an epoch; 0 where it has many steps.

    >>> images_measured_anew(1, 48), images_measured_anew(5, 48), images_measured_anew(50, 48)
    (48, 96, 0)
    """
    return min(BATCHES, epoch_steps) * batch_size if epoch_steps <= FEW_STEPS else 0


def measured_anew(network: nn.Module, learning: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of a network to their mean over batches of images.

    Only those that `learning`, the network that is trained, is in training mode for: frozen ones stay. All other
    modules are in evaluation mode meanwhile, so that nothing is drawn for dropout.
    """
    pairs = zip(network.modules(), learning.modules(), strict=True)
    norms = [own for own, trained in pairs if isinstance(own, TorchBatchNorm) and trained.training]
    norms = [norm for norm in norms if norm.running_mean is not None]
    if not norms:
        return
    with modes_restored(network), _cumulative(norms), torch.no_grad():
        network.eval()
        for norm in norms:
            norm.train()
        for pixels in batches:
            network(pixels)


@contextmanager
def _cumulative(norms: list[TorchBatchNorm]) -> Iterator[None]:
    """Let running statistics be plain means from here on, inside; momentum and count are put back."""
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    try:
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = None, torch.tensor(0)
        yield
    finally:
        for norm, momentum, count in before:
            norm.momentum, norm.num_batches_tracked = momentum, count
