"""ONNX's quantized operators in torch: numbers of 8 bits with a scale; products are of the real numbers they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from convscope.nets.onnx.operators.windows import convolution
from convscope.nets.onnx.step import OnnxInputs, OnnxResult, OnnxStep, OnnxValue, UntranslatedError, at, tensor
from convscope.nets.onnx.tensors import TORCH_TYPES

_UINT8 = 2  # as TensorProto numbers it


def _along(value: torch.Tensor, rank: int, axis: int) -> torch.Tensor:
    """Return scales laid along one axis of a tensor of this rank; one scale for all as it is."""
    if value.numel() == 1 or rank == value.ndim == 1:
        return value.reshape(()) if value.numel() == 1 else value
    if value.ndim > 1:
        raise UntranslatedError("it is quantized in blocks")
    return value.reshape(-1, *(1,) * (rank - 1 - axis % rank))


def dequantized(x: torch.Tensor, scale: OnnxValue, zero: OnnxValue, axis: int = 1) -> torch.Tensor:
    """Return the real numbers: (x - zero) * scale."""
    factor = _along(tensor(scale), x.ndim, axis)
    real = x.to(factor.dtype)
    return (real if zero is None else real - _along(tensor(zero), x.ndim, axis).to(factor.dtype)) * factor


def quantized(
    x: torch.Tensor, scale: OnnxValue, zero: OnnxValue, axis: int = 1, *, kind: torch.dtype = torch.uint8
) -> torch.Tensor:
    """Return whole numbers: round(x / scale) + zero, clipped to the range of zero's type, or `kind` without a zero."""
    kind = kind if zero is None else tensor(zero).dtype
    if kind.is_floating_point:
        raise UntranslatedError("it is quantized to floating-point numbers of 8 bits")
    whole = torch.round(x / _along(tensor(scale), x.ndim, axis).to(x.dtype))
    whole = whole if zero is None else whole + _along(tensor(zero), x.ndim, axis).to(x.dtype)
    limits = torch.iinfo(kind)
    return torch.clamp(whole, limits.min, limits.max).to(kind)


def _quantize(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    kind = TORCH_TYPES.get(node.get("output_dtype") or _UINT8)
    if kind is None:
        raise UntranslatedError(f"it is quantized to element type {node.get('output_dtype')}")
    return quantized(tensor(inputs[0]), inputs[1], at(inputs, 2), node.get("axis", 1), kind=kind)


def _dequantize(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    return dequantized(tensor(inputs[0]), inputs[1], at(inputs, 2), node.get("axis", 1))


def quantized_convolution(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    """Convolve numbers of 8 bits, as a QLinearConv node says."""
    x, x_scale, x_zero, weight, w_scale, w_zero, y_scale, y_zero = inputs[:8]
    bias, factor = at(inputs, 8), tensor(x_scale).reshape(()) * tensor(w_scale)
    real = convolution(
        node,
        dequantized(tensor(x), x_scale, x_zero),
        dequantized(tensor(weight), w_scale, w_zero, 0),
        None if bias is None else tensor(bias) * factor.reshape(-1).expand(tensor(bias).shape),
    )
    return quantized(real, y_scale, y_zero)


def _product(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = inputs[:8]
    left = dequantized(tensor(a), a_scale, a_zero, 0)
    return quantized(torch.matmul(left, dequantized(tensor(b), b_scale, b_zero, -1)), y_scale, y_zero)


def _whole(x: OnnxValue, zero: OnnxValue, axis: int) -> torch.Tensor:
    value = tensor(x).float()
    return value if zero is None else value - _along(tensor(zero), value.ndim, axis).float()


def _integer_convolution(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    made = convolution(node, _whole(inputs[0], at(inputs, 2), 1), _whole(inputs[1], at(inputs, 3), 0), None)
    return made.to(torch.int32)


def _integer_product(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    left, right = _whole(inputs[0], at(inputs, 2), 0), _whole(inputs[1], at(inputs, 3), -1)
    return torch.matmul(left, right).to(torch.int32)


def _dynamic(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x = tensor(inputs[0])
    low, high = torch.clamp(x.amin(), max=0.0), torch.clamp(x.amax(), min=0.0)
    scale = torch.where(high == low, torch.ones_like(high), high - low) / 255  # of zeros alone: any but 0
    zero = torch.clamp(torch.round(-low / scale), 0, 255)
    return [torch.clamp(torch.round(x / scale) + zero, 0, 255).to(torch.uint8), scale, zero.to(torch.uint8)]


OPERATORS: Mapping[str, Callable[[OnnxStep, OnnxInputs], OnnxResult]] = {
    "QuantizeLinear": _quantize, "DequantizeLinear": _dequantize, "QLinearConv": quantized_convolution,
    "QLinearMatMul": _product, "ConvInteger": _integer_convolution, "MatMulInteger": _integer_product,
    "DynamicQuantizeLinear": _dynamic,
}  # fmt: skip
