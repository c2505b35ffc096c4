"""Normalisations and softmax: which axes their statistics are taken over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from convscope.capture.operators.rule import Call, Flow, Operand, OperatorRule, Rule
from convscope.geometry.relation import Expand, Mix, Permute, RelationStep, Reshape


def _mix_whole(shape: tuple[int, ...], axes: Iterable[int]) -> tuple[RelationStep, ...]:
    return tuple(Mix(axis, shape[axis]) for axis in axes)


def _per_channel(operand: Operand | None, shape: tuple[int, ...]) -> list[Flow]:
    """Return a weight or bias with one number per channel, when it is itself computed from the input."""
    if not isinstance(operand, Operand):
        return []
    rank = len(shape)
    lifted = Expand((1,) * (rank - 1) + operand.shape)
    return [Flow(operand.slot, 0, (lifted, Permute((0, rank - 1, *range(1, rank - 1))), Expand(shape)))]


def _statistics(x: Operand, call: Call) -> list[Flow]:
    """Return the saved means and deviations, taken to depend on the whole input."""
    down = tuple(Mix(axis, 1) for axis in range(x.rank))
    return [
        Flow(x.slot, output, (*down, Reshape((1,) * len(shape)), Expand(shape)))
        for output, shape in enumerate(call.outputs[1:], start=1)
        if 0 not in shape
    ]


def _batch_norm(call: Call) -> OperatorRule:
    """Describe batch normalization: with running statistics elementwise; else each channel reads all of its values."""
    x = call.first
    training = call.arguments.get("training")
    if training is None:
        training = call.arguments.get("train", not call.op.endswith(("_no_training", "_no_update")))
    axes = [axis for axis in range(x.rank) if axis != 1] if training else []
    flows = [Flow(x.slot, 0, _mix_whole(x.shape, axes))]
    if training:
        flows += _statistics(x, call)
    for name in ("weight", "bias") if training else ("weight", "bias", "running_mean", "running_var"):
        flows += _per_channel(call.arguments.get(name), call.outputs[0])
    return OperatorRule("batch_norm", tuple(flows))


def _group_norm(call: Call) -> OperatorRule:
    x = call.first
    groups = call.arguments["group"]
    steps: tuple[RelationStep, ...] = (Mix(1, x.shape[1], groups), *_mix_whole(x.shape, range(2, x.rank)))
    flows = [Flow(x.slot, 0, steps), *_statistics(x, call)]
    for name in ("weight", "bias"):
        flows += _per_channel(call.arguments.get(name), call.outputs[0])
    return OperatorRule("group_norm", tuple(flows))


def _layer_norm(call: Call) -> OperatorRule:
    x = call.first
    axes = range(x.rank - len(call.arguments["normalized_shape"]), x.rank)
    flows = [Flow(x.slot, 0, _mix_whole(x.shape, axes))]
    flows += [Flow(x.slot, output, tuple(Mix(axis, 1) for axis in axes)) for output in range(1, len(call.outputs))]
    for name in ("weight", "bias"):
        operand = call.arguments.get(name)
        if isinstance(operand, Operand):
            flows.append(Flow(operand.slot, 0, (Expand(call.outputs[0]),)))
    return OperatorRule("rms_norm" if "rms" in call.op else "layer_norm", tuple(flows))


def _softmax(call: Call) -> OperatorRule:
    x = call.first
    name = call.op.removeprefix("_").removesuffix("_no_update").removeprefix("safe_")
    return OperatorRule(name, (Flow(x.slot, 0, _mix_whole(x.shape, [call.axis()] if x.rank else [])),))


def _weight_norm(call: Call) -> OperatorRule:
    """Describe `weight_norm`: each filter is scaled by its own length; the second result is the lengths."""
    v, g = call.operand("v"), call.operand("g")
    axes = [axis for axis in range(v.rank) if axis != call.axis()]
    flows = [Flow(v.slot, 0, _mix_whole(v.shape, axes)), Flow(g.slot, 0, (Expand(v.shape),))]
    flows.append(Flow(v.slot, 1, tuple(Mix(axis, 1) for axis in axes)))
    return OperatorRule("weight_norm", tuple(flows))


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(
        ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_functional", "cudnn_batch_norm",
         "_native_batch_norm_legit_no_training", "_batch_norm_with_update", "_batch_norm_no_update",
         "miopen_batch_norm"),
        _batch_norm,
    ),
    "_weight_norm_interface": _weight_norm,
    "native_group_norm": _group_norm,
    "native_layer_norm": _layer_norm,
    "_fused_rms_norm": _layer_norm,
    **dict.fromkeys(("_softmax", "_log_softmax", "softmax", "log_softmax", "_safe_softmax"), _softmax),
}  # fmt: skip
