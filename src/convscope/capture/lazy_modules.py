"""Models with lazy modules, whose weights have no size before a first run."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from convscope.api.generators import exclusive
from convscope.api.warning_filters import warnings_ignored
from convscope.capture.failures import first_line
from convscope.capture.inputs import Inputs, make_inputs
from convscope.capture.recording.backends import Real
from convscope.errors import CaptureError


def initialized(
    built: nn.Module,
    model: nn.Module | Callable[[], nn.Module],
    inputs: Inputs,
    batch_size: int | None,
    dtype: torch.dtype | None,
) -> nn.Module:
    """Return the model; where it has lazy modules a copy, or a new one, that ran once and has its sizes."""
    kinds: set[type] = set()
    for module in built.modules():
        kinds.update(map(type, module._parameters.values()), map(type, module._buffers.values()))
    if not any(issubclass(kind, UninitializedParameter | UninitializedBuffer) for kind in kinds):
        return built
    lazy = {id(tensor): (path, module, tensor) for path, module in built.named_modules() for tensor in _lazy_of(module)}
    try:
        # torch copies no tensor that has no size yet.
        fresh = {key: type(t)(device=t.device, dtype=t.dtype) for key, (_, _, t) in lazy.items()}
        ready = copy.deepcopy(built, dict(fresh)) if isinstance(model, nn.Module) else model()
        forward = make_inputs(inputs, batch_size=batch_size, dtype=dtype or torch.get_default_dtype(), backend=Real())
        modes = [(module, module.training) for module in ready.modules()]
        with torch.no_grad(), exclusive(None), warnings_ignored():
            ready.eval()(*forward.arguments, **forward.keywords)
    except CaptureError:
        raise
    except Exception as problem:
        path, module, _ = next(iter(lazy.values()))
        where = f"{path or 'the model'} ({type(module).__name__})"
        raise CaptureError(f"{where} has no size yet, and a first run fails: {first_line(problem)}") from problem
    for module, training in modes:
        module.training = training
    return ready


def _lazy_of(module: nn.Module) -> list[Any]:
    held: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
    return [tensor for tensors in held for tensor in tensors.values() if torch.nn.parameter.is_lazy(tensor)]
