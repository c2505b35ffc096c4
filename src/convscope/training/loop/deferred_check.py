"""A step's numbers, read one step later, so that a GPU never waits to be asked for them.

A loss must be known to be finite before its gradients are stepped along. To ask a GPU makes it idle until the next
step's kernels arrive. So the step is taken, with the weights from before it kept, and its numbers travel meanwhile;
they are looked at once the next step's gradients are queued. What is found out late is found out exactly: the kept
weights are put back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class StepInput:
    """A step's batch (the process's share of `images`), its number in the run from 0, and its learning rate."""

    pixels: Tensor
    labels: Tensor
    images: int
    step: int
    rate: float


class DeferredCheck:
    """The last step that was taken on a network, while its numbers are not yet read."""

    def __init__(self, network: nn.Module) -> None:
        self._weights = [parameter.detach() for parameter in network.parameters()]
        self._before = [torch.empty_like(weight) for weight in self._weights]
        self._waiting: tuple[StepInput, _Numbers] | None = None

    def hold(self, taken: StepInput, numbers: Sequence[Tensor]) -> None:
        """Keep a step's numbers (scalars) and the weights as they are, before they are changed by it."""
        torch._foreach_copy_(self._before, self._weights)
        self._waiting = taken, _Numbers(numbers)

    def read(self) -> tuple[StepInput, list[float]] | None:
        """The step that is held and its numbers, once; None where none is held."""
        if self._waiting is None:
            return None
        taken, numbers = self._waiting
        self._waiting = None
        return taken, numbers.read()

    def put_back(self) -> None:
        """Let the weights be those from before the step that was held last."""
        torch._foreach_copy_(self._weights, self._before)


class _Numbers:
    """Numbers on their way to the CPU."""

    def __init__(self, numbers: Sequence[Tensor]) -> None:
        there = torch.stack([number.float() for number in numbers])
        # To pinned memory, behind what is queued now and before what is queued later.
        self._here = there.to("cpu", non_blocking=True)
        self._arrived: torch.cuda.Event | None = None
        if there.is_cuda:
            self._arrived = torch.cuda.current_stream(there.device).record_event()

    def read(self) -> list[float]:
        if self._arrived is not None:
            self._arrived.synchronize()
        found: list[float] = self._here.tolist()
        return found
