"""Elementwise operators of ONNX in torch: activations, arithmetic, comparisons, casts."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import torch
from torch.nn import functional as F

from convscope.nets.onnx.step import (
    OnnxInputs,
    OnnxResult,
    OnnxStep,
    UntranslatedError,
    array,
    at,
    operand,
    tensor,
)
from convscope.nets.onnx.tensors import TORCH_TYPES


def _unary(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[OnnxStep, OnnxInputs], OnnxResult]:
    return lambda node, inputs: function(tensor(inputs[0]))


def _binary(function: Callable[[Any, Any], torch.Tensor]) -> Callable[[OnnxStep, OnnxInputs], OnnxResult]:
    def run(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
        left, right = inputs[0], inputs[1]
        if node.version < 7 and node.get("broadcast") and node.get("axis") is not None:
            right = _aligned(tensor(right), tensor(left).ndim, node.get("axis"))
        first, second = operand(left), operand(right)
        if not isinstance(first, torch.Tensor) and not isinstance(second, torch.Tensor):
            first = tensor(left)
        return function(first, second)

    return run


def _aligned(right: torch.Tensor, rank: int, axis: int) -> torch.Tensor:
    """Return an operand whose axes begin at a given one of the other's, as operator sets before 7 align them."""
    after = rank - (axis % rank) - right.ndim
    return right.reshape(*right.shape, *(1,) * after)


