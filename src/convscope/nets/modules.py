"""What is done to any network's modules: replace them, set their mode, copy them to the CPU, find what normalizes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
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

    Tensors that are plain attributes, which `Module.cpu` leaves where they are, are on the CPU in the copy, and a
    `torch.device` among the attributes is the CPU.

    Raises:
        CaptureError: it can't be copied.
    """
    elsewhere = [one for one in (*network.parameters(), *network.buffers()) if one.device.type not in ("cpu", "meta")]
    if not elsewhere:
        return network
    moved: dict[int, Any] = {}
    for attribute in _attributes(network):
        if isinstance(attribute, torch.device):
            moved[id(attribute)] = torch.device("cpu") if attribute.type != "meta" else attribute
        elif attribute.device.type != "meta":
            copied = attribute.detach().to("cpu", copy=True)
            kept = nn.Parameter(copied, attribute.requires_grad) if isinstance(attribute, nn.Parameter) else copied
            moved[id(attribute)] = kept
    try:
        return copy.deepcopy(network, moved)
    except Exception as error:  # whatever a module's attributes raise when they are copied
        raise CaptureError(
            f"{name} is on {elsewhere[0].device} and can't be copied to the CPU: give it there, model.cpu()"
        ) from error


def _attributes(network: nn.Module) -> Iterator[torch.Tensor | torch.device]:
    """Yield each tensor and device that is an attribute of a module, in lists, tuples and dicts too."""
    seen: set[int] = set()
    left: list[Any] = [vars(module) for module in network.modules()]
    while left:
        value = left.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, (torch.Tensor, torch.device)):
            yield value
        elif isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, (list, tuple)):
            left.extend(value)


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
