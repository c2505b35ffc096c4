"""ONNX operators with sliding windows, in torch: convolution, transposed convolution, pooling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import numpy as np
import torch
from torch.nn import functional as F

from convscope.arrays import Array
from convscope.geometry.convolution import output_sizes
from convscope.geometry.window import Window
from convscope.nets.onnx.step import OnnxInputs, OnnxResult, OnnxStep, UntranslatedError, at, spatial, tensor

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_ADAPTIVE_AVERAGE = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


def _padding(
    node: OnnxStep, sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[tuple[int, int]]:
    """Return the padding before and after each axis, from `pads` or `auto_pad`."""
    rule, axes = node.get("auto_pad", "NOTSET"), len(sizes)
    if rule in ("NOTSET", ""):
        pads = node.get("pads") or [0] * 2 * axes
        return list(zip(pads[:axes], pads[axes:], strict=True))
    if rule == "VALID":
        return [(0, 0)] * axes
    padding = []
    for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
        total = max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size)
        small, large = total // 2, total - total // 2
        padding.append((small, large) if rule == "SAME_UPPER" else (large, small))
    return padding


def _window(node: OnnxStep, axes: int) -> tuple[list[int], list[int]]:
    return list(node.get("strides") or [1] * axes), list(node.get("dilations") or [1] * axes)


def _sizes(
    node: OnnxStep, sizes: Sequence[int], kernel: Sequence[int], padding: Sequence[tuple[int, int]]
) -> tuple[int, ...]:
    """Return the sizes of a pooling's output: no window of it begins in the padding after the input."""
    steps = zip(kernel, *_window(node, len(sizes)), padding, strict=True)
    windows = [
        Window(kernel_size=k, stride=s, dilation=d, padding_before=before, padding_after=after,
               ceil_mode=bool(node.get("ceil_mode", 0)))
        for k, s, d, (before, after) in steps
    ]  # fmt: skip
    return output_sizes(sizes, windows)


