"""Run a Graph in NumPy: any captured network, by the functions of `reference`, in float64.

It stands here, above `graph` and `reference`, because the two may not see each other. What an operator means is one
line of a table, by its ATen name; an operator that is not in it is not guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any, Literal

import numpy as np

from convscope.arrays import Array
from convscope.errors import CaptureError
from convscope.graph.records import Argument, Graph, Node, Ref
from convscope.reference import activation, normalization, pooling
from convscope.reference.convolution import convolve
from convscope.reference.linear import concatenate, linear
from convscope.reference.resize import InterpolationMode, resize
from convscope.reference.transposed import transposed_convolve

OperatorSettings = Mapping[str, Any]
ReplayRule = Callable[[OperatorSettings], Array | list[Array]]


def interpret(graph: Graph, given: Mapping[int, Array]) -> Iterator[tuple[Node, list[Array]]]:
    """Run every node in order, and give it with its results.

    Args:
        graph: a captured network.
        given: the inputs, parameters, buffers and constants, by value.

    Raises:
        CaptureError: an operator that we have no NumPy for.
    """
    arrays = dict(given)
    last_use = {value: node.index for node in graph.nodes for value in node.inputs}
    for node in graph.nodes:
        results = [] if reads_left_out(graph, node, arrays) else interpret_node(node, arrays)
        arrays.update(zip(node.outputs, results, strict=False))
        yield node, results
        for value in node.inputs:
            if last_use[value] == node.index:
                arrays.pop(value, None)


def interpret_node(node: Node, arrays: Mapping[int, Array]) -> list[Array]:
    """The results of one node; the masks and indices that some operators give besides are left out.

    Raises:
        CaptureError: an operator that we have no NumPy for.
    """
    rule = rule_of(node)
    if rule is None:
        raise CaptureError(f"{node.module or 'the model'}: there is no NumPy for {node.target}")
    result = rule({name: resolved(argument, arrays) for name, argument in node.arguments.items()})
    return result if isinstance(result, list) else [result]


def reads_left_out(graph: Graph, node: Node, arrays: Mapping[int, Array]) -> bool:
    """Whether a node reads a mask or an index that was left out; then it is left out as well."""
    return any(value not in arrays and graph.values[value].producer is not None for value in node.inputs)


def rule_of(node: Node) -> ReplayRule | None:
    """The NumPy of a node's operator, or None."""
    return RULES.get(aten_name(node))


def aten_name(node: Node) -> str:
    """The operator's name without namespace, overload and the underscore of an in-place form."""
    namespace, name, _ = node.target.split(".")
    name = name if name.endswith("__") else name.removesuffix("_")
    return name if namespace == "aten" else f"{namespace}::{name}"


def resolved(argument: Argument, arrays: Mapping[int, Array]) -> Any:
    """An argument with its tensors in place."""
    if isinstance(argument, Ref):
        return arrays[argument.value]
    return tuple(resolved(item, arrays) for item in argument) if isinstance(argument, tuple) else argument


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


def _max_pool(s: OperatorSettings) -> Array:
    stride = s["stride"] or None
    return pooling.max_pool(
        s["self"], s["kernel_size"], stride=stride, padding=s["padding"], dilation=s["dilation"],
        ceil_mode=s["ceil_mode"],
    )  # fmt: skip


def _average_pool(s: OperatorSettings) -> Array:
    how = {"stride": s["stride"] or None, "padding": s["padding"], "ceil_mode": s["ceil_mode"]}
    if s.get("divisor_override") is None:
        return pooling.average_pool(s["self"], s["kernel_size"], **how, count_include_pad=s["count_include_pad"])
    # A sum is the mean that counts everything, times the window's cells that lie inside the padded input.
    ones = np.ones_like(s["self"])
    share = pooling.average_pool(ones, s["kernel_size"], **how, count_include_pad=False)
    mean = pooling.average_pool(s["self"], s["kernel_size"], **how, count_include_pad=False)
    cells = pooling.average_pool(ones, s["kernel_size"], **how, count_include_pad=True) * prod(s["kernel_size"])
    total: Array = mean * share * cells / s["divisor_override"]
    return total


