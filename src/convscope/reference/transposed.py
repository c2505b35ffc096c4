"""Transposed convolution: a convolution's way back for the input's gradient, used as a forward pass.

Source: Dumoulin and Visin (2016), section 4.
"""

from __future__ import annotations

import numpy as np

from convscope.arrays import Array
from convscope.errors import GeometryError
from convscope.geometry.convolution import TransposedWindow, per_axis
from convscope.geometry.cost import require_groups
from convscope.geometry.window import Window
from convscope.reference.columns import ColumnPlan, require_spatial
from convscope.reference.convolution import convolve
from convscope.reference.sliding import (
    PerAxis,
    channels_first,
    channels_last,
    channels_of,
    inner,
    layer_windows,
    padded_channels_last,
    require_grad_shape,
)


def transposed_convolve(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    output_padding: PerAxis = 0,
    groups: int = 1,
) -> Array:
    """Write each input number, times the kernel, into the output: `(N, C_in, *S) -> (N, C_out, *S_out)`.

    It is the input gradient of the convolution that `weight` `(C_in, C_out / groups, *kernel)` would make the other
    way round; it undoes that one's size, not its values.

    Raises:
        GeometryError: shapes that do not fit, or an output_padding that is too large.

    >>> transposed_convolve(np.array([[[1., 10]]]), np.array([[[1., 2, 3]]]), stride=2)[0, 0]
    array([ 1.,  2., 13., 20., 30.])
    """
    windows, sizes = _transposed_sizes(x, weight, stride, padding, dilation, output_padding, groups)
    plan = ColumnPlan(windows, x.shape[2:], groups)
    room = [w.padded_size(size) for w, size in zip(windows, sizes, strict=True)]
    out_channels = weight.shape[1] * groups
    padded = plan.scatter(np.ascontiguousarray(channels_last(x)), weight, (x.shape[0], *room, out_channels))
    output = padded[inner(windows, sizes)]
    if bias is not None:
        output = output + bias
    return channels_first(output)


def transposed_convolve_backward(
    grad_output: Array,
    x: Array,
    weight: Array,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    output_padding: PerAxis = 0,
    groups: int = 1,
) -> tuple[Array, Array, Array]:
    """Return the gradients of `transposed_convolve` for the input, the weight and the bias: a convolution again.

    Raises:
        GeometryError: shapes that do not fit.

    >>> grad_x, grad_w, grad_b = transposed_convolve_backward(
    ...     np.ones((1, 1, 5)), np.array([[[1., 10]]]), np.array([[[1., 2, 3]]]), stride=2)
    >>> print(grad_x[0, 0], grad_w[0, 0], grad_b)
    [6. 6.] [11. 11. 11.] [5.]
    """
    windows, sizes = _transposed_sizes(x, weight, stride, padding, dilation, output_padding, groups)
    require_grad_shape(grad_output, (x.shape[0], weight.shape[1] * groups, *sizes))
    plan = ColumnPlan(windows, x.shape[2:], groups)
    grad_x = convolve(grad_output, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    # What the windows of that convolution read beyond its last place came from output_padding: no weight met it.
    inside: tuple[slice, ...] = (slice(None), slice(None), *(slice(0, size) for size in x.shape[2:]))
    grad_x = grad_x[inside]
    grad_weight = plan.weight_gradient(
        padded_channels_last(grad_output, windows), np.ascontiguousarray(channels_last(x)), weight
    )
    return grad_x, grad_weight, grad_output.sum(axis=(0, *range(2, grad_output.ndim)))


def _transposed_sizes(
    x: Array,
    weight: Array,
    stride: PerAxis,
    padding: PerAxis,
    dilation: PerAxis,
    output_padding: PerAxis,
    groups: int,
) -> tuple[tuple[Window, ...], tuple[int, ...]]:
    require_spatial(x, weight)
    if weight.shape[0] != x.shape[1]:
        raise GeometryError(
            f"input {x.shape} and weight {weight.shape} do not fit: the input has {channels_of(x)}, the weight "
            f"takes {weight.shape[0]} [weight: (C_in, C_out / groups, *kernel)]"
        )
    require_groups(x.shape[1], weight.shape[1] * groups, groups)
    windows = layer_windows(weight.shape[2:], stride=stride, padding=padding, dilation=dilation)
    extra = per_axis("output_padding", output_padding, len(windows))
    sizes = tuple(
        TransposedWindow(window=w, output_padding=e).output_size(n)
        for w, e, n in zip(windows, extra, x.shape[2:], strict=True)
    )
    return windows, sizes
