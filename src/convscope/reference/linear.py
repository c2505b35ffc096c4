"""The fully connected layer, and the ways in which arrays meet: flatten, add, concatenate."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from convscope.arrays import Array
from convscope.errors import GeometryError


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """Return every output weighs every input: `(..., F_in) @ (F_out, F_in)ᵀ -> (..., F_out)`.

    Raises:
        GeometryError: the input's last axis is not the weight's.

    >>> linear(np.array([[1., 2]]), np.array([[3., 4], [5, 6]]), np.array([0.5, 0]))
    array([[11.5, 17. ]])
    """
    _require_features(x, weight)
    output = x @ weight.T
    return output if bias is None else output + bias


def linear_backward(grad_output: Array, x: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Return the gradients of `linear` for the input, the weight and the bias.

    >>> grad_x, grad_w, grad_b = linear_backward(np.array([[1.]]), np.array([[2., 3]]), np.array([[5., 7]]))
    >>> print(grad_x, grad_w, grad_b)
    [[5. 7.]] [[2. 3.]] [1.]
    """
    _require_features(x, weight)
    grad_rows = grad_output.reshape(-1, weight.shape[0])
    return grad_output @ weight, grad_rows.T @ x.reshape(-1, weight.shape[1]), grad_rows.sum(axis=0)


def flatten(x: Array) -> Array:
    """Map `(N, C, *S) -> (N, C · ΠS)`, channel by channel, row by row.

    >>> flatten(np.zeros((2, 40, 7, 7))).shape
    (2, 1960)
    """
    return x.reshape(x.shape[0], -1)


def flatten_backward(grad_output: Array, x: Array) -> Array:
    """Return the gradient of `flatten`: the same numbers in the input's shape."""
    return grad_output.reshape(x.shape)


def add(a: Array, b: Array) -> Array:
    """Return the sum of two arrays of one shape: as at the end of a residual block.

    >>> add(np.array([1., 2]), np.array([10., 20]))
    array([11., 22.])
    """
    if a.shape != b.shape:
        raise GeometryError(f"can't add {a.shape} and {b.shape}: the shapes must be equal")
    return a + b


def add_backward(grad_output: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """Return the gradients of `add`: the whole gradient to both."""
    return grad_output, grad_output


def concatenate(parts: Sequence[Array], *, axis: int = 1) -> Array:
    """Feature maps behind one another along the channels: where an Inception block's branches meet.

    >>> concatenate([np.zeros((1, 64, 8, 8)), np.zeros((1, 32, 8, 8))]).shape
    (1, 96, 8, 8)
    """
    if not parts:
        raise GeometryError("nothing to concatenate: give at least one array")
    first = parts[0].shape
    for part in parts[1:]:
        if part.ndim != len(first) or any(
            n != m for i, (n, m) in enumerate(zip(part.shape, first, strict=True)) if i != axis % len(first)
        ):
            raise GeometryError(f"can't concatenate {first} and {part.shape}: they may differ on axis {axis} alone")
    return np.concatenate(parts, axis=axis)


def concatenate_backward(grad_output: Array, parts: Sequence[Array], *, axis: int = 1) -> list[Array]:
    """Return the gradients of `concatenate`: each part's own piece.

    >>> a, b = concatenate_backward(np.array([[1., 2, 3]]), [np.zeros((1, 1)), np.zeros((1, 2))])
    >>> print(a, b)
    [[1.]] [[2. 3.]]
    """
    ends = list(accumulate(part.shape[axis] for part in parts))
    return np.split(grad_output, ends[:-1], axis=axis)


def _require_features(x: Array, weight: Array) -> None:
    if weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
        raise GeometryError(
            f"input {x.shape} and weight {weight.shape} do not fit: the input has {x.shape[-1]} features, "
            f"the weight takes {weight.shape[-1]} [weight: (F_out, F_in)]"
        )