def _resized(mode: InterpolationMode, dimensions: int) -> ReplayRule:
    def rule(s: OperatorSettings) -> Array:
        names = {1: ("scales",), 2: ("scales_h", "scales_w"), 3: ("scales_d", "scales_h", "scales_w")}[dimensions]
        scales = [s.get(name) for name in names]
        aligned = bool(s.get("align_corners", False))
        return resize(s["self"], s["output_size"], mode=mode, align_corners=aligned, scales=scales)

    return rule


def _roll(s: OperatorSettings) -> Array:
    shifts, axes = s["shifts"], s["dims"]
    return np.asarray(np.roll(s["self"], shifts, axis=axes or None))


def _safe_softmax(s: OperatorSettings) -> Array:
    """Softmax in which a row that is masked away whole becomes zeros."""
    x = s["self"]
    masked = np.isneginf(x).all(axis=s["dim"], keepdims=True)
    return np.asarray(np.where(masked, 0.0, activation.softmax(np.where(masked, 0.0, x), axis=s["dim"])))


def _norm(s: OperatorSettings) -> Array:
    axes = s["dim"]
    powered = np.abs(s["self"]) ** s["ord"]
    total = powered.sum(axis=tuple(axes) if axes else None, keepdims=s["keepdim"])
    return np.asarray(total ** (1 / s["ord"]))


