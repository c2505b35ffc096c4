"""Run a user's model and leave it exactly as it was, also when its forward fails."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Literal

import torch
from torch import nn

from convscope.api.generators import exclusive
from convscope.api.surroundings import surroundings_restored
from convscope.api.warning_filters import warnings_ignored
from convscope.nets.attributes import put_back, remember

# "eval": every module in evaluation; "train": every module in training; "as is": as the user left them.
CaptureMode = Literal["eval", "train", "as is"]


@contextmanager
def left_as_found(model: nn.Module, mode: CaptureMode) -> Iterator[None]:
    """Put the model into `mode` and give everything back afterwards.

    Restored: every module's attributes, among them training flags, hooks, parameters, buffers and whatever a forward
    caches; every parameter's `requires_grad` and gradient; the memory of parameters and buffers, where a forward gives
    them another by `weight.data = ...`; random states, as `exclusive(None)` does; the folder, the environment and
    signal handlers.
    """
    with ExitStack() as surroundings:
        for surrounding in (
            exclusive(None),
            surroundings_restored(),
            warnings_ignored(),
            _uncompiled(),
            garbage_left(),
        ):
            surroundings.enter_context(surrounding)
        # Only now: a capture in another thread may have had the model in a mode of its own.
        remembered = [(module, *remember(module)) for module in model.modules()]
        held = (p for module, _, _ in remembered for p in module._parameters.values() if p is not None)
        wanted = [(parameter, parameter.requires_grad, parameter.grad) for parameter in held]
        memories = _memories_of([module for module, _, _ in remembered])
        held_by_script = _scripted_attributes(model)
        try:
            if mode != "as is":
                # A network that was exported in one mode refuses to change it, and runs as it is.
                with suppress(NotImplementedError):
                    model.train() if mode == "train" else model.eval()
            yield
        finally:
            for module, attributes, contents in remembered:
                put_back(module.__dict__, attributes, contents)
            for scripted, name, value in held_by_script:
                if getattr(scripted, name) is not value:
                    setattr(scripted, name, value)
            for tensor, memory in memories:
                if not _is_same_memory(tensor, memory):
                    tensor.data = memory
            for parameter, flag, gradient in wanted:
                if parameter.requires_grad != flag:
                    parameter.requires_grad_(flag)
                if parameter.grad is not gradient:
                    parameter.grad = gradient


def _scripted_attributes(model: nn.Module) -> list[tuple[torch.jit.ScriptModule, str, Any]]:
    """Return the attributes of scripted modules, among them their modes: TorchScript holds them, and not Python."""
    found = []
    for module in model.modules():
        if isinstance(module, torch.jit.ScriptModule):
            known: dict[str, Any] = getattr(module.__dict__.get("_concrete_type"), "get_attributes", dict)()
            names = {"training", *known} - set(module._parameters.keys())
            found += [(module, name, getattr(module, name)) for name in sorted(names) if module._c.hasattr(name)]
    return found


def _memories_of(modules: list[nn.Module]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return the plain parameters and buffers of modules, each with another tensor of the same memory."""
    held = (t for module in modules for tensors in (module._parameters, module._buffers) for t in tensors.values())
    plain = {
        id(t): t
        for t in held
        if t is not None and type(t) in (torch.Tensor, nn.Parameter) and t.layout is torch.strided
    }
    return [(tensor, tensor.data) for tensor in plain.values()]


def _is_same_memory(tensor: torch.Tensor, memory: torch.Tensor) -> bool:
    if tensor.untyped_storage()._cdata != memory.untyped_storage()._cdata:
        return False
    return (tensor.shape, tensor.stride(), tensor.storage_offset()) == (
        memory.shape, memory.stride(), memory.storage_offset(),
    )  # fmt: skip


@contextmanager
def _uncompiled() -> Iterator[None]:
    """Let compiled modules run as they were written; without the compiler loaded there are none."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


@contextmanager
def garbage_left() -> Iterator[None]:
    """Put off garbage collection: a capture keeps what it makes, and a full collection takes longer than it."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
