"""Convolution, transposed, deformable, and its gradients, in one, two or three dimensions, grouped, dilated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from convscope.capture.operators.rule import Call, Flow, Operand, OperatorRule, Rule
from convscope.geometry.convolution import TransposedWindow
from convscope.geometry.cost import convolution_cost, transposed_convolution_cost
from convscope.geometry.relation import Expand, Mix, Permute, ReachStatus, RelationStep, Reshape, Taps
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
    """Return a bias that is itself computed from the input: one number per channel, everywhere.

    Shapes alone do not refuse a bias of another shape; with values, torch does.
    """
    if bias.shape != (shape[1],):
        mixed = (Mix(axis, 1) for axis in range(bias.rank))
        return Flow(bias.slot, 0, (*mixed, Reshape((1,) * len(shape)), Expand(shape)), ReachStatus.UNKNOWN)
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


def _time_first(call: Call) -> OperatorRule:
    """Describe `torch.conv_tbc`: (T, N, C_in) with a weight (K, C_in, C_out) to (T', N, C_out)."""
    x, weight, out = call.operand("self"), call.operand("weight"), call.outputs[0]
    kernel_size, pad = weight.shape[0], call.arguments["pad"]
    window = Window(kernel_size=kernel_size, padding_before=pad, padding_after=pad)
    flows = (
        Flow(x.slot, 0, (Mix(2, out[2]), Taps(0, window_taps(window, x.shape[0])))),
        Flow(weight.slot, 0, (Mix(0, 1), Mix(1, 1), Expand(out))),
        Flow(call.operand("bias").slot, 0, (Expand(out),)),
    )
    cost = convolution_cost(x.shape[2], out[2], (kernel_size,), out[:1])
    # Another name than "convolution", of which axes are (N, C, *S) wherever it is read.
    return OperatorRule("conv_tbc", flows, macs=out[1] * cost.macs, formula=_product(*out, x.shape[2], kernel_size))


def _deformable(call: Call) -> OperatorRule:
    """Describe `torchvision.ops.deform_conv2d`: each tap is moved by an offset of its own place.

    Which pixels are read is in the offsets: any, as a bound. An offset and a mask steer their own place alone. MACs:
    those of the convolution; the interpolation between pixels is not counted.
    """
    x, weight, out = call.operand("input"), call.operand("weight"), call.outputs[0]
    groups = call.arguments["groups"]
    anywhere: tuple[RelationStep, ...] = (Mix(1, out[1], groups), Mix(2, out[2]), Mix(3, out[3]))
    flows = [Flow(x.slot, 0, anywhere, ReachStatus.DATA_DEPENDENT), _weight_flow(weight, out, 0)]
    for name in ("offset", "mask") if call.arguments["use_mask"] else ("offset",):
        flows.append(Flow(call.operand(name).slot, 0, (Mix(1, out[1]),)))
    flows.append(_bias_flow(call.operand("bias"), out))
    cost = convolution_cost(x.shape[1], out[1], weight.shape[2:], out[2:], groups=groups)
    formula = _product(*out, x.shape[1] // groups, *weight.shape[2:])
    return OperatorRule("deformable_convolution", tuple(flows), macs=out[0] * cost.macs, formula=formula)


def _backward(call: Call) -> OperatorRule:
    """Describe the gradients of a convolution, taken inside a forward pass: of its input, its weight and its bias.

    MACs: those of the convolution, once for the input's gradient and once for the weight's.
    """
    grad, x, weight = call.operand("grad_output"), call.operand("input"), call.operand("weight")
    a = call.arguments
    windows, groups, transposed = _windows(call, weight.shape[2:]), a["groups"], bool(a["transposed"])
    mask = a["output_mask"]
    flows: list[Flow] = []
    made = iter(range(len(call.outputs)))
    if mask[0]:
        output = next(made)
        steps: list[RelationStep] = [Mix(1, x.shape[1], groups)]
        steps += [_read_back(2 + i, w, grad.shape[2 + i], x.shape[2 + i], transposed) for i, w in enumerate(windows)]
        flows += [Flow(grad.slot, output, tuple(steps)), Flow(weight.slot, output, _whole(weight, x.shape))]
    if mask[1]:
        output = next(made)
        # Each filter reads its own channel of one of them; which channels of the other is left open.
        own, other = (x, grad) if transposed else (grad, x)
        own_steps: list[RelationStep] = [Mix(axis, 1) for axis in range(own.rank) if axis != 1]
        own_steps += [Permute((1, 0, *range(2, own.rank))), Expand(weight.shape)]
        flows += [Flow(own.slot, output, tuple(own_steps)), Flow(other.slot, output, _whole(other, weight.shape))]
    if mask[2]:
        summed = tuple(Mix(axis, 1) for axis in range(grad.rank) if axis != 1)
        flows.append(Flow(grad.slot, next(made), (*summed, Reshape(grad.shape[1:2]))))
    # A convolution uses each weight once per output position, a transposed one once per input position.
    small, channels = (x, grad.shape[1]) if transposed else (grad, x.shape[1])
    factors = (*small.shape, channels // groups, *weight.shape[2:])
    times = int(mask[0]) + int(mask[1])
    formula = _product(*factors) if times == 1 else _product(times, *factors)
    return OperatorRule("convolution_backward", tuple(flows), macs=times * prod(factors), formula=formula)


def _read_back(axis: int, window: Window, size: int, wanted: int, transposed: bool) -> RelationStep:
    """Return which positions of an output's gradient, of `size`, an input's of `wanted` positions is made of."""
    if transposed and size and window.fits(size) and window.output_size(size) == wanted:
        return Taps(axis, window_taps(window, size))
    extra = wanted - ((size - 1) * window.stride - sum(window.padding) + window.span)
    if transposed or not wanted or not 0 <= extra < max(window.stride, window.dilation):
        return Mix(axis, wanted)  # the last windows hang over: taken whole
    return Taps(axis, transposed_taps(TransposedWindow(window=window, output_padding=extra), size))


def _whole(operand: Operand, shape: tuple[int, ...]) -> tuple[RelationStep, ...]:
    """Return the steps of a result of which every position reads the whole tensor."""
    return (*(Mix(axis, 1) for axis in range(operand.rank)), Reshape((1,) * len(shape)), Expand(shape))


RULES: Mapping[str, Rule] = dict.fromkeys(
    ("convolution", "_convolution", "convolution_overrideable", "mkldnn_convolution", "_slow_conv2d_forward",
     "thnn_conv2d", "slow_conv3d_forward", "_conv_depthwise2d", "conv_depthwise3d"),
    convolution,
) | {"torchvision::deform_conv2d": _deformable, "convolution_backward": _backward, "conv_tbc": _time_first}  # fmt: skip
