"""Operators of com.microsoft that onnxruntime's optimizer and quantizer write, in torch: fused layers, 8-bit layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.nn import functional as F

from convscope.nets.onnx.operators import elementwise, layers, windows
from convscope.nets.onnx.operators.quantized import OPERATORS as QUANTIZED
from convscope.nets.onnx.operators.quantized import dequantized, quantized, quantized_convolution
from convscope.nets.onnx.step import OnnxInputs, OnnxResult, OnnxStep, UntranslatedError, at, tensor

OnnxRule = Callable[[OnnxStep, OnnxInputs], OnnxResult]


def _activated(node: OnnxStep, x: torch.Tensor, *, gemm: bool = False) -> torch.Tensor:
    """Return the activation that is fused into a layer."""
    name = node.get("activation", "")
    numbers = list(node.get("activation_params") or [])
    if gemm:
        numbers = [
            node.get(f"activation_{key}") for key in ("alpha", "beta") if node.get(f"activation_{key}") is not None
        ]
    known: dict[str, Callable[..., torch.Tensor]] = {
        "": lambda x: x, "Relu": F.relu, "Tanh": torch.tanh, "Sigmoid": torch.sigmoid, "LeakyRelu": F.leaky_relu,
        "Clip": torch.clamp, "HardSigmoid": lambda x, a=0.2, b=0.5: torch.clamp(a * x + b, 0, 1), "Elu": F.elu,
        "Softplus": F.softplus, "HardSwish": F.hardswish, "Gelu": F.gelu,
    }  # fmt: skip
    if name not in known:
        raise UntranslatedError(f"its activation is {name!r}")
    return known[name](x, *numbers)


def _fused_conv(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    bias, added = at(inputs, 2), at(inputs, 3)
    made = windows.convolution(node, tensor(inputs[0]), tensor(inputs[1]), None if bias is None else tensor(bias))
    return _activated(node, made if added is None else made + tensor(added))


def _fused_gemm(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    made = layers.OPERATORS["Gemm"](node, inputs)
    assert isinstance(made, torch.Tensor)
    return _activated(node, made, gemm=True)


def _fused_matmul(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    a, b, alpha = tensor(inputs[0]), tensor(inputs[1]), node.get("alpha", 1.0)
    # The first axis becomes the rows.
    a, b = (x.movedim(0, -2) if node.get(f"transBatch{which}", 0) else x for x, which in ((a, "A"), (b, "B")))
    a = a.transpose(-1, -2) if node.get("transA", 0) else a
    made = torch.matmul(a, b.transpose(-1, -2) if node.get("transB", 0) else b)
    return made if alpha == 1 else made * alpha


def _biased(inputs: OnnxInputs) -> torch.Tensor:
    return tensor(inputs[0]) if at(inputs, 1) is None else tensor(inputs[0]) + tensor(inputs[1])


def _quick_gelu(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, alpha = tensor(inputs[0]), node.get("alpha", 1.702)
    return F.silu(x) if alpha == 1 else x * torch.sigmoid(alpha * x)


def _skip_norm(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    """Add two maps and normalize the sum; by its deviation alone where the name says "simplified"."""
    simple = node.operator.startswith("SkipSimplified")
    more = at(inputs, 3 if simple else 4)
    total = tensor(inputs[0]) + tensor(inputs[1])
    total = total if more is None else total + tensor(more)
    scale, eps = tensor(inputs[2]), node.get("epsilon", 1e-12)
    if any(node.outputs[1:3]):
        raise UntranslatedError("it also gives mean and deviation")
    if simple:
        made = F.rms_norm(total, scale.shape, scale, eps)
    else:
        shift = at(inputs, 3)
        made = F.layer_norm(total, scale.shape, scale, None if shift is None else tensor(shift), eps)
    return [made, made, made, total] if len(node.outputs) > 3 else [made]


def _attention(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    """Project one input to queries, keys and values, and attend."""
    x, weight, bias = tensor(inputs[0]), tensor(inputs[1]), at(inputs, 2)
    _require_plain_attention(node, inputs[3:])
    sizes = node.get("qkv_hidden_sizes") or [weight.shape[1] // 3] * 3
    projected = F.linear(x, weight.t(), None if bias is None else tensor(bias))
    return _attended(node, *torch.split(projected, sizes, -1))


def _multi_head(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    parts = [tensor(value) for value in inputs[:3] if value is not None]
    _require_plain_attention(node, inputs[4:])
    if len(parts) < 3 or any(part.ndim != 3 for part in parts):
        raise UntranslatedError("its queries, keys and values are packed")
    bias = at(inputs, 3)
    if bias is not None:
        shifts = torch.split(tensor(bias), [part.shape[-1] for part in parts])
        parts = [part + shift for part, shift in zip(parts, shifts, strict=True)]
    return _attended(node, *parts)


def _require_plain_attention(node: OnnxStep, more: OnnxInputs) -> None:
    if any(value is not None for value in more) or any(node.outputs[1:]) or node.get("do_rotary", 0):
        raise UntranslatedError("it has a mask, or keeps keys and values")


def _attended(node: OnnxStep, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    heads = node.get("num_heads")
    q, k, v = (part.reshape(*part.shape[:2], heads, -1).transpose(1, 2) for part in (q, k, v))
    causal = bool(node.get("unidirectional", 0))
    made = F.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=node.get("scale") or None)
    return made.transpose(1, 2).flatten(2)


# Layers of 8 bits: on the real numbers that they mean.


def _on_real(function: Callable[[OnnxStep, torch.Tensor], torch.Tensor]) -> OnnxRule:
    def run(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
        x = dequantized(tensor(inputs[0]), inputs[1], at(inputs, 2))
        last = node.get("channels_last", 0)
        made = function(node, x.movedim(-1, 1) if last else x)
        return quantized(made.movedim(1, -1) if last else made, inputs[3], at(inputs, 4))

    return run


def _of_two(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> OnnxRule:
    def run(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
        a, b = (dequantized(tensor(inputs[i]), inputs[i + 1], at(inputs, i + 2)) for i in (0, 3))
        return quantized(function(a, b), inputs[6], at(inputs, 7))

    return run


def _by(operator: OnnxRule) -> Callable[[OnnxStep, torch.Tensor], torch.Tensor]:
    def run(node: OnnxStep, x: torch.Tensor) -> torch.Tensor:
        made = operator(node, [x])
        assert isinstance(made, torch.Tensor)
        return made

    return run


def _concat(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    parts = [dequantized(tensor(inputs[i]), inputs[i + 1], at(inputs, i + 2)) for i in range(2, len(inputs), 3)]
    return quantized(torch.cat(parts, node.get("axis", 1)), inputs[0], inputs[1])


def _gemm(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    a = dequantized(tensor(inputs[0]), inputs[1], inputs[2], 0)
    b = dequantized(tensor(inputs[3]), inputs[4], inputs[5], 0 if node.get("transB", 0) else -1)
    bias, factor = at(inputs, 6), tensor(inputs[1]).reshape(()) * tensor(inputs[4])
    a = a.t() if node.get("transA", 0) else a
    weight = b if node.get("transB", 0) else b.t()
    shift = None if bias is None else tensor(bias).reshape(-1) * factor
    made = F.linear(a, weight, shift)
    made = made * node.get("alpha", 1.0) if node.get("alpha", 1.0) != 1 else made
    return made if at(inputs, 7) is None else quantized(made, inputs[7], at(inputs, 8))


def _convolution(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    if not node.get("channels_last", 0):
        return quantized_convolution(node, inputs)
    made = quantized_convolution(node, [tensor(inputs[0]).movedim(-1, 1), *inputs[1:]])
    assert isinstance(made, torch.Tensor)
    return made.movedim(1, -1)


def _last_pool(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    made = windows.OPERATORS["MaxPool"](node, [tensor(inputs[0]).movedim(-1, 1)])
    assert isinstance(made, torch.Tensor)
    return made.movedim(1, -1)


def _dynamic_product(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    """Multiply real numbers by a matrix of 8 bits: what rounding the left factor to 8 bits changes is left out."""
    made = torch.matmul(tensor(inputs[0]), dequantized(tensor(inputs[1]), inputs[2], at(inputs, 3), -1))
    return made if at(inputs, 4) is None else made + tensor(inputs[4])


def _product_to_real(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    left = dequantized(tensor(inputs[0]), inputs[2], at(inputs, 4), 0)
    made = torch.matmul(left, dequantized(tensor(inputs[1]), inputs[3], at(inputs, 5), -1))
    return made if at(inputs, 6) is None else made + tensor(inputs[6])


OPERATORS: Mapping[str, OnnxRule] = {
    "FusedConv": _fused_conv, "FusedGemm": _fused_gemm, "FusedMatMul": _fused_matmul,
    "TransposeMatMul": _fused_matmul, "Gelu": elementwise.OPERATORS["Gelu"],
    "BiasGelu": lambda node, inputs: F.gelu(_biased(inputs)),
    "FastGelu": lambda node, inputs: F.gelu(_biased(inputs), approximate="tanh"), "QuickGelu": _quick_gelu,
    **{name: layers.OPERATORS[name] for name in ("LayerNormalization", "SimplifiedLayerNormalization")},
    "SkipLayerNormalization": _skip_norm, "SkipSimplifiedLayerNormalization": _skip_norm,
    "Attention": _attention, "MultiHeadAttention": _multi_head,
    # Of 16 bits, and those of older files.
    "QuantizeLinear": QUANTIZED["QuantizeLinear"], "DequantizeLinear": QUANTIZED["DequantizeLinear"],
    "QLinearAdd": _of_two(torch.add), "QLinearMul": _of_two(torch.mul), "QLinearConcat": _concat,
    "QLinearSigmoid": _on_real(lambda node, x: torch.sigmoid(x)),
    "QLinearLeakyRelu": _on_real(lambda node, x: F.leaky_relu(x, node.get("alpha", 0.01))),
    "QLinearSoftmax": _on_real(lambda node, x: torch.softmax(x, node.get("axis", -1))),
    "QLinearGlobalAveragePool": _on_real(_by(windows.OPERATORS["GlobalAveragePool"])),
    "QLinearAveragePool": _on_real(_by(windows.OPERATORS["AveragePool"])),
    "QGemm": _gemm, "QLinearConv": _convolution, "NhwcMaxPool": _last_pool,
    "DynamicQuantizeMatMul": _dynamic_product, "MatMulIntegerToFloat": _product_to_real,
}  # fmt: skip
