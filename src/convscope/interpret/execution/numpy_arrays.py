"""Arithmetic, reductions and shapes in NumPy: what an ATen operator gives, by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from convscope.arrays import Array
from convscope.reference.linear import concatenate

OperatorSettings = Mapping[str, Any]
NumpyOperator = Callable[[OperatorSettings], Array | list[Array]]


def _roll(s: OperatorSettings) -> Array:
    shifts, axes = s["shifts"], s["dims"]
    return np.asarray(np.roll(s["self"], shifts, axis=axes or None))


def _norm(s: OperatorSettings) -> Array:
    axes = s["dim"]
    powered = np.abs(s["self"]) ** s["ord"]
    total = powered.sum(axis=tuple(axes) if axes else None, keepdims=s["keepdim"])
    return np.asarray(total ** (1 / s["ord"]))


def _padded_by(mode: Literal["reflect", "edge"]) -> NumpyOperator:
    def rule(s: OperatorSettings) -> Array:
        x, pairs = s["self"], s["padding"]
        axes = len(pairs) // 2
        widths = [(pairs[2 * i], pairs[2 * i + 1]) for i in reversed(range(axes))]
        return np.pad(x, [(0, 0)] * (x.ndim - axes) + widths, mode=mode)

    return rule


def _slice_scatter(s: OperatorSettings) -> Array:
    written: Array = s["self"].copy()
    index = [slice(None)] * written.ndim
    index[s["dim"]] = slice(s["start"], s["end"], s["step"])
    written[tuple(index)] = s["src"]
    return written


def _mean(s: OperatorSettings) -> Array:
    axes = s.get("dim")
    mean: Array = s["self"].mean(axis=tuple(axes) if axes else None, keepdims=s.get("keepdim", False))
    return mean


def _sum(s: OperatorSettings) -> Array:
    axes = s.get("dim")
    total: Array = s["self"].sum(axis=tuple(axes) if axes else None, keepdims=s.get("keepdim", False))
    return np.asarray(total)


def _maximum(s: OperatorSettings) -> Array:
    axes = s.get("dim")
    found: Array = s["self"].max(axis=tuple(axes) if axes else None, keepdims=s.get("keepdim", False))
    return np.asarray(found)


def _pad(s: OperatorSettings) -> Array:
    x, pairs = s["self"], s["pad"]
    widths = [(0, 0)] * (x.ndim - len(pairs) // 2)
    widths += [(pairs[i], pairs[i + 1]) for i in range(len(pairs) - 2, -1, -2)]
    # A negative width crops.
    cropped = x[tuple(slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(x.shape, widths, strict=True))]
    return np.pad(cropped, [(max(0, a), max(0, b)) for a, b in widths], constant_values=s["value"] or 0)


def _slice(s: OperatorSettings) -> Array:
    index: list[slice] = [slice(None)] * s["self"].ndim
    index[s["dim"]] = slice(s["start"], s["end"], s["step"])
    part: Array = s["self"][tuple(index)]
    return part


def _split(s: OperatorSettings) -> list[Array]:
    axis, size = s["dim"], s["self"].shape[s["dim"]]
    sizes = s["split_sizes"] if "split_sizes" in s else s["split_size"]
    ends = list(range(sizes, size, sizes)) if isinstance(sizes, int) else list(np.cumsum(sizes)[:-1])
    return list(np.split(s["self"], ends, axis=axis))


def _squeeze(s: OperatorSettings) -> Array:
    x, axes = s["self"], s.get("dim", tuple(range(s["self"].ndim)))
    axes = (axes,) if isinstance(axes, int) else axes
    return np.asarray(np.squeeze(x, axis=tuple(axis for axis in axes if x.shape[axis] == 1)))


def _expand(s: OperatorSettings) -> Array:
    x, sizes = s["self"], s["size"]
    own = (1,) * (len(sizes) - x.ndim) + x.shape
    return np.broadcast_to(x, tuple(n if size == -1 else size for size, n in zip(sizes, own, strict=True)))


def unary(function: Callable[..., Array]) -> NumpyOperator:
    """Return the operator of a function of one array."""
    return lambda s: function(s["self"])


def _binary(function: Callable[[Any, Any], Any]) -> NumpyOperator:
    def rule(s: OperatorSettings) -> Array:
        other, alpha = s["other"], s.get("alpha", 1)
        return np.asarray(function(s["self"], other if alpha == 1 else alpha * other))

    return rule


def _same(s: OperatorSettings) -> Array:
    x: Array = s["self"] if "self" in s else s["input"]
    return x


ARRAY_OPERATORS: Mapping[str, NumpyOperator] = {
    "add": _binary(np.add),
    "sub": _binary(np.subtract),
    "rsub": _binary(lambda a, b: b - a),
    "mul": _binary(np.multiply),
    "div": _binary(np.divide),
    "maximum": _binary(np.maximum),
    "minimum": _binary(np.minimum),
    "pow": lambda s: np.asarray(s["self"] ** s["exponent"]),
    "neg": unary(np.negative),
    "abs": unary(np.abs),
    "sign": unary(np.sign),
    "exp": unary(np.exp),
    "log": unary(np.log),
    "sqrt": unary(np.sqrt),
    "rsqrt": lambda s: 1 / np.sqrt(s["self"]),
    "square": unary(np.square),
    "reciprocal": lambda s: 1 / s["self"],
    "mean": _mean,
    "sum": _sum,
    "amax": _maximum,
    "linalg_vector_norm": _norm,
    "roll": _roll,
    "flip": lambda s: np.flip(s["self"], axis=s["dims"]),
    "cat": lambda s: concatenate(s["tensors"], axis=s["dim"]),
    "stack": lambda s: np.stack(s["tensors"], axis=s["dim"]),
    "constant_pad_nd": _pad,
    **{f"reflection_pad{n}d": _padded_by("reflect") for n in (1, 2, 3)},
    **{f"replication_pad{n}d": _padded_by("edge") for n in (1, 2, 3)},
    "slice_scatter": _slice_scatter,
    "view": lambda s: s["self"].reshape(s["size"]),
    "_unsafe_view": lambda s: s["self"].reshape(s["size"]),
    "reshape": lambda s: s["self"].reshape(s["shape"]),
    "permute": lambda s: s["self"].transpose(s["dims"]),
    "transpose": lambda s: np.swapaxes(s["self"], s["dim0"], s["dim1"]),
    "t": lambda s: s["self"].T,
    "slice": _slice,
    "select": lambda s: np.take(s["self"], s["index"], axis=s["dim"]),
    "split": _split,
    "split_with_sizes": _split,
    "unbind": lambda s: [np.take(s["self"], i, axis=s["dim"]) for i in range(s["self"].shape[s["dim"]])],
    "squeeze": _squeeze,
    "unsqueeze": lambda s: np.expand_dims(s["self"], s["dim"]),
    "expand": _expand,
    "clone": _same,
    "contiguous": _same,
    "dropout": _same,
    "_to_copy": _same,
    "copy": lambda s: np.broadcast_to(s["src"], s["self"].shape),
}  # fmt: skip
