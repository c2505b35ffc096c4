"""Layers: an operation with its parameters, and the input that its backward pass needs.

`forward` keeps its input; `backward` takes the gradient of the output, leaves the parameters' gradients in
`gradients`, and returns the gradient of the input. All arithmetic is in the functions; a layer only keeps state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

import numpy as np

from convscope.arrays import Array
from convscope.errors import GeometryError
from convscope.reference import activation
from convscope.reference.activation import dropout, dropout_backward, dropout_mask
from convscope.reference.convolution import convolve, convolve_backward
from convscope.reference.linear import flatten, flatten_backward, linear, linear_backward
from convscope.reference.normalization import batch_norm, batch_norm_backward, batch_statistics
from convscope.reference.pooling import average_pool, average_pool_backward, max_pool, max_pool_backward
from convscope.reference.sliding import Paddings, PerAxis

Dtype = type[np.float32] | type[np.float64]


class TrainableLayer(Protocol):
    """The protocol of a layer of a `Network`."""

    parameters: list[Array]
    gradients: list[Array]

    def forward(self, x: Array, *, training: bool) -> Array:
        """Return the output for a batch."""

    def backward(self, grad_output: Array) -> Array:
        """Return the input's gradient for the last forward pass; the parameters' are left in `gradients`."""


class _NoParameters:
    """A layer without parameters."""

    def __init__(self) -> None:
        self.parameters: list[Array] = []
        self.gradients: list[Array] = []
        self.x: Array = np.empty(0)


class Convolution:
    """A convolution with its filters `(out_channels, in_channels, *kernel_size)` and biases."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        *,
        stride: PerAxis = 1,
        padding: Paddings = 0,
        generator: np.random.Generator,
        dtype: Dtype = np.float32,
    ) -> None:
        shape = (out_channels, in_channels, *kernel_size)
        self.parameters = [initial_weight(shape, generator, dtype), np.zeros(out_channels, dtype)]
        self.gradients: list[Array] = []
        self.stride, self.padding = stride, padding
        self.x: Array = np.empty(0)

    def forward(self, x: Array, *, training: bool) -> Array:
        """Map `(N, C_in, *S) -> (N, C_out, *S_out)`."""
        self.x = x
        weight, bias = self.parameters
        return convolve(x, weight, bias, stride=self.stride, padding=self.padding)

    def backward(self, grad_output: Array) -> Array:
        """Return the input's gradient."""
        weight = self.parameters[0]
        grad_x, *self.gradients = convolve_backward(
            grad_output, self.x, weight, stride=self.stride, padding=self.padding
        )
        return grad_x


class Linear:
    """A fully connected layer with its weight `(out_features, in_features)` and biases."""

    def __init__(
        self, in_features: int, out_features: int, *, generator: np.random.Generator, dtype: Dtype = np.float32
    ) -> None:
        shape = (out_features, in_features)
        self.parameters = [initial_weight(shape, generator, dtype), np.zeros(out_features, dtype)]
        self.gradients: list[Array] = []
        self.x: Array = np.empty(0)

    def forward(self, x: Array, *, training: bool) -> Array:
        """Map `(N, in_features) -> (N, out_features)`."""
        self.x = x
        return linear(x, *self.parameters)

    def backward(self, grad_output: Array) -> Array:
        """Return the input's gradient."""
        grad_x, *self.gradients = linear_backward(grad_output, self.x, self.parameters[0])
        return grad_x


class BatchNorm:
    """Batch normalisation: the batch's own statistics in training, their running mean in evaluation."""

    def __init__(self, channels: int, *, momentum: float = 0.1, dtype: Dtype = np.float32) -> None:
        self.parameters: list[Array] = [np.ones(channels, dtype), np.zeros(channels, dtype)]
        self.gradients: list[Array] = []
        self.momentum = momentum
        self.running_mean: Array = np.zeros(channels, dtype)
        self.running_variance: Array = np.ones(channels, dtype)
        self.x: Array = np.empty(0)

    def forward(self, x: Array, *, training: bool) -> Array:
        """Normalise `(N, C, *S)`; the shape is kept."""
        self.x = x
        if not training:
            return batch_norm(x, *self.parameters, mean=self.running_mean, variance=self.running_variance)
        mean, variance = batch_statistics(x)
        count = x.size // x.shape[1]
        # The running variance is the unbiased one, as in PyTorch.
        self.running_mean += self.momentum * (mean - self.running_mean)
        self.running_variance += self.momentum * (variance * count / max(1, count - 1) - self.running_variance)
        return batch_norm(x, *self.parameters)

    def backward(self, grad_output: Array) -> Array:
        """Return the input's gradient, of a forward pass in training."""
        grad_x, *self.gradients = batch_norm_backward(grad_output, self.x, self.parameters[0])
        return grad_x


