"""Run a user's model and leave it exactly as it was, also when its forward fails."""

from __future__ import annotations

import gc
import random
import sys
import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from convscope.capture.mode import Mode


def _put_back(held: MutableMapping[str, Any], before: dict[str, Any]) -> None:
    """The same objects under the same names as before; nothing is touched where nothing changed."""
    for name, tensor in before.items():
        if held[name] is not tensor:
            held[name] = tensor


@contextmanager
def uncompiled() -> Iterator[None]:
    """Let compiled modules run as they were written; without the compiler loaded there are none."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Keep a model's own warnings for its real runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def unhurried() -> Iterator[None]:
    """Put off garbage collection: a capture keeps what it makes, and a full collection takes longer than it."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def left_as_found(model: nn.Module, mode: Mode) -> Iterator[None]:
    """Put the model into `mode` and give everything back afterwards.

    Restored: each module's own training flag, each parameter's `requires_grad`, which buffers and parameters the
    modules hold, and the random states of torch, NumPy and Python.
    """
    modules = list(model.modules())
    training = [module.training for module in modules]
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    held = [(dict(module._parameters.items()), dict(module._buffers.items())) for module in modules]
    # NumPy's global state is the one that a user's forward would draw from.
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002 - see above
    try:
        if mode == "train":
            model.train()
        elif mode == "eval":
            model.eval()
        yield
    finally:
        for module, flag, (parameters, buffers) in zip(modules, training, held, strict=True):
            module.training = flag
            _put_back(module._parameters, parameters)
            _put_back(module._buffers, buffers)
        for parameter, flag in wanted:
            if parameter.requires_grad != flag:
                parameter.requires_grad_(flag)
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])  # noqa: NPY002 - see above
