"""The layers of CNNs in NumPy, by the functions of `reference`: what an ATen operator gives, by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from convscope.arrays import Array
from convscope.geometry.window import Window
from convscope.interpret.execution.numpy_arrays import NumpyOperator, OperatorSettings, unary
from convscope.reference import activation, normalization, pooling
from convscope.reference.convolution import convolve
from convscope.reference.linear import linear
from convscope.reference.resize import NumpyResizeMode, resize
from convscope.reference.sliding import inner, layer_windows, padded_channels_last, tap_slices, window_view
from convscope.reference.transposed import transposed_convolve


def _convolution(s: OperatorSettings) -> Array:
    x, weight, bias = s["input"], s["weight"], s["bias"]
    dimensions = weight.ndim - 2
    how = {name: _spread(s[name], dimensions) for name in ("stride", "padding", "dilation")}
    if s["transposed"]:
        extra = _spread(s["output_padding"], dimensions)
        return transposed_convolve(x, weight, bias, **how, output_padding=extra, groups=s["groups"])
    return convolve(x, weight, bias, **how, groups=s["groups"])


def _spread(setting: Sequence[int], dimensions: int) -> tuple[int, ...]:
    return tuple(setting) * dimensions if len(setting) == 1 else tuple(setting)


def _addmm(s: OperatorSettings) -> Array:
    product: Array = s["mat1"] @ s["mat2"]
    total: Array = s["beta"] * s["self"] + s["alpha"] * product
    return total


def _batch_norm(s: OperatorSettings) -> Array:
    x, channels = s["input"], s["input"].shape[1]
    training = s.get("training", False)
    return normalization.batch_norm(
        x,
        np.ones(channels) if s["weight"] is None else s["weight"],
        np.zeros(channels) if s["bias"] is None else s["bias"],
        mean=None if training else s["running_mean"],
        variance=None if training else s["running_var"],
        epsilon=s["eps"],
    )


def _layer_norm(s: OperatorSettings) -> Array:
    shape = tuple(s["normalized_shape"])
    weight = np.ones(shape) if s["weight"] is None else s["weight"]
    bias = np.zeros(shape) if s["bias"] is None else s["bias"]
    return normalization.layer_norm(s["input"], weight, bias, epsilon=s["eps"])


def _group_norm(s: OperatorSettings) -> Array:
    x, channels = s["input"], s["input"].shape[1]
    weight = np.ones(channels) if s["weight"] is None else s["weight"]
    bias = np.zeros(channels) if s["bias"] is None else s["bias"]
    return normalization.group_norm(x, s["group"], weight, bias, epsilon=s["eps"])


def _with_a_batch(pool: NumpyOperator, dimensions: int) -> NumpyOperator:
    """Return a pooling that also takes one sample (C, *S), as torch's does."""

    def rule(s: OperatorSettings) -> Array:
        one = s["self"].ndim == dimensions + 1
        pooled = pool({**s, "self": s["self"][None]} if one else s)
        assert not isinstance(pooled, list)
        return np.asarray(pooled[0]) if one else pooled

    return rule


def _max_pool(s: OperatorSettings) -> Array:
    stride = s["stride"] or None
    return pooling.max_pool(
        s["self"], s["kernel_size"], stride=stride, padding=s["padding"], dilation=s["dilation"],
        ceil_mode=s["ceil_mode"],
    )  # fmt: skip


def _average_pool(s: OperatorSettings) -> Array:
    # With `divisor_override`, torch divides the window's sum, padding and what hangs over the edge left out. No count
    # times a mean gives that sum: in ceil mode the counts are of windows cut at the padding's end.
    return pooling.average_pool(
        s["self"], s["kernel_size"], stride=s["stride"] or None, padding=s["padding"], ceil_mode=s["ceil_mode"],
        count_include_pad=s["count_include_pad"], divisor=s.get("divisor_override"),
    )  # fmt: skip


def _adaptive_average(s: OperatorSettings) -> Array:
    return pooling.adaptive_average_pool(s["self"], s["output_size"])


def _adaptive_max(s: OperatorSettings) -> Array:
    return pooling.adaptive_max_pool(s["self"], s["output_size"])


def _resized(mode: NumpyResizeMode, dimensions: int) -> NumpyOperator:
    def rule(s: OperatorSettings) -> Array:
        names = {1: ("scales",), 2: ("scales_h", "scales_w"), 3: ("scales_d", "scales_h", "scales_w")}[dimensions]
        scales = [s.get(name) for name in names]
        aligned = bool(s.get("align_corners", False))
        return resize(s["self"], s["output_size"], mode=mode, align_corners=aligned, scales=scales)

    return rule


def _safe_softmax(s: OperatorSettings) -> Array:
    """Softmax in which a row that is masked away whole becomes zeros."""
    x = s["self"]
    masked = np.isneginf(x).all(axis=s["dim"], keepdims=True)
    return np.asarray(np.where(masked, 0.0, activation.softmax(np.where(masked, 0.0, x), axis=s["dim"])))