def _cut(pooled: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """Return a pooled map without the windows that begin in padding, which torch took for a part of the map."""
    for axis, size in enumerate(sizes, start=2):
        pooled = pooled if pooled.shape[axis] == size else pooled.narrow(axis, 0, size)
    return pooled


def _require_axes(axes: int) -> None:
    if axes not in _CONVOLVE:
        raise UntranslatedError(f"it has {axes} spatial axes")


def around(x: torch.Tensor, padding: Sequence[tuple[int, int]], value: float = 0.0) -> torch.Tensor:
    """Pad the last axes of a tensor."""
    return F.pad(x, [n for pair in reversed(padding) for n in pair], value=value)


def convolution(node: OnnxStep, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Convolve as a Conv node says; padding that differs between the ends of an axis is an operation of its own."""
    axes = x.ndim - 2
    _require_axes(axes)
    stride, dilation = _window(node, axes)
    padding = _padding(node, spatial(x), spatial(weight), stride, dilation)
    if any(before != after for before, after in padding):
        x, padding = around(x, padding), [(0, 0)] * axes
    return _CONVOLVE[axes](x, weight, bias, stride, [before for before, _ in padding], dilation, node.get("group", 1))


def _conv(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    return convolution(node, tensor(inputs[0]), tensor(inputs[1]), _bias(inputs))


def _bias(inputs: OnnxInputs) -> torch.Tensor | None:
    bias = at(inputs, 2)
    if bias is None:
        return None
    if bias.ndim != 1:
        raise UntranslatedError(f"its bias has {bias.ndim} axes, and not one")
    return tensor(bias)


def _conv_transpose(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, weight, bias = tensor(inputs[0]), tensor(inputs[1]), _bias(inputs)
    axes = x.ndim - 2
    _require_axes(axes)
    stride, dilation = _window(node, axes)
    added = list(node.get("output_padding") or [0] * axes)
    full = [(n - 1) * s + (k - 1) * d + 1 + extra for n, s, k, d, extra in
            zip(spatial(x), stride, spatial(weight), dilation, added, strict=True)]  # fmt: skip
    rule, wanted = node.get("auto_pad", "NOTSET"), node.get("output_shape")
    if wanted is None and rule.startswith("SAME"):
        wanted = [n * s for n, s in zip(spatial(x), stride, strict=True)]
    if wanted is not None:
        totals = [size - target for size, target in zip(full, wanted[-axes:], strict=True)]
        halves = [max(0, total) // 2 for total in totals]
        # What the windows do not reach is added at the end.
        cut = [(h, t - h) if rule == "SAME_UPPER" or t < 0 else (t - h, h) for h, t in zip(halves, totals, strict=True)]
    else:
        cut = _padding(node, spatial(x), spatial(weight), stride, dilation)
    # Torch pads both ends alike, and adds to the far end less than a stride or a dilation.
    even = all(before >= 0 and before == after for before, after in cut)
    within = all(extra < max(s, d) for extra, s, d in zip(added, stride, dilation, strict=True))
    convolve, group = _TRANSPOSED[axes], node.get("group", 1)
    if even and within:
        return convolve(x, weight, bias, stride, [before for before, _ in cut], added, group, dilation)
    if not within:
        raise UntranslatedError("its output padding is as large as its stride")
    larger = any(after < 0 for _, after in cut)
    made = convolve(x, weight, None if larger else bias, stride, 0, added, group, dilation)
    made = around(made, [(-before, -after) for before, after in cut])
    return made + bias.reshape(-1, *(1,) * axes) if larger and bias is not None else made


def _max_pool(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x = tensor(inputs[0])
    kernel = list(node.get("kernel_shape"))
    axes = len(kernel)
    _require_axes(axes)
    places = len(node.outputs) > 1 and bool(node.outputs[1])
    stride, dilation = _window(node, axes)
    padding = _padding(node, spatial(x), kernel, stride, dilation)
    sizes = None
    if any(before != after or before > k // 2 for (before, after), k in zip(padding, kernel, strict=True)):
        if places:
            raise UntranslatedError("it also gives indices, with padding that torch's pooling does not have")
        sizes = _sizes(node, spatial(x), kernel, padding)
        least = -float("inf") if x.is_floating_point() else torch.iinfo(x.dtype).min
        x, padding = around(x, padding, least), [(0, 0)] * axes
    ceil, ends = bool(node.get("ceil_mode", 0)), [before for before, _ in padding]
    if not places:
        made = _MAX[axes](x, kernel, stride, ends, dilation, ceil)
        return made if sizes is None else _cut(made, sizes)
    if node.get("storage_order", 0):
        raise UntranslatedError("it also gives indices, by columns")
    made, index = _MAX[axes](x, kernel, stride, ends, dilation, ceil, return_indices=True)
    # Torch counts in each map, ONNX in the whole tensor.
    maps = torch.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *(1,) * axes)
    return [made, index + maps * int(np.prod(spatial(x)))]


def _average_pool(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x = tensor(inputs[0])
    kernel = list(node.get("kernel_shape"))
    axes = len(kernel)
    _require_axes(axes)
    stride, dilation = _window(node, axes)
    padding = _padding(node, spatial(x), kernel, stride, dilation)
    include, ceil = bool(node.get("count_include_pad", 0)), bool(node.get("ceil_mode", 0))
    if any(d != 1 for d in dilation):
        return _average_of_dilated(node, x, kernel, padding)
    if all(before == after and before <= k // 2 for (before, after), k in zip(padding, kernel, strict=True)):
        return _AVERAGE[axes](x, kernel, stride, [before for before, _ in padding], ceil, include)
    pooled = _AVERAGE[axes](around(x, padding), kernel, stride, 0, ceil, True)
    pooled = _cut(pooled, _sizes(node, spatial(x), kernel, padding))
    if include:
        return pooled
    shares = [_counted(size, pair, k, s, made) for size, pair, k, s, made in
              zip(spatial(x), padding, kernel, stride, spatial(pooled), strict=True)]  # fmt: skip
    return pooled * torch.from_numpy(np.array(reduce(np.multiply, np.ix_(*shares)), np.float32)).to(pooled.dtype)


def _counted(size: int, padding: tuple[int, int], kernel: int, stride: int, made: int) -> Array:
    """Return by what to multiply each mean along an axis so that padding does not count."""
    first = np.arange(made) * stride
    end = np.minimum(first + kernel, size + sum(padding))
    read = np.minimum(end, size + padding[0]) - np.maximum(first, padding[0])
    share: Array = (end - first) / np.maximum(read, 1)
    return share


def _average_of_dilated(
    node: OnnxStep, x: torch.Tensor, kernel: list[int], padding: list[tuple[int, int]]
) -> OnnxResult:
    """Average windows with holes: a convolution of each channel by equal weights."""
    if any(n for pair in padding for n in pair) or node.get("ceil_mode", 0):
        raise UntranslatedError("it averages dilated windows over padding")
    channels, axes = x.shape[1], len(kernel)
    weight = torch.full((channels, 1, *kernel), 1 / int(np.prod(kernel)), dtype=x.dtype)
    stride, dilation = _window(node, axes)
    return _CONVOLVE[axes](x, weight, None, stride, 0, dilation, channels)


def _lp_pool(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, kernel, p = tensor(inputs[0]), list(node.get("kernel_shape")), node.get("p", 2)
    stride, dilation = _window(node, len(kernel))
    padding = _padding(node, spatial(x), kernel, stride, dilation)
    if any(d != 1 for d in dilation):
        raise UntranslatedError("its windows are dilated")
    sizes = _sizes(node, spatial(x), kernel, padding)
    # The last window of `ceil_mode` may hang over the end: zeros make it whole.
    whole = [(before, max(after, (made - 1) * s + k - size - before)) for (before, after), made, s, k, size in
             zip(padding, sizes, stride, kernel, spatial(x), strict=True)]  # fmt: skip
    mean = _AVERAGE[len(kernel)](around(torch.pow(torch.abs(x), p), whole), kernel, stride)
    return torch.pow(_cut(mean, sizes) * int(np.prod(kernel)), 1 / p)


def _global_average(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x = tensor(inputs[0])
    return _ADAPTIVE_AVERAGE[x.ndim - 2](x, 1) if x.ndim - 2 in _CONVOLVE else x.mean(
        tuple(range(2, x.ndim)), keepdim=True)  # fmt: skip


def _global_max(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x = tensor(inputs[0])
    return torch.amax(x, tuple(range(2, x.ndim)), keepdim=True)


OPERATORS: Mapping[str, Callable[[OnnxStep, OnnxInputs], OnnxResult]] = {
    "Conv": _conv, "ConvTranspose": _conv_transpose, "MaxPool": _max_pool, "AveragePool": _average_pool,
    "LpPool": _lp_pool, "GlobalAveragePool": _global_average, "GlobalMaxPool": _global_max,
}  # fmt: skip