def _pixel_shuffle(s: OperatorSettings) -> Array:
    x, r = s["self"], s["upscale_factor"]
    n, channels, height, width = x.shape
    apart = x.reshape(n, channels // r**2, r, r, height, width).transpose(0, 1, 4, 2, 5, 3)
    shuffled: Array = apart.reshape(n, channels // r**2, height * r, width * r)
    return shuffled


def _pixel_unshuffle(s: OperatorSettings) -> Array:
    x, r = s["self"], s["downscale_factor"]
    n, channels, height, width = x.shape
    apart = x.reshape(n, channels, height // r, r, width // r, r).transpose(0, 1, 3, 5, 2, 4)
    unshuffled: Array = apart.reshape(n, channels * r**2, height // r, width // r)
    return unshuffled


def _padded_by(mode: Literal["reflect", "edge"]) -> ReplayRule:
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


def _unary(function: Callable[..., Array]) -> ReplayRule:
    return lambda s: function(s["self"])


def _binary(function: Callable[[Any, Any], Any]) -> ReplayRule:
    def rule(s: OperatorSettings) -> Array:
        other, alpha = s["other"], s.get("alpha", 1)
        return np.asarray(function(s["self"], other if alpha == 1 else alpha * other))

    return rule


def _same(s: OperatorSettings) -> Array:
    x: Array = s["self"] if "self" in s else s["input"]
    return x


def _softplus(s: OperatorSettings) -> Array:
    x: Array = s["self"] * s["beta"]
    return np.asarray(np.where(x > s["threshold"], s["self"], np.logaddexp(0, x) / s["beta"]))


def _elu(s: OperatorSettings) -> Array:
    x: Array = s["self"]
    curve = s["alpha"] * np.expm1(np.minimum(x, 0) * s["input_scale"])
    return np.asarray(s["scale"] * np.where(x > 0, x, curve))


def _glu(s: OperatorSettings) -> Array:
    first, second = np.split(s["self"], 2, axis=s["dim"])
    gated: Array = first * activation.sigmoid(second)
    return gated


RULES: Mapping[str, ReplayRule] = {
    "convolution": _convolution,
    "linear": lambda s: linear(s["input"], s["weight"], s["bias"]),
    "addmm": _addmm,
    "mm": lambda s: s["self"] @ s["mat2"],
    "bmm": lambda s: s["self"] @ s["mat2"],
    "matmul": lambda s: s["self"] @ s["other"],
    "native_batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "max_pool2d_with_indices": _max_pool,
    "max_pool3d_with_indices": _max_pool,
    "max_pool1d": _max_pool,
    "max_pool2d": _max_pool,
    "max_pool3d": _max_pool,
    "avg_pool1d": lambda s: _average_pool({"divisor_override": None, **s}),
    "avg_pool2d": _average_pool,
    "avg_pool3d": _average_pool,
    **{f"{u}adaptive_avg_pool{n}d": lambda s: pooling.adaptive_average_pool(s["self"], s["output_size"])
       for u in ("", "_") for n in (1, 2, 3)},
    **{f"adaptive_max_pool{n}d": lambda s: pooling.adaptive_max_pool(s["self"], s["output_size"]) for n in (1, 2, 3)},
    "relu": _unary(activation.relu),
    "relu6": lambda s: np.clip(s["self"], 0, 6),
    "hardtanh": lambda s: np.clip(s["self"], s["min_val"], s["max_val"]),
    "clamp": lambda s: np.clip(s["self"], s["min"], s["max"]),
    "clamp_min": lambda s: np.maximum(s["self"], s["min"]),
    "clamp_max": lambda s: np.minimum(s["self"], s["max"]),
    "hardsigmoid": lambda s: np.clip(s["self"] / 6 + 0.5, 0, 1),
    "hardswish": lambda s: s["self"] * np.clip(s["self"] / 6 + 0.5, 0, 1),
    "leaky_relu": lambda s: activation.leaky_relu(s["self"], slope=s["negative_slope"]),
    "sigmoid": _unary(activation.sigmoid),
    "tanh": _unary(activation.tanh),
    "gelu": lambda s: activation.gelu(s["self"], approximate=s["approximate"] == "tanh"),
    "silu": _unary(activation.silu),
    "mish": lambda s: s["self"] * np.tanh(np.logaddexp(0, s["self"])),
    "softplus": _softplus,
    "_prelu_kernel": lambda s: np.asarray(np.where(s["self"] > 0, s["self"], s["weight"] * s["self"])),
    "log_sigmoid_forward": lambda s: -np.logaddexp(0, -s["self"]),
    "threshold": lambda s: np.asarray(np.where(s["self"] > s["threshold"], s["self"], s["value"])),
    "celu": lambda s: _elu({"scale": 1, "input_scale": 1 / s["alpha"], **s}),
    "_softmax": lambda s: activation.softmax(s["self"], axis=s["dim"]),
    "_log_softmax": lambda s: activation.log_softmax(s["self"], axis=s["dim"]),
    "_safe_softmax": _safe_softmax,
    "softmax": lambda s: activation.softmax(s["self"], axis=s["dim"]),
    "add": _binary(np.add),
    "sub": _binary(np.subtract),
    "rsub": _binary(lambda a, b: b - a),
    "mul": _binary(np.multiply),
    "div": _binary(np.divide),
    "maximum": _binary(np.maximum),
    "minimum": _binary(np.minimum),
    "pow": lambda s: np.asarray(s["self"] ** s["exponent"]),
    "neg": _unary(np.negative),
    "abs": _unary(np.abs),
    "sign": _unary(np.sign),
    "glu": _glu,
    "exp": _unary(np.exp),
    "log": _unary(np.log),
    "sqrt": _unary(np.sqrt),
    "rsqrt": lambda s: 1 / np.sqrt(s["self"]),
    "square": _unary(np.square),
    "reciprocal": lambda s: 1 / s["self"],
    "mean": _mean,
    "sum": _sum,
    "amax": _maximum,
    "linalg_vector_norm": _norm,
    "upsample_nearest1d": _resized("nearest", 1),
    "upsample_nearest2d": _resized("nearest", 2),
    "upsample_nearest3d": _resized("nearest", 3),
    **{f"_upsample_nearest_exact{n}d": _resized("nearest-exact", n) for n in (1, 2, 3)},
    "upsample_linear1d": _resized("linear", 1),
    "upsample_bilinear2d": _resized("linear", 2),
    "upsample_trilinear3d": _resized("linear", 3),
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
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
"""ATen's name -> NumPy."""