def _pixel_shuffle(s: OperatorSettings) -> Array:
    x, r = s["self"], s["upscale_factor"]
    *batch, channels, height, width = x.shape
    apart = x.reshape(-1, channels // r**2, r, r, height, width).transpose(0, 1, 4, 2, 5, 3)
    shuffled: Array = apart.reshape(*batch, channels // r**2, height * r, width * r)
    return shuffled


def _pixel_unshuffle(s: OperatorSettings) -> Array:
    x, r = s["self"], s["downscale_factor"]
    *batch, channels, height, width = x.shape
    apart = x.reshape(-1, channels, height // r, r, width // r, r).transpose(0, 1, 3, 5, 2, 4)
    unshuffled: Array = apart.reshape(*batch, channels * r**2, height // r, width // r)
    return unshuffled


def _columns(s: OperatorSettings) -> Array:
    """Return the windows of `im2col` as columns, (N, C · taps, places), or without the batch."""
    x: Array = s["self"]
    windows = _column_windows(s)
    batch = x if x.ndim == 4 else x[None]
    outputs = [window.output_size(size) for window, size in zip(windows, batch.shape[2:], strict=True)]
    view = window_view(padded_channels_last(batch, windows), windows, outputs)
    columns = np.moveaxis(view, (-1, 3, 4), (1, 2, 3)).reshape(len(batch), -1, prod(outputs))
    return columns if x.ndim == 4 else columns[0]


def _from_columns(s: OperatorSettings) -> Array:
    """Return the sums of overlapping windows of `col2im`, (N, C, H, W), or without the batch."""
    x: Array = s["self"]
    sizes, windows = s["output_size"], _column_windows(s)
    batch = x if x.ndim == 3 else x[None]
    outputs = [window.output_size(size) for window, size in zip(windows, sizes, strict=True)]
    kernel = [window.kernel_size for window in windows]
    parts = batch.reshape(len(batch), -1, prod(kernel), *outputs)
    padded = np.zeros((*parts.shape[:2], *(w.padded_size(n) for w, n in zip(windows, sizes, strict=True))), x.dtype)
    for tap, taken in enumerate(tap_slices(windows, outputs)):
        padded[(slice(None), slice(None), *taken)] += parts[:, :, tap]
    summed = padded[(slice(None), *inner(windows, sizes))]
    return summed if x.ndim == 3 else summed[0]


def _column_windows(s: OperatorSettings) -> tuple[Window, ...]:
    how = {name: _spread(s[name], 2) for name in ("stride", "padding", "dilation")}
    return layer_windows(_spread(s["kernel_size"], 2), **how)


def _glu(s: OperatorSettings) -> Array:
    first, second = np.split(s["self"], 2, axis=s["dim"])
    gated: Array = first * activation.sigmoid(second)
    return gated


LAYER_OPERATORS: Mapping[str, NumpyOperator] = {
    "convolution": _convolution,
    "_convolution": _convolution,  # of networks that torch.jit.trace made
    "linear": lambda s: linear(s["input"], s["weight"], s["bias"]),
    "addmm": _addmm,
    "mm": lambda s: s["self"] @ s["mat2"],
    "bmm": lambda s: s["self"] @ s["mat2"],
    "matmul": lambda s: s["self"] @ s["other"],
    "native_batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    **{f"max_pool{n}d{suffix}": _with_a_batch(_max_pool, n) for n in (1, 2, 3) for suffix in ("", "_with_indices")},
    **{f"avg_pool{n}d": _with_a_batch(_average_pool, n) for n in (1, 2, 3)},
    **{f"{u}adaptive_avg_pool{n}d": _with_a_batch(_adaptive_average, n) for u in ("", "_") for n in (1, 2, 3)},
    **{f"adaptive_max_pool{n}d": _with_a_batch(_adaptive_max, n) for n in (1, 2, 3)},
    "relu": unary(activation.relu),
    "relu6": lambda s: np.clip(s["self"], 0, 6),
    "hardtanh": lambda s: np.clip(s["self"], s["min_val"], s["max_val"]),
    "clamp": lambda s: np.clip(s["self"], s["min"], s["max"]),
    "clamp_min": lambda s: np.maximum(s["self"], s["min"]),
    "clamp_max": lambda s: np.minimum(s["self"], s["max"]),
    "hardsigmoid": lambda s: np.clip(s["self"] / 6 + 0.5, 0, 1),
    "hardswish": lambda s: s["self"] * np.clip(s["self"] / 6 + 0.5, 0, 1),
    "leaky_relu": lambda s: activation.leaky_relu(s["self"], slope=s["negative_slope"]),
    "sigmoid": unary(activation.sigmoid),
    "tanh": unary(activation.tanh),
    "gelu": lambda s: activation.gelu(s["self"], approximate=s["approximate"] == "tanh"),
    "silu": unary(activation.silu),
    "mish": lambda s: s["self"] * np.tanh(np.logaddexp(0, s["self"])),
    "_prelu_kernel": lambda s: np.asarray(np.where(s["self"] > 0, s["self"], s["weight"] * s["self"])),
    "log_sigmoid_forward": lambda s: -np.logaddexp(0, -s["self"]),
    "_softmax": lambda s: activation.softmax(s["self"], axis=s["dim"]),
    "_log_softmax": lambda s: activation.log_softmax(s["self"], axis=s["dim"]),
    "_safe_softmax": _safe_softmax,
    "softmax": lambda s: activation.softmax(s["self"], axis=s["dim"]),
    "glu": _glu,
    "upsample_nearest1d": _resized("nearest", 1),
    "upsample_nearest2d": _resized("nearest", 2),
    "upsample_nearest3d": _resized("nearest", 3),
    **{f"_upsample_nearest_exact{n}d": _resized("nearest-exact", n) for n in (1, 2, 3)},
    "upsample_linear1d": _resized("linear", 1),
    "upsample_bilinear2d": _resized("linear", 2),
    "upsample_trilinear3d": _resized("linear", 3),
    "upsample_bicubic2d": _resized("cubic", 2),
    "im2col": _columns,
    "col2im": _from_columns,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
}  # fmt: skip
