"""Normalisation: numbers brought to mean 0 and variance 1 over some of their axes, then scaled and shifted.

Batch, layer, group and instance normalisation differ only in the axes; local response normalisation is a different
thing, AlexNet's: a channel is damped by its neighbours.

Source: Ioffe and Szegedy (2015); Ba et al. (2016); Wu and He (2018); Krizhevsky et al. (2012), section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convscope.arrays import Array
from convscope.errors import GeometryError
from convscope.reference.sliding import channels_of


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Return the mean and (biased) variance of each channel of `(N, C, *S)`, both `(C,)`.

    >>> batch_statistics(np.array([[[1., 3]], [[5, 7]]]))
    (array([4.]), array([5.]))
    """
    axes = (0, *range(2, x.ndim))
    return x.mean(axis=axes), x.var(axis=axes)


def batch_norm(
    x: Array,
    weight: Array,
    bias: Array,
    *,
    mean: Array | None = None,
    variance: Array | None = None,
    epsilon: float = 1e-5,
) -> Array:
    """Normalise each channel of `(N, C, *S)`, then times `weight` plus `bias`, each `(C,)`.

    Args:
        mean: the running mean, in evaluation; the batch's own when None, as in training.
        variance: the running variance, in evaluation; the batch's own when None.

    >>> batch_norm(np.array([[[1., 3]]]), np.array([10.]), np.array([5.]), epsilon=0.0)
    array([[[-5., 15.]]])
    """
    _require_channels(x, weight)
    if mean is None or variance is None:
        mean, variance = batch_statistics(x)
    scale = weight / np.sqrt(variance + epsilon)
    return x * _per_channel(scale, x) + _per_channel(bias - mean * scale, x)


