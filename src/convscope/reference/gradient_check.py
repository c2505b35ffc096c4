"""Check gradients against central differences: change one number a little, and measure the change of the result.

If the analytic gradient disagrees with the differences, it is wrong, or the function is not differentiable there, as a
ReLU at 0 and a maximum at a tie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from convscope.arrays import Array
from convscope.errors import GeometryError

ForwardFunction = Callable[..., Array]
Backward = Callable[..., Array | Sequence[Array]]


def numerical_gradient(function: Callable[[Array], float], x: Array, *, step: float = 1e-6) -> Array:
    """Central differences of a function of one array, number by number; `x` is left as it was.

    >>> numerical_gradient(lambda x: float((x**2).sum()), np.array([1., -2])).round(6)
    array([ 2., -4.])
    """
    moved = np.array(x, dtype=np.float64)
    gradient = np.zeros_like(moved)
    for place in np.ndindex(moved.shape):
        value = moved[place]
        moved[place] = value + step
        above = function(moved)
        moved[place] = value - step
        below = function(moved)
        moved[place] = value
        gradient[place] = (above - below) / (2 * step)
    return gradient


def gradient_errors(
    forward: ForwardFunction, backward: Backward, inputs: Sequence[Array], *, seed: int = 0, step: float = 1e-6
) -> list[float]:
    """Return the relative error of `backward` against differences of `forward`, one per input.

    Args:
        forward: `forward(*inputs)`, the output array.
        backward: `backward(grad_output, *inputs)`, the gradients in the inputs' order (or the one gradient).
        inputs: float64 arrays; each number is moved twice, so keep them small.
        seed: of the random weighting that makes one number of the output.
        step: how far a number is moved.

    Raises:
        GeometryError: fewer gradients than inputs, or one of another shape than its input.

    >>> from convscope.reference.activation import sigmoid, sigmoid_backward
    >>> gradient_errors(sigmoid, sigmoid_backward, [np.linspace(-3, 3, 7)])[0] < 1e-8
    True
    >>> gradient_errors(sigmoid, lambda grad, x: grad, [np.linspace(-3, 3, 7)])[0] > 0.5
    True
    """
    inputs = [np.array(x, dtype=np.float64) for x in inputs]
    output = np.asarray(forward(*inputs))
    weighting = np.random.default_rng(seed).standard_normal(output.shape)
    found = backward(weighting, *inputs)
    gradients = [found] if isinstance(found, np.ndarray) else list(found)
    if len(gradients) < len(inputs):
        raise GeometryError(
            f"backward gave {len(gradients)} gradients for {len(inputs)} inputs: give one each, in order"
        )
    errors = []
    for index, (x, gradient) in enumerate(zip(inputs, gradients, strict=False)):
        if gradient.shape != x.shape:
            raise GeometryError(f"the gradient of input {index} is {gradient.shape}, but the input is {x.shape}")

        def weighted(moved: Array, index: int = index) -> float:
            return float((weighting * forward(*inputs[:index], moved, *inputs[index + 1 :])).sum())

        errors.append(relative_error(gradient, numerical_gradient(weighted, x, step=step)))
    return errors


def relative_error(ours: Array, theirs: Array) -> float:
    """Return the largest difference, over the largest number of the second; 0 where both are zero.

    >>> relative_error(np.array([1.0, 100.0]), np.array([1.1, 100.0])).__round__(4)
    0.001
    """
    if theirs.size == 0:
        return 0.0
    difference, scale = float(np.abs(ours - theirs).max()), float(np.abs(theirs).max())
    return difference / scale if scale else difference
