"""Activations: elementwise functions between the layers, and the softmax that turns scores into probabilities.

Source: Nair and Hinton (2010) for ReLU; Hendrycks and Gimpel (2016) for GELU; Elfwing et al. (2017) for SiLU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from convscope.arrays import Array, floating_dtype
from convscope.errors import GeometryError


def relu(x: Array) -> Array:
    """Return `max(x, 0)`.

    >>> relu(np.array([-2., 0, 3]))
    array([0., 0., 3.])
    """
    return np.maximum(x, 0)


def relu_backward(grad_output: Array, x: Array) -> Array:
    """Return the gradient of `relu`: passes where `x > 0`, and is 0 elsewhere.

    >>> relu_backward(np.array([1., 1, 1]), np.array([-0.01, 0, 3]))
    array([0., 0., 1.])
    """
    return grad_output * (x > 0)


def leaky_relu(x: Array, *, slope: float = 0.01) -> Array:
    """Return `x` where positive, `slope · x` elsewhere.

    >>> leaky_relu(np.array([-2., 3]))
    array([-0.02,  3.  ])
    """
    return np.where(x > 0, x, slope * x)


def leaky_relu_backward(grad_output: Array, x: Array, *, slope: float = 0.01) -> Array:
    """Return the gradient of `leaky_relu`.

    >>> leaky_relu_backward(np.array([1., 1]), np.array([-2., 3]))
    array([0.01, 1.  ])
    """
    return np.where(x > 0, grad_output, slope * grad_output)


def sigmoid(x: Array) -> Array:
    """Return `1 / (1 + e^-x)`, computed so that no exponential overflows.

    >>> sigmoid(np.array([0., 5])).round(3)
    array([0.5  , 0.993])
    """
    small = np.exp(-np.abs(x))
    result: Array = np.where(x >= 0, 1, small) / (1 + small)
    return result


def sigmoid_backward(grad_output: Array, x: Array) -> Array:
    """Return the gradient of `sigmoid`: `s (1 - s)`, at most a quarter; at 5 it has nearly vanished.

    >>> sigmoid_backward(np.array([1., 1]), np.array([0., 5])).round(4)
    array([0.25  , 0.0066])
    """
    return grad_output * sigmoid(x) * sigmoid(-x)


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent.

    >>> tanh(np.array([0.]))
    array([0.])
    """
    return np.tanh(x)


def tanh_backward(grad_output: Array, x: Array) -> Array:
    """Return the gradient of `tanh`: `1 - tanh²`, written as `sech²` so that no digits cancel.

    >>> tanh_backward(np.array([1., 1]), np.array([0., 3])).round(4)
    array([1.    , 0.0099])
    """
    small = np.exp(-2 * np.abs(x))
    result: Array = grad_output * 4 * small / (1 + small) ** 2
    return result


def gelu(x: Array, *, approximate: bool = False) -> Array:
    """Return `x · Φ(x)`, the input times the chance that a normal variable lies below it; or its tanh approximation.

    >>> gelu(np.array([-1., 0, 1])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """
    if approximate:
        result: Array = x * 0.5 * (1 + np.tanh(_gelu_inner(x)))
        return result
    return x * _normal_cdf(x)


def gelu_backward(grad_output: Array, x: Array, *, approximate: bool = False) -> Array:
    """Return the gradient of `gelu`: `Φ(x) + x φ(x)`.

    >>> gelu_backward(np.array([1.]), np.array([0.]))
    array([0.5])
    """
    if approximate:
        slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
        bend = tanh_backward(np.ones_like(x), _gelu_inner(x))
        return grad_output * 0.5 * (1 + np.tanh(_gelu_inner(x)) + x * bend * slope)
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return grad_output * (_normal_cdf(x) + x * density)


def silu(x: Array) -> Array:
    """Return `x · sigmoid(x)`.

    >>> silu(np.array([0., 1])).round(4)
    array([0.    , 0.7311])
    """
    return x * sigmoid(x)


def silu_backward(grad_output: Array, x: Array) -> Array:
    """Return the gradient of `silu`: `s + x s (1 - s)`.

    >>> silu_backward(np.array([1.]), np.array([0.]))
    array([0.5])
    """
    result: Array = grad_output * sigmoid(x) * (1 + x * sigmoid(-x))
    return result


def softmax(x: Array, *, axis: int = -1) -> Array:
    """Return `e^x` over its sum along `axis`; the maximum is subtracted first, so that nothing overflows.

    >>> softmax(np.array([1000., 1000, 0]))
    array([0.5, 0.5, 0. ])
    """
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    result: Array = powers / powers.sum(axis=axis, keepdims=True)
    return result


def softmax_backward(grad_output: Array, x: Array, *, axis: int = -1) -> Array:
    """Return the gradient of `softmax`: `p (g - Σ g p)`.

    >>> softmax_backward(np.array([1., 0]), np.array([0., 0]))
    array([ 0.25, -0.25])
    """
    p = softmax(x, axis=axis)
    result: Array = p * (grad_output - (grad_output * p).sum(axis=axis, keepdims=True))
    return result


def log_softmax(x: Array, *, axis: int = -1) -> Array:
    """Return the logarithm of `softmax`, computed without taking the logarithm of 0.

    >>> log_softmax(np.array([0., -1000]))
    array([    0., -1000.])
    """
    shifted = x - x.max(axis=axis, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return result


def log_softmax_backward(grad_output: Array, x: Array, *, axis: int = -1) -> Array:
    """Return the gradient of `log_softmax`: `g - p Σ g`.

    >>> log_softmax_backward(np.array([1., 0]), np.array([0., 0]))
    array([ 0.5, -0.5])
    """
    result: Array = grad_output - softmax(x, axis=axis) * grad_output.sum(axis=axis, keepdims=True)
    return result


def _normal_cdf(x: Array) -> Array:
    # NumPy has no error function: Python's is exact to the last digit, one number at a time. The complement keeps
    # the digits of the far left tail.
    cdf = np.frompyfunc(lambda value: 0.5 * math.erfc(-value / math.sqrt(2)), 1, 1)
    return np.asarray(cdf(x), dtype=floating_dtype(x))


def _gelu_inner(x: Array) -> Array:
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)


def dropout_mask(shape: Sequence[int], *, rate: float, generator: np.random.Generator) -> Array:
    """Return a mask: 0 for a dropped unit, `1 / (1 - rate)` for one that is kept.

    Raises:
        GeometryError: a rate outside 0 <= rate < 1.

    >>> dropout_mask((6,), rate=0.5, generator=np.random.default_rng(0))
    array([2., 0., 0., 0., 2., 2.])
    """
    if not 0 <= rate < 1:
        raise GeometryError(f"the dropout rate must be at least 0 and less than 1, got {rate}")
    return (generator.random(tuple(shape)) >= rate) / (1 - rate)


def dropout(x: Array, mask: Array) -> Array:
    """Return the input with some units left out: `x · mask`."""
    result: Array = x * mask.astype(x.dtype)
    return result


def dropout_backward(grad_output: Array, mask: Array) -> Array:
    """Return the gradient of `dropout` for the input: nothing through a unit that was left out."""
    result: Array = grad_output * mask.astype(grad_output.dtype)
    return result
