"""ONNX operators that mix positions or channels, in torch: products, norms, softmax, reductions, recurrent layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from convscope.nets.onnx.step import (
    OnnxInputs,
    OnnxResult,
    OnnxStep,
    UntranslatedError,
    at,
    integers,
    operand,
    spatial,
    tensor,
)


def _gemm(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    a, b, c = tensor(inputs[0]), tensor(inputs[1]), at(inputs, 2)
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    a = a.t() if node.get("transA", 0) else a
    if alpha == 1 and (c is None or (beta == 1 and tensor(c).ndim == 1)) and node.get("transB", 0):
        return F.linear(a, b, None if c is None else tensor(c))
    product = torch.mm(a, b.t() if node.get("transB", 0) else b)
    product = product if alpha == 1 else product * alpha
    return product if c is None else product + (operand(c) if beta == 1 else tensor(c) * beta)


def _matmul(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    return torch.matmul(tensor(inputs[0]), tensor(inputs[1]))


def _einsum(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    return torch.einsum(node.get("equation"), *map(tensor, inputs))


def _batch_norm(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, scale, bias, mean, variance = map(tensor, inputs[:5])
    if node.get("training_mode", 0) or not node.get("spatial", 1):
        raise UntranslatedError("it normalizes by the batch's own statistics, or by position")
    return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, node.get("epsilon", 1e-5))


def _instance_norm(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, scale, bias = map(tensor, inputs[:3])
    # Not by F.instance_norm, which refuses a map of one position: its output is the bias.
    return torch.instance_norm(x, scale, bias, None, None, True, 0.0, node.get("epsilon", 1e-5), False)


def _layer_norm(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, scale, bias = tensor(inputs[0]), tensor(inputs[1]), at(inputs, 2)
    if sum(map(bool, node.outputs)) > 1:
        raise UntranslatedError("it also gives mean and deviation")
    sizes = x.shape[node.get("axis", -1) :]
    return F.layer_norm(x, sizes, scale.expand(sizes), None if bias is None else tensor(bias).expand(sizes),
                        node.get("epsilon", 1e-5))  # fmt: skip


def _rms_norm(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x = tensor(inputs[0])
    sizes = x.shape[node.get("axis", -1) :]
    return F.rms_norm(x, sizes, tensor(inputs[1]).expand(sizes), node.get("epsilon", 1e-5))


def _group_norm(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, scale, bias = map(tensor, inputs[:3])
    groups = node.get("num_groups")
    if node.version < 21:  # one scale a group, not a channel
        each = x.shape[1] // groups
        scale, bias = scale.repeat_interleave(each), bias.repeat_interleave(each)
    return F.group_norm(x, groups, scale, bias, node.get("epsilon", 1e-5))


def _local_response(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, size = tensor(inputs[0]), node.get("size")
    settings = (size, node.get("alpha", 1e-4), node.get("beta", 0.75), node.get("bias", 1.0))
    if size % 2:
        return F.local_response_norm(x, *settings)
    # Of an even size, ONNX has one channel more behind, torch before.
    return F.local_response_norm(x.flip(1), *settings).flip(1)


def _mean_variance(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, axes = tensor(inputs[0]), tuple(node.get("axes") or (0, 2, 3))
    centred = x - x.mean(axes, keepdim=True)
    return centred / (torch.sqrt((centred * centred).mean(axes, keepdim=True)) + 1e-9)


def _lp_normalization(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    return F.normalize(tensor(inputs[0]), p=node.get("p", 2), dim=node.get("axis", -1))


def _softmax(function: Callable[..., torch.Tensor]) -> Callable[[OnnxStep, OnnxInputs], OnnxResult]:
    def run(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
        x = tensor(inputs[0])
        if not -x.ndim <= node.get("axis", -1) < x.ndim:
            raise ValueError(f"axis {node.get('axis')} of {x.ndim}")
        if node.version >= 13:
            return function(x, node.get("axis", -1))
        axis = node.get("axis", 1) % x.ndim
        if axis == x.ndim - 1 or all(size == 1 for size in x.shape[axis + 1 :]):
            return function(x, axis)
        # Before set 13: over all axes from this one on.
        return function(x.flatten(axis), axis).reshape(x.shape)

    return run


def _hardmax(x: torch.Tensor, axis: int) -> torch.Tensor:
    largest = torch.argmax(x, axis, keepdim=True)
    return torch.zeros_like(x).scatter(axis, largest, 1.0)


# Steps that are written out where torch has no layer of this kind.
_LONGEST_SEQUENCE = 2_000
Reduction = Callable[[torch.Tensor, tuple[int, ...], bool], torch.Tensor]


def _product_over(x: torch.Tensor, axes: tuple[int, ...], keep: bool) -> torch.Tensor:
    for axis in sorted(axes, reverse=True):
        x = torch.prod(x, axis, keepdim=keep)
    return x


def _reduce(function: Reduction) -> Callable[[OnnxStep, OnnxInputs], OnnxResult]:
    def run(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
        x, axes = tensor(inputs[0]), node.setting("axes", inputs, 1)
        if not axes and node.get("noop_with_empty_axes", 0):
            return function(x.unsqueeze(0), (0,), False)
        every = tuple(range(x.ndim)) if not axes else tuple(axis % x.ndim for axis in axes)
        return function(x, every, bool(node.get("keepdims", 1)))

    return run


_REDUCTIONS: Mapping[str, Reduction] = {
    "ReduceSum": lambda x, axes, keep: torch.sum(x, axes, keepdim=keep, dtype=x.dtype),
    "ReduceMean": lambda x, axes, keep: torch.mean(x, axes, keepdim=keep),
    "ReduceMax": lambda x, axes, keep: torch.amax(x, axes, keepdim=keep),
    "ReduceMin": lambda x, axes, keep: torch.amin(x, axes, keepdim=keep),
    "ReduceProd": _product_over,
    "ReduceL1": lambda x, axes, keep: torch.sum(torch.abs(x), axes, keepdim=keep, dtype=x.dtype),
    "ReduceL2": lambda x, axes, keep: torch.sqrt(torch.sum(x * x, axes, keepdim=keep)),
    "ReduceSumSquare": lambda x, axes, keep: torch.sum(x * x, axes, keepdim=keep, dtype=x.dtype),
    "ReduceLogSum": lambda x, axes, keep: torch.log(torch.sum(x, axes, keepdim=keep)),
    "ReduceLogSumExp": lambda x, axes, keep: torch.logsumexp(x, axes, keepdim=keep),
}


def _arg(function: Callable[..., torch.Tensor], node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, axis = tensor(inputs[0]), node.get("axis", 0)
    if node.get("select_last_index", 0):
        last: torch.Tensor = x.shape[axis] - 1 - function(x.flip(axis), axis, keepdim=bool(node.get("keepdims", 1)))
        return last
    return function(x, axis, keepdim=bool(node.get("keepdims", 1)))


def _top_k(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    count = node.get("k") or integers(at(inputs, 1))[0]
    values, places = torch.topk(tensor(inputs[0]), count, node.get("axis", -1), bool(node.get("largest", 1)))
    return [values, places]


# The order of the gates: ONNX's blocks, in the order in which torch has them.
_GATES: Mapping[str, tuple[int, ...]] = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}


def _recurrent(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, hidden = tensor(inputs[0]), node.get("hidden_size")
    _require_plain(node, inputs)
    order, both = _GATES[node.operator], node.get("direction", "forward") == "bidirectional"
    weights: list[torch.Tensor] = []
    bias = at(inputs, 3)
    for side in range(2 if both else 1):
        weights += [_in_order(tensor(inputs[i])[side], order, hidden) for i in (1, 2)]
        if bias is not None:
            weights += [_in_order(half, order, hidden) for half in tensor(bias)[side].chunk(2)]
    start = [at(inputs, 5), at(inputs, 6)] if node.operator == "LSTM" else [at(inputs, 5)]
    shape = (2 if both else 1, x.shape[1], hidden)
    states = [
        torch.zeros(shape, dtype=x.dtype) if not (isinstance(s, torch.Tensor) or np.any(s)) else tensor(s)
        for s in start
    ]
    if node.operator == "GRU" and not node.get("linear_before_reset", 0):
        return _reset_first(node, inputs, states[0])
    backwards = node.get("direction") == "reverse"
    x = x.flip(0) if backwards else x
    rest: tuple[Any, ...] = (bias is not None, 1, 0.0, False, both, False)
    if node.operator == "LSTM":
        y, *last = torch._VF.lstm(x, states, weights, *rest)
    else:
        run = torch._VF.gru if node.operator == "GRU" else torch._VF.rnn_tanh
        y, *last = run(x, states[0], weights, *rest)
    y = y.flip(0) if backwards else y
    return [y.reshape(*y.shape[:2], len(weights) // (4 if bias is not None else 2), hidden).transpose(1, 2), *last]


def _require_plain(node: OnnxStep, inputs: OnnxInputs) -> None:
    """Raise UntranslatedError where a recurrent layer is not one of torch's."""
    usual = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}[node.operator]
    sides = 2 if node.get("direction", "forward") == "bidirectional" else 1
    named = [str(name).capitalize() for name in node.get("activations") or usual * sides]
    if named != usual * sides or node.get("clip") or node.get("layout", 0) or node.get("input_forget", 0):
        raise UntranslatedError("its activations, clipping or layout are not those of torch's layers")
    if at(inputs, 7) is not None or at(inputs, 4) is not None:
        raise UntranslatedError("it has peepholes, or sequences of several lengths")


