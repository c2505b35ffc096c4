"""Arithmetic, reductions and shapes in NumPy: what an ATen operator gives, by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
    sizes, order = np.abs(s["self"]), s["ord"]
    how = {"axis": tuple(s["dim"]) if s["dim"] else None, "keepdims": s["keepdim"]}
    if order in (np.inf, -np.inf):
        return np.asarray(sizes.max(**how) if order > 0 else sizes.min(**how))
    if order == 0:
        return np.asarray((sizes != 0).sum(**how), dtype=np.float64)
    return np.asarray((sizes**order).sum(**how) ** (1 / order))


def _padded_by(mode: Literal["reflect", "edge"]) -> NumpyOperator:
    def rule(s: OperatorSettings) -> Array:
        x, pairs = s["self"], s["padding"]
        axes = len(pairs) // 2
        widths = [(pairs[2 * i], pairs[2 * i + 1]) for i in reversed(range(axes))]
        cropped, rest = _cropped(x, [(0, 0)] * (x.ndim - axes) + widths)
        return np.pad(cropped, rest, mode=mode)

    return rule


def _slice_scatter(s: OperatorSettings) -> Array:
    written: Array = s["self"].copy()
    index = [slice(None)] * written.ndim
    index[s["dim"]] = slice(s["start"], s["end"], s["step"])
    written[tuple(index)] = s["src"]
    return written


def axes_of(s: OperatorSettings) -> tuple[int, ...]:
    """Return the axes of a reduction, counted from the front: those in `dim`, or all."""
    dim, rank = s.get("dim"), s["self"].ndim
    listed = dim if isinstance(dim, tuple) else () if dim is None else (dim,)
    return tuple(axis % rank for axis in listed) if listed and rank else tuple(range(rank))


def _reduced(function: Callable[..., Any]) -> Callable[[OperatorSettings], Array]:
    def rule(s: OperatorSettings) -> Array:
        x: Array = s["self"]
        axes = axes_of(s)
        rest = [size for axis, size in enumerate(x.shape) if axis not in axes]
        last = np.moveaxis(x, axes, range(-len(axes), 0)).reshape(*rest, -1)
        found = np.asarray(function(last, axis=-1))
        return np.expand_dims(found, axes) if s.get("keepdim") and x.ndim else found

    return rule


def correction_of(s: OperatorSettings) -> float:
    """Return what a variance takes from the count of its numbers: 1 unless the call says otherwise."""
    if "unbiased" in s:
        return float(s["unbiased"])
    return 1.0 if s.get("correction") is None else float(s["correction"])


def _spread_about_the_mean(last: Callable[[Array], Array]) -> Callable[[OperatorSettings], Array]:
    return lambda s: last(_reduced(partial(np.var, ddof=correction_of(s)))(s))


def _sorted(s: OperatorSettings, count: int, descending: bool) -> Array:
    x: Array = np.sort(s["self"], axis=s["dim"])
    first = np.take(np.flip(x, axis=s["dim"]) if descending else x, range(count), axis=s["dim"])
    return np.asarray(first)


def _windows_along(s: OperatorSettings) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(s["self"], s["size"], axis=s["dimension"])
    index = [slice(None)] * windows.ndim
    index[s["dimension"] % max(1, s["self"].ndim)] = slice(None, None, s["step"])
    view: Array = windows[tuple(index)]
    return view


def _diagonal(s: OperatorSettings) -> Array:
    return np.diagonal(s["self"], s["offset"], s["dim1"], s["dim2"])


def _channel_shuffle(s: OperatorSettings) -> Array:
    x: Array = s["self"]
    return x.reshape(len(x), s["groups"], -1, *x.shape[2:]).swapaxes(1, 2).reshape(x.shape)


def _indexed(s: OperatorSettings) -> Array:
    picked: Array = s["self"][tuple(slice(None) if index is None else index for index in s["indices"])]
    return picked


def _index_select(s: OperatorSettings) -> Array:
    x = np.asarray(s["self"])
    found = np.asarray(np.take(x, s["index"], axis=s["dim"]))
    return found if x.ndim else found.reshape(())  # torch takes a number for a row of one, and gives a number


def _gathered(s: OperatorSettings) -> Array:
    x, index, axis = s["self"], s["index"], s["dim"] % max(1, s["self"].ndim)
    # Torch takes as much of every other axis as the index has; NumPy would repeat the index along it.
    part = x[tuple(slice(None) if other == axis else slice(size) for other, size in enumerate(index.shape))]
    return np.take_along_axis(part, index, axis=axis)


def _pad(s: OperatorSettings) -> Array:
    x, pairs = s["self"], s["pad"]
    widths = [(0, 0)] * (x.ndim - len(pairs) // 2)
    widths += [(pairs[i], pairs[i + 1]) for i in range(len(pairs) - 2, -1, -2)]
    cropped, rest = _cropped(x, widths)
    return np.pad(cropped, rest, constant_values=s["value"] or 0) if rest else cropped


def _cropped(x: Array, widths: Sequence[tuple[int, int]]) -> tuple[Array, list[tuple[int, int]]]:
    """Return what negative widths of a padding leave of an array, and the other widths."""
    kept = x[tuple(slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(x.shape, widths, strict=True))]
    return kept, [(max(0, a), max(0, b)) for a, b in widths]


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


def _cast(s: OperatorSettings) -> Array:
    """Return numbers in another type; those with digits after the point are float64 here, whatever theirs is."""
    x, kind = np.asarray(s["self"]), s.get("dtype")
    if kind is None or kind.startswith("complex"):
        return x
    if kind.startswith(("float", "bfloat")):
        x = x.real if x.dtype.kind == "c" else x
        return x if x.dtype.kind == "f" else x.astype(np.float64)
    return x.astype(np.dtype(kind))


ARRAY_OPERATORS: Mapping[str, NumpyOperator] = {
    "add": _binary(np.add),
    "sub": _binary(np.subtract),
    "rsub": lambda s: np.asarray(s["other"] - s.get("alpha", 1) * s["self"]),
    "mul": _binary(np.multiply),
    "maximum": _binary(np.maximum),
    "minimum": _binary(np.minimum),
    "neg": unary(np.negative),
    "abs": unary(np.abs),
    "sign": unary(np.sign),
    "exp": unary(np.exp),
    "log": unary(np.log),
    "sqrt": unary(np.sqrt),
    "rsqrt": lambda s: 1 / np.sqrt(s["self"]),
    "square": unary(np.square),
    "reciprocal": lambda s: 1 / s["self"],
    "mean": _reduced(np.mean),
    "sum": _reduced(np.sum),
    "amax": _reduced(np.max),
    "amin": _reduced(np.min),
    "max": _reduced(np.max),
    "min": _reduced(np.min),
    "prod": _reduced(np.prod),
    "var": _spread_about_the_mean(np.asarray),
    "std": _spread_about_the_mean(np.sqrt),
    "var_mean": lambda s: [_spread_about_the_mean(np.asarray)(s), _reduced(np.mean)(s)],
    "std_mean": lambda s: [_spread_about_the_mean(np.sqrt)(s), _reduced(np.mean)(s)],
    "logsumexp": _reduced(np.logaddexp.reduce),
    "cumsum": lambda s: np.cumsum(s["self"], axis=s["dim"]),
    "cumprod": lambda s: np.cumprod(s["self"], axis=s["dim"]),
    "sort": lambda s: _sorted(s, s["self"].shape[s["dim"]] if s["self"].ndim else 1, s["descending"]),
    "topk": lambda s: _sorted(s, s["k"], s["largest"]),
    "linalg_vector_norm": _norm,
    "roll": _roll,
    "rot90": lambda s: np.rot90(s["self"], s["k"], s["dims"]),
    "repeat": lambda s: np.tile(s["self"], s["repeats"]),
    "unfold": _windows_along,
    "diagonal": _diagonal,
    "tril": lambda s: np.tril(s["self"], s["diagonal"]),
    "triu": lambda s: np.triu(s["self"], s["diagonal"]),
    "channel_shuffle": _channel_shuffle,
    "native_channel_shuffle": _channel_shuffle,
    "index": _indexed,
    "index_select": _index_select,
    "gather": _gathered,
    "embedding": lambda s: s["weight"][s["indices"]],
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
    "_to_copy": _cast,
    "copy": lambda s: np.broadcast_to(s["src"], s["self"].shape),
}  # fmt: skip
