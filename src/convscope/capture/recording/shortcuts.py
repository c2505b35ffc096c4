"""Results of the commonest operators by our own arithmetic.

torch works these out in Python for meta tensors, and the first such call imports its compiler: more than a second for
an analysis that takes a tenth. Only plain cases are answered here, everything else goes to torch; a law in the tests
holds both sides equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from convscope.capture.recording.aliasing import Signature, Tracked, interned
from convscope.errors import GeometryError
from convscope.geometry.convolution import TransposedWindow, per_axis
from convscope.geometry.window import Window

_FLOATS = (torch.float32, torch.float64)

ResultShortcut = Callable[[Mapping[str, Any]], tuple[Signature, ...] | None]


def results_of(target: str, settings: Mapping[str, Any]) -> tuple[Signature, ...] | None:
    """Return the signatures of a call's results; None where torch must be asked, also about what does not fit."""
    shortcut = _SHORTCUTS.get(target)
    if shortcut is None:
        return None
    try:
        return shortcut(settings)
    except (GeometryError, ValueError):
        return None


def _contiguous(shape: Sequence[int], dtype: torch.dtype) -> Signature:
    strides = [1]
    for size in reversed(shape[1:]):
        strides.append(strides[-1] * max(size, 1))
    return interned(tuple(shape), tuple(reversed(strides)), dtype)


def _plain(*tensors: Tracked | None) -> bool:
    """Floats of one type that lie in order in their memory."""
    given = [t.signature for t in tensors if t is not None]
    dtype = given[0].dtype
    return dtype in _FLOATS and all(
        s.dtype is dtype and s.stride == _contiguous(s.shape, dtype).stride and 0 not in s.shape for s in given
    )


def _convolution(settings: Mapping[str, Any]) -> tuple[Signature, ...] | None:
    x, weight, bias = settings["input"], settings["weight"], settings["bias"]
    if not _plain(x, weight, bias):
        return None
    shape, kernel = x.signature.shape, weight.signature.shape
    axes, groups, transposed = len(kernel) - 2, settings["groups"], settings["transposed"]
    if axes < 1:
        return None
    channels = kernel[0] if transposed else kernel[1] * groups
    made = kernel[1] * groups if transposed else kernel[0]
    if len(shape) != axes + 2 or shape[1] != channels or made % groups or channels % groups:
        return None
    per = [per_axis(name, settings[name], axes) for name in ("stride", "padding", "dilation", "output_padding")]
    sizes = []
    for size, k, s, p, d, extra in zip(shape[2:], kernel[2:], *per, strict=True):
        window = Window(kernel_size=k, stride=s, padding_before=p, padding_after=p, dilation=d)
        if transposed:
            sizes.append(TransposedWindow(window=window, output_padding=extra).output_size(size))
        else:
            sizes.append(window.output_size(size))
    return (_contiguous((shape[0], made, *sizes), x.signature.dtype),)


def _batch_norm(settings: Mapping[str, Any]) -> tuple[Signature, ...] | None:
    x = settings["input"]
    others = [settings[name] for name in ("weight", "bias", "running_mean", "running_var")]
    if not _plain(x, *others) or any(o is not None and o.signature.shape != x.signature.shape[1:2] for o in others):
        return None
    statistics = _contiguous(x.signature.shape[1:2] if settings["training"] else (0,), x.signature.dtype)
    return x.signature, statistics, statistics


