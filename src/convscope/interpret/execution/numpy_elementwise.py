"""Operations on each element by itself in NumPy, with broadcasting, by ATen's name; `numpy_layers` has the usual ones.

Source: PyTorch's definitions of `torch.nn`'s activations and of `torch`'s pointwise operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from convscope.arrays import Array
from convscope.interpret.execution.numpy_arrays import NumpyOperator, OperatorSettings, unary


def _each(function: Callable[[float], float]) -> NumpyOperator:
    """Return the operator of a function that NumPy lacks: Python's, one number at a time."""
    every = np.frompyfunc(function, 1, 1)
    return lambda s: np.asarray(every(s["self"]), dtype=np.float64)


def _two(function: Callable[[Any, Any], Any]) -> NumpyOperator:
    return lambda s: np.asarray(function(s["self"], s["other"]))


def _pow(s: OperatorSettings) -> Array:
    return np.asarray(np.float_power(s["self"], s["exponent"]))


def _divided(s: OperatorSettings) -> Array:
    quotient = np.true_divide(s["self"], s["other"])
    rounding = s.get("rounding_mode")
    if rounding is None:
        return np.asarray(quotient)
    return np.asarray(np.floor(quotient) if rounding == "floor" else np.trunc(quotient))


def _elu(s: OperatorSettings) -> Array:
    x: Array = s["self"]
    curve = s["alpha"] * np.expm1(np.minimum(x, 0) * s["input_scale"])
    return np.asarray(s["scale"] * np.where(x > 0, x, curve))


def _softplus(s: OperatorSettings) -> Array:
    x: Array = s["self"] * s["beta"]
    return np.asarray(np.where(x > s["threshold"], s["self"], np.logaddexp(0, x) / s["beta"]))


def _leaky_on_average(s: OperatorSettings) -> Array:
    """Return the randomized leaky ReLU of evaluation: its slope is the mean of the two bounds."""
    x: Array = s["self"]
    return np.asarray(np.where(x >= 0, x, x * (s["lower"] + s["upper"]) / 2))


def _softshrink(s: OperatorSettings) -> Array:
    x: Array = s["self"]
    return np.asarray(np.sign(x) * np.maximum(np.abs(x) - s["lambd"], 0))


def _lerp(s: OperatorSettings) -> Array:
    return np.asarray(s["self"] + s["weight"] * (s["end"] - s["self"]))


def _nan_to_num(s: OperatorSettings) -> Array:
    # Torch's largest numbers are those of float32.
    largest = float(np.finfo(np.float32).max)
    high, low = s["posinf"], s["neginf"]
    posinf, neginf = largest if high is None else high, -largest if low is None else low
    return np.asarray(np.nan_to_num(s["self"], nan=s["nan"] or 0.0, posinf=posinf, neginf=neginf))


ELEMENTWISE_OPERATORS: Mapping[str, NumpyOperator] = {
    **{name: unary(getattr(np, name)) for name in (
        "exp2", "expm1", "log2", "log10", "log1p", "sin", "cos", "tan", "sinh", "cosh", "floor", "ceil", "trunc",
        "isnan", "isinf", "isfinite", "logical_not", "sinc", "i0", "deg2rad", "rad2deg", "signbit", "bitwise_not")},
    "asin": unary(np.arcsin), "acos": unary(np.arccos), "atan": unary(np.arctan), "asinh": unary(np.arcsinh),
    "acosh": unary(np.arccosh), "atanh": unary(np.arctanh), "sgn": unary(np.sign),
    "erf": _each(math.erf), "erfc": _each(math.erfc), "lgamma": _each(math.lgamma),
    "round": lambda s: np.asarray(np.round(s["self"], s.get("decimals") or 0)),
    "frac": lambda s: s["self"] - np.trunc(s["self"]),
    "eq": _two(np.equal), "ne": _two(np.not_equal), "lt": _two(np.less), "le": _two(np.less_equal),
    "gt": _two(np.greater), "ge": _two(np.greater_equal), "logical_and": _two(np.logical_and),
    "logical_or": _two(np.logical_or), "logical_xor": _two(np.logical_xor), "bitwise_and": _two(np.bitwise_and),
    "bitwise_or": _two(np.bitwise_or), "bitwise_xor": _two(np.bitwise_xor), "__and__": _two(np.bitwise_and),
    "__or__": _two(np.bitwise_or), "__xor__": _two(np.bitwise_xor), "fmod": _two(np.fmod),
    "remainder": _two(np.remainder), "floor_divide": _two(np.floor_divide), "atan2": _two(np.arctan2),
    "hypot": _two(np.hypot), "logaddexp": _two(np.logaddexp), "copysign": _two(np.copysign), "fmax": _two(np.fmax),
    "fmin": _two(np.fmin), "div": _divided, "pow": _pow,
    "where": lambda s: np.asarray(np.where(s["condition"], s["self"], s["other"])),
    "masked_fill": lambda s: np.asarray(np.where(s["mask"], s["value"], s["self"])),
    "addcmul": lambda s: s["self"] + s["value"] * s["tensor1"] * s["tensor2"],
    "addcdiv": lambda s: s["self"] + s["value"] * s["tensor1"] / s["tensor2"],
    "lerp": _lerp, "nan_to_num": _nan_to_num,
    "elu": _elu, "celu": lambda s: _elu({"scale": 1, "input_scale": 1 / s["alpha"], **s}),
    "softplus": _softplus, "softshrink": _softshrink,
    "rrelu_with_noise": _leaky_on_average,
    "hardshrink": lambda s: np.asarray(np.where(np.abs(s["self"]) > s["lambd"], s["self"], 0)),
    "threshold": lambda s: np.asarray(np.where(s["self"] > s["threshold"], s["self"], s["value"])),
}  # fmt: skip
