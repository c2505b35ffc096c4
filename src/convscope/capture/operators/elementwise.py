"""Operations on each element by itself, with broadcasting: activations, arithmetic, comparisons, copies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from convscope.capture.operators.rule import Call, Flow, Operand, OperatorRule, Rule
from convscope.geometry.relation import Expand, Mix, RelationStep, Reshape, Taps
from convscope.geometry.taps import listed_taps

# ATen's name -> the field's, where they differ.
_NAMES: Mapping[str, str] = {
    "_prelu_kernel": "prelu",
    "_to_copy": "cast",
    "_conj": "conj",
    "_neg_view": "neg",
    "_softmax": "softmax",
    "true_divide": "div",
    "__and__": "bitwise_and",
    "__or__": "bitwise_or",
}

# Elementwise by definition, also where torch's version at hand doesn't tag them so.
_ELEMENTWISE = """
    relu relu6 gelu silu elu selu celu leaky_relu hardtanh hardswish hardsigmoid hardshrink softshrink softplus
    mish sigmoid log_sigmoid log_sigmoid_forward tanh tanhshrink threshold rrelu rrelu_with_noise _prelu_kernel
    add sub rsub mul div true_divide floor_divide remainder fmod pow neg abs exp exp2 expm1 log log2 log10
    log1p sqrt rsqrt square reciprocal sin cos tan asin acos atan atan2 sinh cosh asinh acosh atanh erf erfc
    erfinv sign floor ceil round trunc frac clamp clamp_min clamp_max clip maximum minimum fmax fmin where lerp
    addcmul addcdiv eq ne lt le gt ge logical_and logical_or logical_not logical_xor bitwise_and bitwise_or
    bitwise_not bitwise_xor __and__ __or__ __xor__ isnan isinf isfinite nan_to_num sinc xlogy heaviside hypot
    logaddexp logit sgn real imag masked_fill dropout clone _to_copy contiguous to
    _conj _neg_view conj_physical _conj_physical view_as_real_copy lift_fresh_copy digamma lgamma polygamma i0
    signbit copysign deg2rad rad2deg polar complex fake_quantize_per_tensor_affine_cachemask
"""


def broadcast(operand: Operand, shape: tuple[int, ...]) -> tuple[RelationStep, ...]:
    """Return the steps that bring a tensor to the shape of a result."""
    return () if operand.shape == shape else (Expand(shape),)


def anywhere(operand: Operand, shape: tuple[int, ...]) -> tuple[RelationStep, ...]:
    """Return every position of the result reads every position of the tensor."""
    return (*(Mix(axis, 1) for axis in range(operand.rank)), Reshape((1,) * len(shape)), Expand(shape))


def pointwise(call: Call) -> OperatorRule:
    """Return every output element reads the same element of every tensor, broadcast."""
    flows = tuple(
        Flow(operand.slot, output, broadcast(operand, shape))
        for output, shape in enumerate(call.outputs)
        if shape == call.outputs[0]  # some keep an empty buffer beside the result
        for operand in call.operands
    )
    return OperatorRule(_NAMES.get(call.op, call.op), flows)


def _copied(call: Call) -> OperatorRule:
    """Describe `copy_`: the tensor written to is overwritten."""
    source = call.operand("src")
    return OperatorRule("copy", (Flow(source.slot, 0, broadcast(source, call.outputs[0])),))


def _dropout(call: Call) -> OperatorRule:
    """Describe `native_dropout`: the second result is the mask, which is independent of the input."""
    return OperatorRule("dropout", (Flow(0),))


def _filled(call: Call) -> OperatorRule:
    """Describe `zero_`, `fill_`, `normal_`, ...: the tensor is overwritten; a tensor to fill with is broadcast."""
    value = call.arguments.get("value")
    if isinstance(value, Operand):
        return OperatorRule(call.op, (Flow(value.slot, 0, broadcast(value, call.outputs[0])),))
    return OperatorRule(call.op, ())


def _drawn_with(name: str) -> Rule:
    """Return the rule of a tensor overwritten by a draw: each number is drawn by the parameter at its own place."""

    def rule(call: Call) -> OperatorRule:
        parameter = call.operand(name)
        return OperatorRule(call.op, (Flow(parameter.slot, 0, broadcast(parameter, call.outputs[0])),))

    return rule


def _glu(call: Call) -> OperatorRule:
    """Gated linear unit: the first half of an axis, times the sigmoid of the second."""
    axis = call.axis()
    half = call.outputs[0][axis]
    rows = np.arange(half)[:, None] + np.array([0, half])
    return OperatorRule("glu", (Flow(0, 0, (Taps(axis, listed_taps(rows, 2 * half)),)),))


_FILLERS = """
    zero fill normal uniform bernoulli random exponential log_normal geometric cauchy zeros_like ones_like
    full_like empty_like rand_like randn_like randint_like new_zeros new_ones new_full new_empty new_empty_strided
"""

RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), pointwise),
    **dict.fromkeys(_FILLERS.split(), _filled),
    "copy": _copied,
    "glu": _glu,
    "native_dropout": _dropout,
    # Draws whose parameters are tensors: each number depends on its own.
    **dict.fromkeys(
        ("bernoulli.default", "normal.Tensor_float", "normal.float_Tensor", "normal.Tensor_Tensor"), pointwise
    ),
    "bernoulli.Tensor": _drawn_with("p"),
}
