"""What is done to any network's modules: replace them, set their mode for a while, find what normalizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

Module = TypeVar("Module", bound=nn.Module)

# What normalizes over the batch: its output depends on the other images, and it keeps running statistics.
TorchBatchNorm = _BatchNorm
NORMALIZATIONS = (TorchBatchNorm, nn.LayerNorm, nn.GroupNorm)


def has_batch_norm(network: nn.Module) -> bool:
    """Return whether any module normalizes over the batch.

    >>> has_batch_norm(nn.Sequential(nn.BatchNorm2d(2))), has_batch_norm(nn.Sequential(nn.GroupNorm(1, 2)))
    (True, False)
    """
    return any(isinstance(module, TorchBatchNorm) for module in network.modules())


def replace_modules(network: nn.Module, kind: type[Module], make: Callable[[Module], nn.Module | None]) -> int:
    """Replace each module of a kind by `make(module)`, or keep it where that is None; return the number of places.

    A module that is registered in two places is replaced by one module in both.

    >>> network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.ReLU()))
    >>> replace_modules(network, nn.ReLU, lambda relu: nn.Tanh()), type(network[2][0]).__name__
    (2, 'Tanh')
    """
    made: dict[nn.Module, nn.Module | None] = {}
    replaced = 0
    for parent in list(network.modules()):
        # `_modules` and not named_children, which lists a module that a parent registers twice only once.
        for name, child in list(parent._modules.items()):
            if not isinstance(child, kind):
                continue
            if child not in made:
                made[child] = make(child)
            if (new := made[child]) is not None:
                setattr(parent, name, new.train(child.training))
                replaced += 1
    return replaced


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode inside; each module's own mode is restored after."""
    with modes_restored(network):
        network.eval()
        yield


@contextmanager
def modes_restored(network: nn.Module) -> Iterator[None]:
    """Restore the mode of each module after, whatever is set inside.

    Module by module, because a network need not be in one mode: frozen layers stay in evaluation mode.
    """
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
