"""Convolution and transposed convolution, in one, two or three dimensions, grouped, dilated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convscope.capture.operators.rule import Call, Flow, Operand, OperatorRule, Rule
from convscope.geometry.convolution import TransposedWindow
from convscope.geometry.cost import convolution_cost, transposed_convolution_cost
from convscope.geometry.relation import Expand, Mix, Permute, RelationStep, Taps
from convscope.geometry.taps import transposed_taps, window_taps
from convscope.geometry.window import Window


def _spread(value: Sequence[int], dimensions: int) -> tuple[int, ...]:
    """ATen takes one number for all axes as well."""
    return tuple(value) * dimensions if len(value) == 1 else tuple(value)


def _windows(call: Call, kernel_sizes: Sequence[int]) -> tuple[Window, ...]:
    n = len(kernel_sizes)
    return tuple(
        Window(kernel_size=k, stride=s, dilation=d, padding_before=p, padding_after=p)
        for k, s, p, d in zip(
            kernel_sizes,
            _spread(call.arguments["stride"], n),
            _spread(call.arguments["padding"], n),
            _spread(call.arguments["dilation"], n),
            strict=True,
        )
    )


def _product(*factors: int) -> str:
    return " · ".join(map(str, factors))


def _bias_flow(bias: Operand, shape: tuple[int, ...]) -> Flow:
    """Return a bias that is itself computed from the input: one number per channel, everywhere."""
    lifted = Expand((1,) * (len(shape) - 1) + bias.shape)
    return Flow(bias.slot, 0, (lifted, _channels_second(len(shape)), Expand(shape)))


def _channels_second(rank: int) -> RelationStep:
    """Return the step that moves the last axis to the position of the channels."""
    return Permute((0, rank - 1, *range(1, rank - 1)))


def _weight_flow(weight: Operand, shape: tuple[int, ...], out_axis: int) -> Flow:
    """Return a weight that is itself computed from the input: each output channel reads its own filter, everywhere."""
    rank = weight.rank
    steps: list[RelationStep] = [Mix(axis, 1) for axis in range(rank) if axis != out_axis]
    if out_axis == 0:
        steps.append(Permute((1, 0, *range(2, rank))))
    return Flow(weight.slot, 0, (*steps, Expand(shape)))


def convolution(call: Call) -> OperatorRule:
    """Describe `aten.convolution`, to which Conv1d, Conv3d, depthwise and transposed convolutions dispatch."""
    x = call.operands[0]
    weight = call.operand("weight")
    out = call.outputs[0]
    groups = call.arguments["groups"]
    kernel_sizes = weight.shape[2:]
    windows = _windows(call, kernel_sizes)
    bias = call.arguments.get("bias")
    transposed = bool(call.arguments.get("transposed", False))
    if transposed:
        return _transposed(call, x, weight, windows, groups)
    steps: list[RelationStep] = [Mix(1, out[1], groups)]
    steps += [Taps(2 + i, window_taps(w, size)) for i, (w, size) in enumerate(zip(windows, x.shape[2:], strict=True))]
    cost = convolution_cost(x.shape[1], out[1], kernel_sizes, out[2:], groups=groups, bias=bias is not None)
    flows = [Flow(x.slot, 0, tuple(steps)), _weight_flow(weight, out, 0)]
    if isinstance(bias, Operand):
        flows.append(_bias_flow(bias, out))
    return OperatorRule(
        op="convolution",
        flows=tuple(flows),
        macs=out[0] * cost.macs,
        formula=_product(*out, x.shape[1] // groups, *kernel_sizes),
        windows=windows,
        groups=groups,
    )


def _transposed(call: Call, x: Operand, weight: Operand, windows: tuple[Window, ...], groups: int) -> OperatorRule:
    out = call.outputs[0]
    extra = _spread(call.arguments["output_padding"], len(windows))
    steps: list[RelationStep] = [Mix(1, out[1], groups)]
    for i, (window, more) in enumerate(zip(windows, extra, strict=True)):
        table = transposed_taps(TransposedWindow(window=window, output_padding=more), x.shape[2 + i])
        steps.append(Taps(2 + i, table))
    kernel_sizes = weight.shape[2:]
    cost = transposed_convolution_cost(x.shape[1], out[1], kernel_sizes, x.shape[2:], groups=groups)
    # The weight is (in, out / groups, ...): with groups its output channels are cut up, so its reach is taken whole.
    weight_steps: list[RelationStep] = [Mix(axis, 1) for axis in range(weight.rank) if groups > 1 or axis != 1]
    flows = [Flow(x.slot, 0, tuple(steps)), Flow(weight.slot, 0, (*weight_steps, Expand(out)))]
    bias = call.arguments.get("bias")
    if isinstance(bias, Operand):
        flows.append(_bias_flow(bias, out))
    return OperatorRule(
        op="transposed_convolution",
        flows=tuple(flows),
        macs=x.shape[0] * cost.macs,
        formula=_product(x.shape[0], out[1] // groups, *x.shape[1:], *kernel_sizes),
        windows=windows,
        groups=groups,
    )


RULES: Mapping[str, Rule] = dict.fromkeys(
    ("convolution", "_convolution", "convolution_overrideable", "mkldnn_convolution", "_slow_conv2d_forward",
     "thnn_conv2d", "slow_conv3d_forward", "_conv_depthwise2d", "conv_depthwise3d"),
    convolution,
)  # fmt: skip
