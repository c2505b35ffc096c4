"""What is done to any network's modules: replace them, set their mode, copy them to the CPU, find what normalizes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from convscope.errors import CaptureError

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


def on_cpu(network: nn.Module, *, name: str) -> nn.Module:
    """Return a network itself where its numbers are on the CPU, or are none (meta), else a copy of it on the CPU.

    Raises:
        CaptureError: it can't be copied.
    """
    tensors = [*network.parameters(), *network.buffers()]
    if all(tensor.device.type in ("cpu", "meta") for tensor in tensors):
        return network
    moved: dict[int, Any] = {}
    for tensor in tensors:
        copied = tensor.detach().cpu()
        moved[id(tensor)] = nn.Parameter(copied, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else copied
    try:
        return copy.deepcopy(network, moved)
    except Exception as error:  # whatever a module's attributes raise when they are copied
        device = next(tensor.device for tensor in tensors if tensor.device.type not in ("cpu", "meta"))
        raise CaptureError(
            f"{name} is on {device} and can't be copied to the CPU: give it there, model.cpu()"
        ) from error


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
