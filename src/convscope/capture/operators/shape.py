"""Other shapes for the same elements: views, permutations, repetition, concatenation."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

import numpy as np

from convscope.capture.operators.rule import Call, Flow, OperatorRule, Rule, axis_of
from convscope.geometry.relation import Concat, Expand, Mix, Permute, RelationStep, Reshape, Taps
from convscope.geometry.taps import listed_taps


def move(op: str, call: Call, *steps: RelationStep) -> OperatorRule:
    """Return the rule of an operation that only moves its first tensor's elements."""
    return OperatorRule(op, (Flow(0, 0, steps),))


def _reshape(call: Call) -> OperatorRule:
    names = {"_unsafe_view": "reshape", "view": "reshape", "_reshape_alias": "reshape", "view_copy": "reshape"}
    shape = call.outputs[0]
    steps = () if shape == call.first.shape else (Reshape(shape),)
    return move(names.get(call.op, call.op), call, *steps)


def _permute(call: Call) -> OperatorRule:
    rank = call.first.rank
    if call.op == "permute":
        order = [axis_of(d, rank) for d in call.arguments["dims"]]
    else:
        order = list(range(rank))
        first, second = (0, rank - 1) if call.op == "t" else (call.axis("dim0"), call.axis("dim1"))
        if rank:
            order[first], order[second] = order[second], order[first]
    return move("transpose" if call.op == "t" else call.op, call, Permute(tuple(order)))


def _expand(call: Call) -> OperatorRule:
    return move("expand", call, Expand(call.outputs[0]))


def _repeat(call: Call) -> OperatorRule:
    """Describe `x.repeat(...)`: new axes in front, then each axis is read periodically."""
    shape = call.first.shape
    padded = (1,) * (len(call.outputs[0]) - len(shape)) + shape
    steps: list[RelationStep] = [] if padded == shape else [Expand(padded)]
    for axis, (size, wanted) in enumerate(zip(padded, call.outputs[0], strict=True)):
        if size != wanted:
            steps.append(Taps(axis, listed_taps(np.arange(wanted) % size, size)))
    return move("repeat", call, *steps)


def _repeat_interleave(call: Call) -> OperatorRule:
    if not isinstance(call.arguments.get("repeats"), int) or call.arguments.get("dim") is None:
        return OperatorRule("repeat_interleave", flows=None)
    axis, repeats = call.axis(), call.arguments["repeats"]
    size = call.first.shape[axis]
    return move("repeat_interleave", call, Taps(axis, listed_taps(np.arange(size * repeats) // repeats, size)))


def _concat(call: Call) -> OperatorRule:
    shape = call.outputs[0]
    axis = axis_of(call.arguments["dim"], len(shape))
    # A one-dimensional empty tensor may stand among the parts, whatever their rank.
    parts = [p for p in call.operands if p.rank == len(shape)]
    offsets = [0, *accumulate(p.shape[axis] for p in parts)]
    flows = tuple(
        Flow(part.slot, 0, (Concat(axis, offset, part.shape[axis], shape[axis]),))
        for part, offset in zip(parts, offsets, strict=False)
    )
    return OperatorRule("concat", flows)


def _stack(call: Call) -> OperatorRule:
    shape = call.outputs[0]
    axis = axis_of(call.arguments["dim"], len(shape))
    one = (*shape[:axis], 1, *shape[axis + 1 :])
    flows = tuple(Flow(p.slot, 0, (Reshape(one), Concat(axis, i, 1, shape[axis]))) for i, p in enumerate(call.operands))
    return OperatorRule("stack", flows)


def _as_real(call: Call) -> OperatorRule:
    """Return a complex number becomes two real ones along a new last axis."""
    return move("view_as_real", call, Reshape((*call.first.shape, 1)), Mix(call.first.rank, 2))


def _as_complex(call: Call) -> OperatorRule:
    return move("view_as_complex", call, Mix(call.first.rank - 1, 1), Reshape(call.outputs[0]))


def _as_other_type(call: Call) -> OperatorRule:
    """Return the same bits read as another type: element by element where the sizes agree."""
    same = call.outputs[0] == call.first.shape
    return OperatorRule("view", (Flow(0),) if same else None)


def _triangle(call: Call) -> OperatorRule:
    return move(call.op, call)


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(
        ("view", "_unsafe_view", "reshape", "_reshape_alias", "view_copy", "_reshape_copy", "squeeze", "unsqueeze",
         "flatten", "unflatten"),
        _reshape,
    ),
    **dict.fromkeys(("permute", "transpose", "t"), _permute),
    "expand": _expand,
    "expand_copy": _expand,
    "repeat": _repeat,
    "tile": _repeat,
    "repeat_interleave": _repeat_interleave,
    "cat": _concat,
    "stack": _stack,
    "view_as_real": _as_real,
    "view_as_complex": _as_complex,
    "view.dtype": _as_other_type,
    "tril": _triangle,
    "triu": _triangle,
}  # fmt: skip
