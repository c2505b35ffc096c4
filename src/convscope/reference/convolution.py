"""Convolution as the literature means it (cross-correlation), and the flipped one of mathematics.

A convolution is a matrix product. Lay the numbers under each place of the window in a row: the rows are the
*columns matrix* `(places, taps · channels)`. Then

- forward: `columns @ kernel`;
- the kernel's gradient: `columnsᵀ @ grad_output`;
- the input's gradient: `grad_output @ kernelᵀ`, each number added back to the place that it came from.

Source: Dumoulin and Visin (2016), section 2; PyTorch's definition of groups, dilation and "same" padding.
"""

from __future__ import annotations

import numpy as np

from convscope.arrays import Array
from convscope.errors import GeometryError
from convscope.geometry.cost import require_groups
from convscope.reference.columns import ColumnPlan, require_spatial, split_groups, workspace
from convscope.reference.sliding import (
    Paddings,
    PerAxis,
    channels_first,
    channels_last,
    channels_of,
    fitted_sizes,
    inner,
    layer_windows,
    padded_channels_last,
    require_grad_shape,
)


def convolve(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: PerAxis = 1,
    padding: Paddings = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """Slide each filter over the input and take a dot product at every place: `(N, C_in, *S) -> (N, C_out, *S_out)`.

    Args:
        x: input, `(N, C_in, *spatial)` with one, two or three spatial axes.
        weight: filters, `(C_out, C_in / groups, *kernel)`.
        bias: one number per filter, `(C_out,)`.
        stride: positions that the window moves by, for all axes or one each.
        padding: zeros around the input; "same", "valid", a number, or per axis a number or a pair (before, after).
        dilation: distance between neighbouring taps.
        groups: blocks of channels that do not see each other.

    Raises:
        GeometryError: shapes that do not fit; the message names both.

    The vertical-edge detector on a bright left half, from the lecture notes on edge detection:

    >>> image = np.array([[10, 10, 10, 0, 0, 0]] * 6)
    >>> vertical = np.array([[1, 0, -1]] * 3)
    >>> convolve(image[None, None], vertical[None, None])[0, 0]
    array([[ 0, 30, 30,  0],
           [ 0, 30, 30,  0],
           [ 0, 30, 30,  0],
           [ 0, 30, 30,  0]])
    """
    plan = _plan(x, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    output = np.empty((x.shape[0], *plan.outputs, weight.shape[0]), dtype=np.result_type(x, weight))
    by_group = split_groups(output, groups)
    kernel = plan.kernel_matrix(weight)
    results = np.empty(0, dtype=output.dtype)
    for places, columns in plan.columns(padded_channels_last(x, plan.windows)):
        results = workspace(results, (groups, columns.shape[1], kernel.shape[-1]))
        np.matmul(columns, kernel, out=results)
        block = by_group[places]
        block[...] = results.reshape(block.shape)
    if bias is not None:
        output += bias
    return channels_first(output)


def convolve_backward(
    grad_output: Array,
    x: Array,
    weight: Array,
    *,
    stride: PerAxis = 1,
    padding: Paddings = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> tuple[Array, Array, Array]:
    """Return the gradients of `convolve` for the input, the weight and the bias, in that order.

    Args:
        grad_output: gradient of the loss for the output, `(N, C_out, *S_out)`; the others are as in `convolve`.

    Raises:
        GeometryError: shapes that do not fit.

    A tap's gradient is the sum of the inputs that it met, and an input's the sum of the taps that met it:

    >>> x, weight = np.array([[[1., 2, 3, 4]]]), np.array([[[5., 7]]])
    >>> grad_x, grad_w, grad_b = convolve_backward(np.ones((1, 1, 3)), x, weight)
    >>> print(grad_x[0, 0], grad_w[0, 0], grad_b)
    [ 5. 12. 12.  7.] [6. 9.] [3.]
    """
    plan = _plan(x, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    require_grad_shape(grad_output, (x.shape[0], weight.shape[0], *plan.outputs))
    grad = np.ascontiguousarray(channels_last(grad_output))
    grad_bias = grad.sum(axis=tuple(range(grad.ndim - 1)))
    padded = padded_channels_last(x, plan.windows)
    grad_weight = plan.weight_gradient(padded, grad, weight)
    grad_padded = plan.scatter(grad, weight, padded.shape)
    return channels_first(grad_padded[inner(plan.windows, x.shape[2:])]), grad_weight, grad_bias


def true_convolve(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: PerAxis = 1,
    padding: Paddings = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """Return the convolution of mathematics and signal processing: the kernel is flipped along every axis, then slid.

    Flipping is what makes it commute, `f * g = g * f`:

    >>> f, g = np.array([1, 2, 3, 4]), np.array([2, 0, -1])
    >>> true_convolve(f[None, None], g[None, None], padding=2)[0, 0]
    array([ 2,  4,  5,  6, -3, -4])
    >>> true_convolve(g[None, None], f[None, None], padding=3)[0, 0]
    array([ 2,  4,  5,  6, -3, -4])

    and what makes it causal. `response[d]` is what is left of a blow `d` seconds later; with padding before the axis
    alone, each moment adds up its own blow and what is left of all those before it, and nothing of the future:

    >>> blows = np.array([1, 0, 1, 0, 1, 0])
    >>> response = np.array([8, 4, 2, 1])
    >>> true_convolve(blows[None, None], response[None, None], padding=[(3, 0)])[0, 0]
    array([ 8,  4, 10,  5, 10,  5])
    """
    return convolve(x, flipped(weight), bias, stride=stride, padding=padding, dilation=dilation, groups=groups)


def flipped(weight: Array) -> Array:
    """Return a kernel `(C_out, C_in, *kernel)` turned around along every spatial axis; a view.

    >>> flipped(np.array([[[1, 2, 3]]]))
    array([[[3, 2, 1]]])
    """
    return np.flip(weight, axis=tuple(range(2, weight.ndim)))


def _plan(x: Array, weight: Array, *, stride: PerAxis, padding: Paddings, dilation: PerAxis, groups: int) -> ColumnPlan:
    require_spatial(x, weight)
    if groups < 1 or weight.shape[1] * groups != x.shape[1]:
        taken = weight.shape[1] * groups
        raise GeometryError(
            f"input {x.shape} and weight {weight.shape} do not fit: the input has {channels_of(x)}, "
            f"the weight takes {weight.shape[1]} · groups {groups} = {taken} [weight: (C_out, C_in / groups, *kernel)]"
        )
    require_groups(x.shape[1], weight.shape[0], groups)
    windows = layer_windows(weight.shape[2:], stride=stride, padding=padding, dilation=dilation)
    return ColumnPlan(windows, fitted_sizes(x.shape, windows, kernel_shape=weight.shape), groups)
