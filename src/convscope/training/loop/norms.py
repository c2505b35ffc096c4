"""Norms of each layer's outputs and gradients, measured at a few steps of a training without changing it.

At a sampled step the layers' outputs are looked at in the step's own forward pass, and the gradients after its backward
pass. A compiled forward pass calls no hooks: there the outputs are those of a few of the step's images in evaluation
mode, computed beside it. Numbers stay on the device until an epoch ends, so that no step waits for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from convscope.hardware.mode import ForwardPass
from convscope.nets.modules import evaluation_mode
from convscope.runs.layer_norms import NormSample

# One step in LEAST_STEPS is sampled at most, and MOST_SAMPLES steps of a run.
LEAST_STEPS, MOST_SAMPLES = 20, 200
# Images that are run beside a compiled step.
BESIDE = 16


class LayerNormMeter:
    """Measures the norms of a network's layers while it trains.

    Args:
        network: the network that is trained.
        steps: how many steps are planned.
        uncompiled: its forward pass where the training's own is compiled, else None.
    """

    def __init__(self, network: nn.Module, *, steps: int, uncompiled: ForwardPass | None = None) -> None:
        self._network = network
        self._layers = layers_with_weights(network)
        self._every = max(LEAST_STEPS, -(-steps // MOST_SAMPLES))
        self._uncompiled = uncompiled
        self._outputs: dict[str, Tensor] = {}
        # Step, and by layer the norms, while they are on the device.
        self._taken: list[tuple[int, dict[str, Tensor], dict[str, Tensor]]] = []

    def is_due(self, step: int) -> bool:
        """Return whether a step of the run is sampled."""
        return step % self._every == 0

    @contextmanager
    def watching(self, step: int, pixels: Tensor) -> Iterator[None]:
        """Look at the layers' outputs of a sampled step's forward pass inside."""
        self._outputs = {}
        if not self.is_due(step) or not len(pixels):
            yield
            return
        if self._uncompiled is not None:
            with evaluation_mode(self._network), torch.no_grad(), self._hooked():
                self._uncompiled(pixels[:BESIDE])
            yield
            return
        with self._hooked():
            yield

    def take(self, step: int) -> None:
        """Take the gradients of a sampled step, once they are complete and before they are clipped."""
        if not self.is_due(step):
            return
        gradients = {
            name: root_mean_square(weight.grad)
            for name, module in self._layers.items()
            if (weight := _weight(module)) is not None and weight.grad is not None
        }
        self._taken.append((step, self._outputs, gradients))
        self._outputs = {}

    def read(self, epoch_steps: int) -> list[NormSample]:
        """Return what was measured since the last call; of an epoch's steps, each sample has its place in epochs."""
        taken, self._taken = self._taken, []
        return [
            NormSample(step=step, epoch=step / max(1, epoch_steps), outputs=_read(outputs), gradients=_read(gradients))
            for step, outputs, gradients in taken
        ]

    @contextmanager
    def _hooked(self) -> Iterator[None]:
        handles = [module.register_forward_hook(self._hook(name)) for name, module in self._layers.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, name: str) -> Any:
        def look(module: nn.Module, given: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_floating_point():
                self._outputs.setdefault(name, root_mean_square(output))

        return look


def layers_with_weights(network: nn.Module) -> dict[str, nn.Module]:
    """Return the layers with weights of two axes and more, by name; normalizations have none."""
    return {name: module for name, module in network.named_modules() if _weight(module) is not None}


def root_mean_square(numbers: Tensor) -> Tensor:
    """Return the root mean square of a tensor's numbers, float32, on its device.

    >>> root_mean_square(torch.tensor([3.0, 4.0])) ** 2
    tensor(12.5000)
    """
    norm: Tensor = torch.linalg.vector_norm(numbers.detach(), dtype=torch.float32)
    return norm / math.sqrt(max(1, numbers.numel()))


def _weight(module: nn.Module) -> nn.Parameter | None:
    weight = module._parameters.get("weight")
    return weight if weight is not None and weight.ndim >= 2 else None


def _read(norms: dict[str, Tensor]) -> dict[str, float | None]:
    """Return norms on the CPU: one copy for all of them."""
    if not norms:
        return {}
    return dict(zip(norms, torch.stack(list(norms.values())).tolist(), strict=True))