def _reset_first(node: OnnxStep, inputs: OnnxInputs, state: torch.Tensor) -> OnnxResult:
    """Run a GRU whose reset gate comes before the product with the state, unlike torch's, step by step."""
    x, bias, way = tensor(inputs[0]), at(inputs, 3), node.get("direction", "forward")
    if len(x) > _LONGEST_SEQUENCE:
        raise UntranslatedError(f"its reset gate comes before the product, and it has {len(x):,} steps")
    sides, last = [], []
    for side in range(2 if way == "bidirectional" else 1):
        order = range(len(x))[::-1] if side or way == "reverse" else range(len(x))
        weight, inner = tensor(inputs[1])[side], tensor(inputs[2])[side]
        shifts = (None, None) if bias is None else tensor(bias)[side].chunk(2)
        read, h = F.linear(x, weight, shifts[0]), state[side]
        gates, new = torch.split(inner, [2 * h.shape[-1], h.shape[-1]])
        gate_shift, new_shift = (
            (None, None) if shifts[1] is None else torch.split(shifts[1], [2 * h.shape[-1], h.shape[-1]])
        )
        made = {}
        for t in order:
            zr, n = torch.split(read[t], [2 * h.shape[-1], h.shape[-1]], -1)
            z, r = torch.sigmoid(zr + F.linear(h, gates, gate_shift)).chunk(2, -1)
            n = torch.tanh(n + F.linear(r * h, new, new_shift))
            h = made[t] = (1 - z) * n + z * h
        sides.append(torch.stack([made[t] for t in range(len(x))]))
        last.append(h)
    return [torch.stack(sides, 1), torch.stack(last)]