def _variadic(
    function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> Callable[[OnnxStep, OnnxInputs], OnnxResult]:
    return lambda node, inputs: reduce(function, map(tensor, inputs))


def _divide(left: Any, right: Any) -> torch.Tensor:
    whole = all(not (v.is_floating_point() if isinstance(v, torch.Tensor) else isinstance(v, float))
                for v in (left, right))  # fmt: skip
    return torch.div(left, right, rounding_mode="trunc" if whole else None)


def _power(left: Any, right: Any) -> torch.Tensor:
    result: torch.Tensor = torch.pow(left, right)
    return result.to(left.dtype) if isinstance(left, torch.Tensor) else result


def _of_tensors(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Callable[[Any, Any], torch.Tensor]:
    """Return a function that takes single numbers too, which some of torch's functions do not."""
    return lambda left, right: function(torch.as_tensor(left), torch.as_tensor(right))


def _mod(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    return _binary(_of_tensors(torch.fmod) if node.get("fmod", 0) else torch.remainder)(node, inputs)


def _clip(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x = tensor(inputs[0])
    low, high = at(inputs, 1), at(inputs, 2)
    if isinstance(low, torch.Tensor) or isinstance(high, torch.Tensor):
        x = x if low is None else torch.maximum(x, tensor(low))
        return x if high is None else torch.minimum(x, tensor(high))
    least = node.get("min") if low is None else array(low).item()
    most = node.get("max") if high is None else array(high).item()
    if least is None and most is None:
        return x.clone()
    return F.relu6(x) if (least, most) == (0, 6) and x.is_floating_point() else torch.clamp(x, least, most)


def _cast(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    kind = TORCH_TYPES.get(node.get("to"))
    if kind is None:
        raise UntranslatedError(f"it casts to element type {node.get('to')}")
    return tensor(inputs[0]).to(kind, copy=True)


def _cast_like(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    return tensor(inputs[0]).to(tensor(inputs[1]).dtype, copy=True)


def _prelu(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, slope = tensor(inputs[0]), tensor(inputs[1])
    aligned = slope.ndim == (1 if node.version < 7 else max(1, x.ndim - 1))
    per_channel = aligned and slope.numel() == slope.shape[0]
    if slope.numel() == 1 or (per_channel and x.ndim > 1 and slope.shape[0] == x.shape[1]):
        return F.prelu(x, slope.reshape(-1))
    return torch.where(x < 0, x * slope, x)


def _hard_sigmoid(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    alpha, beta = node.get("alpha", 0.2), node.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return F.hardsigmoid(tensor(inputs[0]))
    return torch.clamp(tensor(inputs[0]) * alpha + beta, 0, 1)


def _gelu(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    return F.gelu(tensor(inputs[0]), approximate=node.get("approximate", "none"))


def _selu(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    alpha, gamma = node.get("alpha", 1.6732632423543772), node.get("gamma", 1.0507009873554805)
    return F.elu(tensor(inputs[0]), alpha) * float(gamma)


def _shrink(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, bias, border = tensor(inputs[0]), node.get("bias", 0.0), node.get("lambd", 0.5)
    return torch.where(x < -border, x + bias, torch.where(x > border, x - bias, torch.zeros_like(x)))


def _where(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    # Of two numbers torch would take its own type, and not theirs.
    first = operand(inputs[1]) if isinstance(inputs[2], torch.Tensor) else tensor(inputs[1])
    return torch.where(tensor(inputs[0]), first, operand(inputs[2]))


def _dropout(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    """Return the input, as in evaluation: a file is of a trained network."""
    x, training = tensor(inputs[0]), at(inputs, 2)
    if training is not None and (isinstance(training, torch.Tensor) or array(training).any()):
        raise UntranslatedError("it drops at random, as in training")
    return [x.clone(), torch.ones_like(x, dtype=torch.bool)] if len(node.outputs) > 1 else x.clone()


def _identity(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    return tensor(inputs[0])


def _is_infinite(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, found = tensor(inputs[0]), torch.isinf(tensor(inputs[0]))
    found = found if node.get("detect_negative", 1) else found & (x > 0)
    return found if node.get("detect_positive", 1) else found & (x < 0)


def _bit_shift(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    shift = torch.bitwise_left_shift if node.get("direction") == "LEFT" else torch.bitwise_right_shift
    return _binary(shift)(node, inputs)


def _mean(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    total: torch.Tensor = reduce(operator.add, map(tensor, inputs))
    return total / len(inputs)


_UNARY: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "Relu": F.relu, "Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "Exp": torch.exp, "Log": torch.log,
    "Sqrt": torch.sqrt, "Neg": torch.neg, "Abs": torch.abs, "Reciprocal": torch.reciprocal, "Floor": torch.floor,
    "Ceil": torch.ceil, "Round": torch.round, "Erf": torch.erf, "Sign": torch.sign, "Sin": torch.sin,
    "Cos": torch.cos, "Tan": torch.tan, "Asin": torch.asin, "Acos": torch.acos, "Atan": torch.atan,
    "Sinh": torch.sinh, "Cosh": torch.cosh, "Asinh": torch.asinh, "Acosh": torch.acosh, "Atanh": torch.atanh,
    "Not": torch.logical_not, "IsNaN": torch.isnan, "BitwiseNot": torch.bitwise_not, "Softplus": F.softplus,
    "Softsign": F.softsign, "Mish": F.mish, "HardSwish": F.hardswish,
}  # fmt: skip

_BINARY: Mapping[str, Callable[[Any, Any], torch.Tensor]] = {
    "Add": operator.add, "Sub": operator.sub, "Mul": operator.mul, "Div": _divide, "Pow": _power,
    "Equal": operator.eq, "Less": operator.lt, "Greater": operator.gt, "LessOrEqual": operator.le,
    "GreaterOrEqual": operator.ge, "And": _of_tensors(torch.logical_and), "Or": _of_tensors(torch.logical_or),
    "Xor": _of_tensors(torch.logical_xor),
    "BitwiseAnd": torch.bitwise_and, "BitwiseOr": torch.bitwise_or, "BitwiseXor": torch.bitwise_xor,
}  # fmt: skip

OPERATORS: Mapping[str, Callable[[OnnxStep, OnnxInputs], OnnxResult]] = {
    **{name: _unary(function) for name, function in _UNARY.items()},
    **{name: _binary(function) for name, function in _BINARY.items()},
    "Min": _variadic(torch.minimum),
    "Max": _variadic(torch.maximum),
    "Sum": _variadic(torch.add),
    "Mean": _mean,
    "Mod": _mod,
    "Clip": _clip,
    "Cast": _cast,
    "CastLike": _cast_like,
    "PRelu": _prelu,
    "HardSigmoid": _hard_sigmoid,
    "Gelu": _gelu,
    "Selu": _selu,
    "Shrink": _shrink,
    "Where": _where,
    "Dropout": _dropout,
    "Identity": _identity,
    "IsInf": _is_infinite,
    "BitShift": _bit_shift,
    "Elu": lambda node, inputs: F.elu(tensor(inputs[0]), node.get("alpha", 1.0)),
    "Celu": lambda node, inputs: F.celu(tensor(inputs[0]), node.get("alpha", 1.0)),
    "LeakyRelu": lambda node, inputs: F.leaky_relu(tensor(inputs[0]), node.get("alpha", 0.01)),
    "ThresholdedRelu": lambda node, inputs: F.threshold(tensor(inputs[0]), node.get("alpha", 1.0), 0.0),
    "Swish": lambda node, inputs: tensor(inputs[0]) * torch.sigmoid(node.get("alpha", 1.0) * tensor(inputs[0])),
}
