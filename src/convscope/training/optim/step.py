"""One step of gradient descent, in two halves: between them the loss is looked at, and processes add up."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from convscope.hardware.mode import ForwardPass
from convscope.scoring.objective import LossOutput, Objective


def differentiate(
    network: nn.Module,
    forward: ForwardPass,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    pixels: Tensor,
    targets: Tensor,
    *,
    weight: float = 1.0,
) -> LossOutput:
    """Leave the gradients of a batch's loss, times `weight`, in the parameters; pixels are (N, C, H, W)."""
    judged = objective.of_answer(network, forward(pixels), targets)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(judged.loss * weight)
    return judged


def descend(network: nn.Module, optimizer: torch.optim.Optimizer, *, gradient_clip: float) -> None:
    """Take the optimizer's step along the gradients, clipped to a norm where that is not 0."""
    if gradient_clip:
        nn.utils.clip_grad_norm_(network.parameters(), gradient_clip, error_if_nonfinite=False)
    optimizer.step()