def _in_order(stacked: torch.Tensor, order: Sequence[int], hidden: int) -> torch.Tensor:
    parts = torch.split(stacked, hidden)
    return torch.cat([parts[i] for i in order]) if len(order) > 1 else stacked


def _grid_sample(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    mode = {"linear": "bilinear", "bilinear": "bilinear", "nearest": "nearest", "cubic": "bicubic",
            "bicubic": "bicubic"}[node.get("mode", "linear")]  # fmt: skip
    x, grid = tensor(inputs[0]), tensor(inputs[1])
    if len(spatial(x)) not in (2, 3):
        raise UntranslatedError(f"it samples {len(spatial(x))} axes")
    return F.grid_sample(x, grid, mode, node.get("padding_mode", "zeros"), bool(node.get("align_corners", 0)))


def _attention(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    q, k, v = map(tensor, inputs[:3])
    more = any(at(inputs, i) is not None for i in (4, 5, 6)) or set(node.attributes) - {"is_causal", "scale"}
    if q.ndim != 4 or len(node.outputs) > 1 or more:
        raise UntranslatedError("it is of three axes, keeps keys and values, or has settings beside mask and scale")
    mask = at(inputs, 3)
    return F.scaled_dot_product_attention(
        q, k, v, None if mask is None else tensor(mask), is_causal=bool(node.get("is_causal", 0)),
        scale=node.get("scale"), enable_gqa=q.shape[1] != k.shape[1],
    )  # fmt: skip


OPERATORS: Mapping[str, Callable[[OnnxStep, OnnxInputs], OnnxResult]] = {
    "Gemm": _gemm, "MatMul": _matmul, "Einsum": _einsum, "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm, "LayerNormalization": _layer_norm, "RMSNormalization": _rms_norm,
    "SimplifiedLayerNormalization": _rms_norm,  # of onnxruntime's optimizer, which writes it without a domain
    "GroupNormalization": _group_norm, "LRN": _local_response, "MeanVarianceNormalization": _mean_variance,
    "LpNormalization": _lp_normalization, "Softmax": _softmax(F.softmax), "LogSoftmax": _softmax(F.log_softmax),
    "Hardmax": _softmax(_hardmax), **{name: _reduce(function) for name, function in _REDUCTIONS.items()},
    "ArgMax": partial(_arg, torch.argmax), "ArgMin": partial(_arg, torch.argmin), "TopK": _top_k,
    "LSTM": _recurrent, "GRU": _recurrent, "RNN": _recurrent, "GridSample": _grid_sample, "Attention": _attention,
}  # fmt: skip