def _pooling(axes: int, *, indices: bool) -> ResultShortcut:
    def shortcut(settings: Mapping[str, Any]) -> tuple[Signature, ...] | None:
        x = settings["self"]
        shape = x.signature.shape
        if len(shape) != axes + 2 or not _plain(x):
            return None
        kernel = per_axis("kernel_size", settings["kernel_size"], axes)
        per = [
            per_axis("stride", settings["stride"] or kernel, axes),
            per_axis("padding", settings["padding"], axes),
            per_axis("dilation", settings.get("dilation", 1), axes),
        ]
        if any(p > k // 2 for k, p in zip(kernel, per[1], strict=True)):
            return None
        sizes = [
            Window(
                kernel_size=k, stride=s, padding_before=p, padding_after=p, dilation=d,
                ceil_mode=settings["ceil_mode"],
            ).output_size(size)
            for size, k, s, p, d in zip(shape[2:], kernel, *per, strict=True)
        ]  # fmt: skip
        out = _contiguous((*shape[:2], *sizes), x.signature.dtype)
        return (out, _contiguous(out.shape, torch.int64)) if indices else (out,)

    return shortcut


def _alike(settings: Mapping[str, Any]) -> tuple[Signature, ...] | None:
    """Return an activation: the result is like its input."""
    x = settings["self"]
    scalars = (value for name, value in settings.items() if name != "self")
    if not _plain(x) or not all(value is None or isinstance(value, bool | int | float | str) for value in scalars):
        return None
    return (x.signature,)


def _softmax(settings: Mapping[str, Any]) -> tuple[Signature, ...] | None:
    return _alike(settings) if _has_axis(settings["self"], settings["dim"]) else None


def _clamp(settings: Mapping[str, Any]) -> tuple[Signature, ...] | None:
    return None if settings["min"] is None and settings["max"] is None else _alike(settings)


def _has_axis(x: Tracked, axis: int) -> bool:
    rank = len(x.signature.shape)
    return -rank <= axis < rank


def _arithmetic(settings: Mapping[str, Any]) -> tuple[Signature, ...] | None:
    x, other = settings["self"], settings["other"]
    if not isinstance(other, Tracked):
        return (x.signature,) if isinstance(other, int | float) and _plain(x) else None
    if not _plain(x, other):
        return None
    shape = np.broadcast_shapes(x.signature.shape, other.signature.shape)
    return (_contiguous(shape, x.signature.dtype),)


def _in_place(shortcut: ResultShortcut) -> ResultShortcut:
    """Return the same written over `self`, which must keep its shape."""

    def checked(settings: Mapping[str, Any]) -> tuple[Signature, ...] | None:
        made = shortcut(settings)
        return made if made is not None and made[0].shape == settings["self"].signature.shape else None

    return checked


def _product(settings: Mapping[str, Any]) -> tuple[Signature, ...] | None:
    """Compute `addmm`, `mm`, `bmm`: only the first matrix must be contiguous."""
    left, right = (settings["mat1"], settings["mat2"]) if "mat1" in settings else (settings["self"], settings["mat2"])
    a, b = left.signature, right.signature
    bias = settings["self"] if "mat1" in settings else None
    if not _plain(left, bias) or b.dtype is not a.dtype or a.shape[1] != b.shape[0] or len(b.shape) != 2:
        return None
    out = (a.shape[0], b.shape[1])
    if bias is not None and np.broadcast_shapes(bias.signature.shape, out) != out:
        return None
    return (_contiguous(out, a.dtype),)


def _mean(settings: Mapping[str, Any]) -> tuple[Signature, ...] | None:
    x, dim = settings["self"], settings["dim"]
    if not _plain(x) or not isinstance(dim, list) or not dim or settings.get("dtype") is not None:
        return None
    rank = len(x.signature.shape)
    axes = {d % rank for d in dim if -rank <= d < rank}
    if len(axes) != len(dim):
        return None
    kept = [
        1 if a in axes else size for a, size in enumerate(x.signature.shape) if settings["keepdim"] or a not in axes
    ]
    return (_contiguous(kept, x.signature.dtype),)


def _concat(settings: Mapping[str, Any]) -> tuple[Signature, ...] | None:
    parts = settings["tensors"]
    if not parts or not _plain(*parts):
        return None
    shapes = [part.signature.shape for part in parts]
    if not _has_axis(parts[0], settings["dim"]):
        return None
    axis = settings["dim"] % len(shapes[0])
    if any(s[:axis] + s[axis + 1 :] != shapes[0][:axis] + shapes[0][axis + 1 :] for s in shapes):
        return None
    size = sum(s[axis] for s in shapes)
    return (_contiguous((*shapes[0][:axis], size, *shapes[0][axis + 1 :]), parts[0].signature.dtype),)


def _adaptive(settings: Mapping[str, Any]) -> tuple[Signature, ...] | None:
    x, sizes = settings["self"], settings["output_size"]
    shape = x.signature.shape
    if not _plain(x) or len(shape) != len(sizes) + 2 or any(size < 1 for size in sizes):
        return None
    return (_contiguous((*shape[:2], *sizes), x.signature.dtype),)


_ACTIVATIONS = (
    "relu", "sigmoid", "tanh", "silu", "gelu", "hardswish", "hardsigmoid", "hardtanh", "leaky_relu", "elu", "softplus",
    "mish", "exp", "sqrt", "rsqrt", "neg", "abs",
)  # fmt: skip
_OPERATIONS = ("add.Tensor", "sub.Tensor", "mul.Tensor", "div.Tensor")

_SHORTCUTS: Mapping[str, ResultShortcut] = {
    "aten.convolution.default": _convolution,
    "aten.native_batch_norm.default": _batch_norm,
    "aten.max_pool2d_with_indices.default": _pooling(2, indices=True),
    "aten.max_pool3d_with_indices.default": _pooling(3, indices=True),
    "aten.avg_pool2d.default": _pooling(2, indices=False),
    "aten.avg_pool3d.default": _pooling(3, indices=False),
    "aten._adaptive_avg_pool2d.default": _adaptive,
    "aten.addmm.default": _product,
    "aten.mm.default": _product,
    "aten.mean.dim": _mean,
    "aten.cat.default": _concat,
    "aten._softmax.default": _softmax,
    **{f"aten.{name}.default": _alike for name in _ACTIVATIONS},
    **{f"aten.{name}_.default": _alike for name in _ACTIVATIONS},
    **dict.fromkeys(("aten.clamp.default", "aten.clamp_.default"), _clamp),
    **{f"aten.{name}": _arithmetic for name in _OPERATIONS},
    **{f"aten.{name.replace('.', '_.')}": _in_place(_arithmetic) for name in _OPERATIONS},
}
