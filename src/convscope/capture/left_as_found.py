"""Run a user's model and leave it exactly as it was, also when its forward fails."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from convscope.capture.mode import Mode


@contextmanager
def quiet() -> Iterator[None]:
    """Keep a model's own warnings for its real runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def left_as_found(model: nn.Module, mode: Mode) -> Iterator[None]:
    """Put the model into `mode` and give everything back afterwards.

    Restored: each module's own training flag, each parameter's `requires_grad`, which buffers and parameters the
    modules hold, and the random states of torch, NumPy and Python.
    """
    modules = list(model.modules())
    training = [module.training for module in modules]
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    held = [(module._parameters.copy(), module._buffers.copy()) for module in modules]
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
            if module._parameters != parameters or module._buffers != buffers:
                module._parameters.update(parameters)
                module._buffers.update(buffers)
        for parameter, flag in wanted:
            if parameter.requires_grad != flag:
                parameter.requires_grad_(flag)
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])  # noqa: NPY002 - see above
