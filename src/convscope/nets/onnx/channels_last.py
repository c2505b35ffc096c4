"""Inputs that a file takes as (N, H, W, C): the first thing that is done with them is to move the channels."""

from __future__ import annotations

from collections import defaultdict

from convscope.nets.onnx.plan import Plan
from convscope.nets.onnx.step import OnnxStep

# What may come before the transposition: each number by itself.
_ELEMENTWISE = ("Sub", "Add", "Mul", "Div", "Cast", "Identity", "Clip", "QuantizeLinear", "DequantizeLinear")


def channels_last(plan: Plan) -> frozenset[str]:
    """Return the inputs whose channels are the last axis: all that reads them moves that axis after the batch first."""
    readers: dict[str, list[OnnxStep]] = defaultdict(list)
    for step in plan.steps:
        for name in step.inputs:
            readers[name].append(step)
    return frozenset(
        name
        for name, declared in plan.inputs.items()
        if declared.shape is not None and len(declared.shape) > 2 and _is_moved(name, len(declared.shape), readers)
    )


def _is_moved(name: str, rank: int, readers: dict[str, list[OnnxStep]], depth: int = 0) -> bool:
    if not readers[name] or depth > 16:
        return False
    for step in readers[name]:
        if step.operator == "Transpose" and list(step.get("perm") or ()) == [0, rank - 1, *range(1, rank - 1)]:
            continue
        if step.operator not in _ELEMENTWISE or step.domain or step.inputs[0] != name:
            return False
        if not _is_moved(step.outputs[0], rank, readers, depth + 1):
            return False
    return True
