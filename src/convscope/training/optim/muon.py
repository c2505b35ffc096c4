"""Muon for a network's filters, and SGD with Nesterov's momentum for all other parameters.

Muon (Jordan and others, "Muon: An optimizer for hidden layers in neural networks", 2024) replaces a matrix's momentum
by the nearest orthogonal matrix, so that every direction of a layer learns equally fast. torch has it for matrices; a
convolution's filters are one, a row for each output channel. Biases, normalizations and fully connected layers are
left to plain momentum.

torch's own multiplies in bf16. A processor without it emulates that, many times slower than float32 (`convscope doctor`
measures both). So the products are in bf16 where the device has it, bit for bit as torch's, and elsewhere in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from convscope.hardware.device import has_bf16

# Newton-Schulz steps towards the orthogonal matrix: three are near enough for filters.
ORTHOGONAL_STEPS = 3
# Of a step: x becomes a x + (b g + c g g) x, where g is x x^T (Jordan and others).
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
LEAST_NORM = 1e-7
# Momentum of the other parameters, unless the filters have none.
SGD_MOMENTUM = 0.85
# Keys of a parameter group: it holds filters; their scale does not change the network's output.
FILTERS, SCALE_FREE = "filters", "scale_free"
# The state of a filter, under torch's name.
MOMENTUM = "momentum_buffer"


class MuonWithSGD(torch.optim.Optimizer):
    """Muon on groups with `filters` and torch's SGD on the others, as one optimizer.

    `momentum` is that of the filters; without it, the others have none either.

    Filters of a group that is `scale_free` are rescaled before each step to a norm of the square root of their
    number: at that norm a learning rate has the same effect in each layer.
    """

    def __init__(self, groups: list[dict[str, Any]], *, learning_rate: float, momentum: float) -> None:
        super().__init__(groups, {"lr": learning_rate, "weight_decay": 0.0})
        self._momentum = momentum
        self._beside = [group for group in self.param_groups if not group[FILTERS]]
        self._sgd: torch.optim.SGD | None = None
        if self._beside:
            plain = [{"params": group["params"], "weight_decay": group["weight_decay"]} for group in self._beside]
            kept = SGD_MOMENTUM if momentum else 0.0
            self._sgd = torch.optim.SGD(plain, lr=learning_rate, momentum=kept, nesterov=kept > 0)
            # It shares this one's state of each parameter, so that a checkpoint of it is complete.
            for group in self._beside:
                for weight in group["params"]:
                    self._sgd.state[weight] = self.state[weight]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step along the parameters' gradients; a parameter without one stays as it is."""
        assert closure is None
        for group in self.param_groups:
            if not group[FILTERS]:
                continue
            filters = [weight for weight in group["params"] if weight.grad is not None]
            if group[SCALE_FREE]:
                _rescale(filters)
            for weight in filters:
                self._move(weight, learning_rate=group["lr"], weight_decay=group["weight_decay"])
        if self._sgd is not None:
            for inner, group in zip(self._sgd.param_groups, self._beside, strict=True):
                inner["lr"] = group["lr"]
            self._sgd.step()

    def _move(self, weight: Tensor, *, learning_rate: float, weight_decay: float) -> None:
        """Take Muon's step on the filters of one layer, as torch.optim.Muon does on their matrix."""
        assert weight.grad is not None
        matrix, gradient = as_matrix(weight.detach()), _gradient_matrix(weight, weight.grad)
        state = self.state[weight]
        if MOMENTUM not in state:
            state[MOMENTUM] = torch.zeros_like(gradient, memory_format=torch.preserve_format)
        past: Tensor = state[MOMENTUM]
        past.lerp_(gradient, 1 - self._momentum)
        update = orthogonal(gradient.lerp(past, self._momentum), in_bf16=has_bf16(weight.device.type))
        rows, columns = matrix.shape
        matrix.mul_(1 - learning_rate * weight_decay)
        matrix.add_(update, alpha=-(learning_rate * math.sqrt(max(1.0, rows / columns))))


def orthogonal(matrix: Tensor, *, in_bf16: bool) -> Tensor:
    """Return nearly the nearest orthogonal matrix: singular values between some 0.5 and 1.5, by Newton-Schulz steps.

    Args:
        matrix: float32 (rows, columns).
        in_bf16: multiply in bf16, as torch does.

    Returns:
        The matrix, in bf16 or float32.

    >>> found = orthogonal(torch.diag(torch.tensor([3.0, 2.0, 1.0])), in_bf16=False)
    >>> [0.5 < float(value) < 1.5 for value in found.diag()]
    [True, True, True]
    """
    tall = len(matrix) > matrix.shape[1]
    wide = matrix.T if tall else matrix
    found = _steps_in_bf16(wide.bfloat16()) if in_bf16 else _steps_on_gram(wide)
    return found.T if tall else found


def _steps_in_bf16(matrix: Tensor) -> Tensor:
    """Return the matrix after the steps, one after another as torch takes them."""
    a, b, c = COEFFICIENTS
    # Its singular values are then 1 at most.
    found: Tensor = matrix / matrix.norm().clamp(min=LEAST_NORM)
    for _ in range(ORTHOGONAL_STEPS):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found


def _steps_on_gram(matrix: Tensor) -> Tensor:
    """Return the same in float32: all steps are taken on the small matrix g, which takes half the multiplications.

    A step multiplies x from the left by p = a + b g + c g g, and so g by p from both sides, with which it commutes.
    """
    a, b, c = COEFFICIENTS
    scaled: Tensor = matrix / matrix.norm().clamp(min=LEAST_NORM)
    gram = scaled @ scaled.T
    product: Tensor | None = None
    for left in reversed(range(ORTHOGONAL_STEPS)):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product = factor if product is None else factor @ product
        if left:
            gram = factor @ gram @ factor
    assert product is not None
    return product @ scaled


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