class Activation(_NoParameters):
    """An elementwise function by its name: relu, leaky_relu, sigmoid, tanh, gelu or silu.

    >>> Activation("relu").forward(np.array([-1.0, 2.0]), training=True)
    array([0., 2.])
    """

    FUNCTIONS: ClassVar[dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]]] = {
        "relu": (activation.relu, activation.relu_backward),
        "leaky_relu": (activation.leaky_relu, activation.leaky_relu_backward),
        "sigmoid": (activation.sigmoid, activation.sigmoid_backward),
        "tanh": (activation.tanh, activation.tanh_backward),
        "gelu": (activation.gelu, activation.gelu_backward),
        "silu": (activation.silu, activation.silu_backward),
    }

    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in self.FUNCTIONS:
            raise GeometryError(f"no activation is called {name!r}: choose one of {', '.join(self.FUNCTIONS)}")
        self.function, self.function_backward = self.FUNCTIONS[name]

    def forward(self, x: Array, *, training: bool) -> Array:
        """Map any shape to the same shape."""
        self.x = x
        return self.function(x)

    def backward(self, grad_output: Array) -> Array:
        """Return the input's gradient."""
        return self.function_backward(grad_output, self.x)


class MaxPool(_NoParameters):
    """Maximum pooling."""

    def __init__(self, kernel_size: int, *, stride: int | None = None) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x: Array, *, training: bool) -> Array:
        """Map `(N, C, *S) -> (N, C, *S_out)`."""
        self.x = x
        return max_pool(x, self.kernel_size, stride=self.stride)

    def backward(self, grad_output: Array) -> Array:
        """Return the input's gradient."""
        return max_pool_backward(grad_output, self.x, self.kernel_size, stride=self.stride)


class AveragePool(_NoParameters):
    """Average pooling."""

    def __init__(self, kernel_size: int, *, stride: int | None = None) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x: Array, *, training: bool) -> Array:
        """Map `(N, C, *S) -> (N, C, *S_out)`."""
        self.x = x
        return average_pool(x, self.kernel_size, stride=self.stride)

    def backward(self, grad_output: Array) -> Array:
        """Return the input's gradient."""
        return average_pool_backward(grad_output, self.x, self.kernel_size, stride=self.stride)


class Flatten(_NoParameters):
    """Feature maps as one vector a sample."""

    def forward(self, x: Array, *, training: bool) -> Array:
        """Map `(N, C, *S) -> (N, C · ΠS)`."""
        self.x = x
        return flatten(x)

    def backward(self, grad_output: Array) -> Array:
        """Return the input's gradient."""
        return flatten_backward(grad_output, self.x)


class Dropout(_NoParameters):
    """Units left out at random in training; nothing in evaluation."""

    def __init__(self, rate: float, *, generator: np.random.Generator) -> None:
        super().__init__()
        self.rate, self.generator = rate, generator
        self.mask: Array = np.ones(1)

    def forward(self, x: Array, *, training: bool) -> Array:
        """Map any shape to the same shape."""
        self.mask = dropout_mask(x.shape, rate=self.rate if training else 0.0, generator=self.generator)
        return dropout(x, self.mask)

    def backward(self, grad_output: Array) -> Array:
        """Return the input's gradient."""
        return dropout_backward(grad_output, self.mask)


def initial_weight(shape: Sequence[int], generator: np.random.Generator, dtype: Dtype = np.float32) -> Array:
    """Return normal numbers of variance 1 / fan-in, so that a layer keeps the scale of its input (LeCun, 1998).

    >>> weight = initial_weight((64, 3, 5, 5), np.random.default_rng(0))
    >>> weight.dtype, round(float(weight.var()) * 75, 1)
    (dtype('float32'), 1.0)
    """
    fan_in = int(np.prod(shape[1:]))
    weight: Array = (generator.standard_normal(tuple(shape)) / np.sqrt(fan_in)).astype(dtype)
    return weight