def batch_norm_backward(
    grad_output: Array,
    x: Array,
    weight: Array,
    *,
    mean: Array | None = None,
    variance: Array | None = None,
    epsilon: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """Return the gradients of `batch_norm` for the input, the weight and the bias.

    With the batch's own statistics every number of a channel moves all the others; with running ones none does.

    >>> grad_x, grad_w, grad_b = batch_norm_backward(np.array([[[1., 0]]]), np.array([[[1., 3]]]), np.array([10.]))
    >>> print(grad_x.round(3) + 0, grad_w.round(3), grad_b)
    [[[0. 0.]]] [-1.] [1.]
    """
    _require_channels(x, weight)
    axes = (0, *range(2, x.ndim))
    if mean is None or variance is None:
        normal, deviation = _normalized(x, axes, epsilon)
        grad_x = _normalized_backward(grad_output * _per_channel(weight, x), normal, deviation, axes)
    else:
        deviation = _per_channel(np.sqrt(variance + epsilon), x)
        normal = (x - _per_channel(mean, x)) / deviation
        grad_x = grad_output * _per_channel(weight, x) / deviation
    return grad_x, (grad_output * normal).sum(axis=axes), grad_output.sum(axis=axes)


def layer_norm(x: Array, weight: Array, bias: Array, *, epsilon: float = 1e-5) -> Array:
    """Normalise over the last axes, those of `weight` and `bias`, sample by sample.

    >>> layer_norm(np.array([[1., 3]]), np.ones(2), np.zeros(2), epsilon=0.0)
    array([[-1.,  1.]])
    """
    normal, _ = _normalized(x, _last_axes(x, weight), epsilon)
    return normal * weight + bias


def layer_norm_backward(
    grad_output: Array, x: Array, weight: Array, *, epsilon: float = 1e-5
) -> tuple[Array, Array, Array]:
    """Return the gradients of `layer_norm` for the input, the weight and the bias."""
    axes = _last_axes(x, weight)
    normal, deviation = _normalized(x, axes, epsilon)
    others = tuple(range(x.ndim - weight.ndim))
    grad_x = _normalized_backward(grad_output * weight, normal, deviation, axes)
    return grad_x, (grad_output * normal).sum(axis=others), grad_output.sum(axis=others)


def group_norm(x: Array, groups: int, weight: Array, bias: Array, *, epsilon: float = 1e-5) -> Array:
    """Normalise each sample over blocks of channels; with one channel a group it is instance normalisation.

    >>> group_norm(np.array([[[1.], [3], [5], [9]]]), 2, np.ones(4), np.zeros(4), epsilon=0.0)[0, :, 0]
    array([-1.,  1., -1.,  1.])
    """
    grouped = _grouped(x, groups, weight)
    normal, _ = _normalized(grouped, tuple(range(2, grouped.ndim)), epsilon)
    return normal.reshape(x.shape) * _per_channel(weight, x) + _per_channel(bias, x)


def group_norm_backward(
    grad_output: Array, x: Array, groups: int, weight: Array, *, epsilon: float = 1e-5
) -> tuple[Array, Array, Array]:
    """Return the gradients of `group_norm` for the input, the weight and the bias."""
    grouped = _grouped(x, groups, weight)
    axes = tuple(range(2, grouped.ndim))
    normal, deviation = _normalized(grouped, axes, epsilon)
    grad_normal = (grad_output * _per_channel(weight, x)).reshape(grouped.shape)
    grad_x = _normalized_backward(grad_normal, normal, deviation, axes).reshape(x.shape)
    others = (0, *range(2, x.ndim))
    return grad_x, (grad_output * normal.reshape(x.shape)).sum(axis=others), grad_output.sum(axis=others)


def local_response_norm(x: Array, size: int, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    """Return `x / (k + alpha / size · Σ x²)^beta`, the sum over `size` neighbouring channels of `(N, C, *S)`.

    The paper writes alpha without the division by size: its alpha is PyTorch's, and ours, over size.

    >>> local_response_norm(np.array([[[3.], [4]]]), 3, alpha=3.0, beta=0.5, k=0.0)[0, :, 0]
    array([0.6, 0.8])
    """
    return x / _response(x, size, alpha, k) ** beta


def local_response_norm_backward(
    grad_output: Array, x: Array, size: int, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """Return the gradient of `local_response_norm` for the input: a channel moves all the neighbours that it damps."""
    response = _response(x, size, alpha, k)
    damped = _neighbour_sum(grad_output * x * response ** (-beta - 1), size, mirrored=True)
    return grad_output * response**-beta - 2 * alpha * beta / size * x * damped


def _normalized(x: Array, axes: Sequence[int], epsilon: float) -> tuple[Array, Array]:
    """Return the mean 0 and variance 1 over `axes`, and the deviation that was divided by."""
    axes = tuple(axes)
    centred = x - x.mean(axis=axes, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=axes, keepdims=True) + epsilon)
    return centred / deviation, deviation


def _normalized_backward(grad: Array, normal: Array, deviation: Array, axes: Sequence[int]) -> Array:
    """Return the gradient for the input of `_normalized`: its parts along the mean and the variance are removed."""
    axes = tuple(axes)
    along = (grad * normal).mean(axis=axes, keepdims=True)
    result: Array = (grad - grad.mean(axis=axes, keepdims=True) - normal * along) / deviation
    return result


def _response(x: Array, size: int, alpha: float, k: float) -> Array:
    if size < 1:
        raise GeometryError(f"size must be at least 1 channel, got {size}")
    return k + alpha / size * _neighbour_sum(x**2, size)


def _neighbour_sum(x: Array, size: int, *, mirrored: bool = False) -> Array:
    """Return the sum over channels `c - size // 2 ... c + (size - 1) // 2`; mirrored for the way back."""
    before, after = size // 2, (size - 1) // 2
    if mirrored:
        before, after = after, before
    # Neighbour by neighbour: differences of one running sum would carry a large channel's rounding, or its NaN, on.
    sums, channels = np.zeros_like(x), x.shape[1]
    for shift in range(-min(before, channels), min(after, channels) + 1):
        first, stop = max(0, -shift), max(0, min(channels, channels - shift))
        sums[:, first:stop] += x[:, first + shift : stop + shift]
    return sums


def _per_channel(values: Array, x: Array) -> Array:
    return values.reshape(1, -1, *(1 for _ in range(x.ndim - 2)))


def _grouped(x: Array, groups: int, weight: Array) -> Array:
    _require_channels(x, weight)
    if groups < 1 or x.shape[1] % groups:
        raise GeometryError(f"groups {groups} must divide the {x.shape[1]} channels of input {x.shape}")
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])


def _require_channels(x: Array, weight: Array) -> None:
    if weight.shape != (x.shape[1],):
        raise GeometryError(
            f"input {x.shape} has {channels_of(x)}, but the weight is {weight.shape}: give one per channel"
        )


def _last_axes(x: Array, weight: Array) -> tuple[int, ...]:
    if weight.ndim > x.ndim or x.shape[x.ndim - weight.ndim :] != weight.shape:
        raise GeometryError(
            f"input {x.shape} and weight {weight.shape} do not fit: the input must end in the weight's shape"
        )
    return tuple(range(x.ndim - weight.ndim, x.ndim))
