"""Muon for a network's filters, and SGD with Nesterov's momentum for all other parameters.

Muon (Jordan and others, "Muon: An optimizer for hidden layers in neural networks", 2024) replaces a matrix's momentum
by the nearest orthogonal matrix, so that every direction of a layer learns equally fast. torch has it for matrices; a
convolution's filters are one, a row for each output channel. Biases, normalizations and fully connected layers are
left to plain momentum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from convscope.errors import RunError

# Newton-Schulz steps towards the orthogonal matrix: three are near enough for filters.
ORTHOGONAL_STEPS = 3
# Momentum of the other parameters, unless the filters have none.
SGD_MOMENTUM = 0.85
NEEDED = f"optimizer muon needs torch 2.9 or later, and this is {torch.__version__}"
# Keys of a parameter group: it holds filters; their scale does not change the network's output.
FILTERS, SCALE_FREE = "filters", "scale_free"


def has_muon() -> bool:
    """Return whether this torch has Muon."""
    return hasattr(torch.optim, "Muon")


class MuonWithSGD(torch.optim.Optimizer):
    """torch's Muon on groups with `filters` and torch's SGD on the others, as one optimizer.

    `momentum` is that of the filters; without it, the others have none either.

    Filters of a group that is `scale_free` are rescaled before each step to a norm of the square root of their
    number: at that norm a learning rate has the same effect in each layer.

    Raises:
        RunError: a torch without Muon.
    """

    def __init__(self, groups: list[dict[str, Any]], *, learning_rate: float, momentum: float) -> None:
        if not has_muon():
            raise RunError(f"{NEEDED}: take sgd")
        super().__init__(groups, {"lr": learning_rate, "weight_decay": 0.0})
        of_filters = [group for group in self.param_groups if group[FILTERS]]
        beside = [group for group in self.param_groups if not group[FILTERS]]
        self._filters: list[tuple[nn.Parameter, nn.Parameter]] = []
        muon_groups = []
        for group in of_filters:
            pairs = [(weight, nn.Parameter(as_matrix(weight.detach()))) for weight in group["params"]]
            self._filters += pairs
            muon_groups.append({"params": [matrix for _, matrix in pairs], "weight_decay": group["weight_decay"]})
        self._inner: list[tuple[torch.optim.Optimizer, list[dict[str, Any]]]] = []
        if muon_groups:
            muon = torch.optim.Muon(
                muon_groups, lr=learning_rate, momentum=momentum, nesterov=True, ns_steps=ORTHOGONAL_STEPS
            )
            self._inner.append((muon, of_filters))
            # The inner optimizers share this one's state of each parameter, so that a checkpoint of it is complete.
            for weight, matrix in self._filters:
                muon.state[matrix] = self.state[weight]
        if beside:
            plain = [{"params": group["params"], "weight_decay": group["weight_decay"]} for group in beside]
            kept = SGD_MOMENTUM if momentum else 0.0
            sgd = torch.optim.SGD(plain, lr=learning_rate, momentum=kept, nesterov=kept > 0)
            self._inner.append((sgd, beside))
            for group in beside:
                for weight in group["params"]:
                    sgd.state[weight] = self.state[weight]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step along the parameters' gradients; a parameter without one stays as it is."""
        assert closure is None
        for group in self.param_groups:
            if group[FILTERS] and group[SCALE_FREE]:
                _rescale([weight for weight in group["params"] if weight.grad is not None])
        for weight, matrix in self._filters:
            matrix.grad = None if weight.grad is None else _gradient_matrix(weight, weight.grad)
        for optimizer, groups in self._inner:
            for inner, group in zip(optimizer.param_groups, groups, strict=True):
                inner["lr"] = group["lr"]
            optimizer.step()


def as_matrix(filters: Tensor) -> Tensor:
    """Return filters (out_channels, in_channels, ...) as a matrix of a row for each, sharing their memory.

    The step is taken on the matrix and must change the filters, so it has to be a view; of channels-last filters
    (out_channels, H, W, in_channels in memory) `view(out_channels, -1)` does not exist unless the channels are moved
    last first. The columns are then in another order than those of contiguous filters. Muon's result does not depend
    on that order: permuting the columns permutes the columns of the nearest orthogonal matrix alike. The gradient has
    to be in the same order: see `_gradient_matrix`.
    """
    if filters.is_contiguous():
        return filters.view(len(filters), -1)
    last = filters.movedim(1, -1)
    assert last.is_contiguous(), "filters lie neither contiguous nor channels-last in memory"
    return last.view(len(filters), -1)


def _gradient_matrix(filters: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient as a matrix with its columns in the order of `as_matrix(filters)`."""
    if filters.is_contiguous():
        return gradient.reshape(len(filters), -1)
    return gradient.movedim(1, -1).reshape(len(filters), -1)


def _rescale(filters: list[Tensor]) -> None:
    """Rescale each layer's filters to a norm of the square root of their number."""
    if filters:
        norms = torch._foreach_norm(filters)
        torch._foreach_div_(filters, norms)
        torch._foreach_mul_(filters, [len(layer) ** 0.5 for layer in filters])
