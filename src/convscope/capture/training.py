"""The training memory of a model, for any batch size."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from convscope.capture.build import build_without_memory
from convscope.capture.capture import capture
from convscope.capture.inputs import Inputs
from convscope.graph.memory import TrainingMemory

# Two batch sizes tell what grows with the batch; one sample alone would fail batch normalisation.
_BATCHES = (2, 3)


def training_memory(
    model: nn.Module | Callable[[], nn.Module],
    inputs: Inputs,
    *,
    name: str = "",
    dtype: torch.dtype | None = None,
) -> TrainingMemory:
    """Work out what a training step keeps in memory, from what autograd really saves.

    Args:
        model: a module, left exactly as found; or a function that makes one, whose weights are then never allocated.
        inputs: the shape of one sample, or several in a list or dict; see `capture`.
        name: what to call it; its class's name unless given.
        dtype: element type of inputs that are given by shape; that of the model's weights unless given.

    Returns:
        The memory by batch size; ask `.at(64, optimizer="adam")` or `.largest_batch(8 * 2**30)`.

    Raises:
        CaptureError: the forward pass fails in training mode, or does other things on another batch size.

    >>> memory = training_memory(torch.nn.Sequential(torch.nn.Linear(100, 10), torch.nn.ReLU()), (100,))
    >>> memory.at(64).saved == 64 * (100 + 10) * 4
    True
    """
    built = model if isinstance(model, nn.Module) else build_without_memory(model)
    small, large = (
        capture(built, inputs, batch_size=size, name=name, mode="train", dtype=dtype, gradients=True)
        for size in _BATCHES
    )
    return TrainingMemory(small, large)
