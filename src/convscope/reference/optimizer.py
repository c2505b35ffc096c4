"""Optimizers: what a step does with the gradients. Parameters are changed in place.

Source: Polyak (1964) and Sutskever et al. (2013) for momentum; Kingma and Ba (2015) for Adam; PyTorch's forms of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from convscope.arrays import Array


class Optimizer(Protocol):
    """Anything that moves parameters along their gradients."""

    def step(self, parameters: Sequence[Array], gradients: Sequence[Array]) -> None:
        """Change each parameter in place; both in the same order at every step."""


@dataclass(kw_only=True)
class SGD:
    """Gradient descent with momentum: `v <- momentum · v + g + weight_decay · w`, then `w <- w - learning_rate · v`.

    >>> w = np.array([1.0])
    >>> optimizer = SGD(learning_rate=0.1, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.step([w], [2 * w])
    >>> w.round(3)
    array([0.54])
    """

    learning_rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    _velocity: list[Array] = field(default_factory=list, init=False, repr=False)

    def step(self, parameters: Sequence[Array], gradients: Sequence[Array]) -> None:
        """Change each parameter in place."""
        self._velocity = self._velocity or [np.zeros_like(p) for p in parameters]
        for parameter, gradient, velocity in zip(parameters, gradients, self._velocity, strict=True):
            velocity *= self.momentum
            velocity += gradient + self.weight_decay * parameter
            parameter -= self.learning_rate * velocity


@dataclass(kw_only=True)
class Adam:
    """A step of about `learning_rate` in every coordinate: the gradient's running mean over its running size.

    >>> w = np.array([1.0, 1.0])
    >>> Adam(learning_rate=0.1).step([w], [np.array([100.0, 0.01])])
    >>> w.round(3)
    array([0.9, 0.9])
    """

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    _steps: int = field(default=0, init=False, repr=False)
    _moments: list[tuple[Array, Array]] = field(default_factory=list, init=False, repr=False)

    def step(self, parameters: Sequence[Array], gradients: Sequence[Array]) -> None:
        """Change each parameter in place."""
        self._moments = self._moments or [(np.zeros_like(p), np.zeros_like(p)) for p in parameters]
        self._steps += 1
        first_beta, second_beta = self.betas
        for parameter, gradient, (mean, square) in zip(parameters, gradients, self._moments, strict=True):
            slope = gradient + self.weight_decay * parameter
            mean *= first_beta
            mean += (1 - first_beta) * slope
            square *= second_beta
            square += (1 - second_beta) * slope**2
            # Both start at zero: dividing takes that start out of the mean.
            unbiased = mean / (1 - first_beta**self._steps)
            size = np.sqrt(square / (1 - second_beta**self._steps)) + self.epsilon
            parameter -= self.learning_rate * unbiased / size
