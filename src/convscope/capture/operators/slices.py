"""Parts of a tensor, and parts written back into it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from math import prod

import numpy as np

from convscope.capture.operators.rule import Call, Flow, Operand, OperatorRule, Rule, axis_of
from convscope.capture.operators.shape import move
from convscope.geometry.relation import Permute, RelationStep, Reshape, Taps
from convscope.geometry.taps import NO_TAP, Positions, TapTable, listed_taps, slice_taps


def _part(axis: int, start: int, step: int, length: int, size: int) -> tuple[RelationStep, ...]:
    if (start, step, length) == (0, 1, size):
        return ()
    return (Taps(axis, slice_taps(start, step, length, size)),)


def _bounds(call: Call, size: int) -> tuple[int, int]:
    start, end = call.arguments["start"], call.arguments["end"]
    first, last, _ = slice(start, end, 1).indices(size)
    return first, max(first, last)


def _split(call: Call) -> OperatorRule:
    axis, size = call.axis(), call.first.shape[call.axis()]
    lengths = [shape[axis] for shape in call.outputs]
    starts = [0, *accumulate(lengths)]
    flows = tuple(
        Flow(0, i, _part(axis, start, 1, length, size))
        for i, (start, length) in enumerate(zip(starts, lengths, strict=False))
    )
    return OperatorRule("split", flows)


def _unbind(call: Call) -> OperatorRule:
    axis, size = call.axis(), call.first.shape[call.axis()]
    flows = tuple(Flow(0, i, (*_part(axis, i, 1, 1, size), Reshape(shape))) for i, shape in enumerate(call.outputs))
    return OperatorRule("unbind", flows)


def _slice(call: Call) -> OperatorRule:
    axis = call.axis()
    size = call.first.shape[axis]
    start, _ = _bounds(call, size)
    return move("slice", call, *_part(axis, start, call.arguments["step"], call.outputs[0][axis], size))


def _narrow(call: Call) -> OperatorRule:
    axis = call.axis()
    return move(
        "slice", call, *_part(axis, call.arguments["start"], 1, call.arguments["length"], call.first.shape[axis])
    )


def _select(call: Call) -> OperatorRule:
    axis = call.axis()
    size = call.first.shape[axis]
    index = call.arguments["index"] % size
    return move("select", call, *_part(axis, index, 1, 1, size), Reshape(call.outputs[0]))


def _written_over(covered: Positions | range, size: int, part_size: int) -> tuple[TapTable, TapTable]:
    """Return the taps of an axis and of the part that is written over its `covered` positions."""
    base = np.arange(size)
    part = np.full(size, NO_TAP)
    base[list(covered)] = NO_TAP
    part[list(covered)] = np.arange(part_size)
    return listed_taps(base, size), listed_taps(part, part_size)


def _slice_scatter(call: Call) -> OperatorRule:
    base, part = call.operand("self"), call.operand("src")
    axis = axis_of(call.arguments["dim"], base.rank)
    start, end = _bounds(call, base.shape[axis])
    covered = range(start, end, call.arguments["step"])
    kept, written = _written_over(covered, base.shape[axis], len(covered))
    return _overwritten("slice_scatter", base, (Taps(axis, kept),), part, (Taps(axis, written),))


def _select_scatter(call: Call) -> OperatorRule:
    base, part = call.operand("self"), call.operand("src")
    axis = axis_of(call.arguments["dim"], base.rank)
    index = call.arguments["index"] % base.shape[axis]
    kept, written = _written_over(range(index, index + 1), base.shape[axis], 1)
    one = (*base.shape[:axis], 1, *base.shape[axis + 1 :])
    return _overwritten("select_scatter", base, (Taps(axis, kept),), part, (Reshape(one), Taps(axis, written)))


def _overwritten(
    op: str, base: Operand, kept: tuple[RelationStep, ...], part: Operand, written: tuple[RelationStep, ...]
) -> OperatorRule:
    return OperatorRule(op, (Flow(base.slot, 0, kept), Flow(part.slot, 0, written)))


def _diagonal_places(call: Call, shape: tuple[int, ...]) -> tuple[tuple[int, ...], Positions]:
    """Return the order of axes with the two of a diagonal last, and the diagonal's positions after flattening."""
    rank = len(shape)
    first, second = axis_of(call.arguments["dim1"], rank), axis_of(call.arguments["dim2"], rank)
    offset = call.arguments["offset"]
    rows, columns = shape[first], shape[second]
    length = min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns)
    u = np.arange(length)
    positions = (u + max(0, -offset)) * columns + u + max(0, offset)
    return (*(axis for axis in range(rank) if axis not in (first, second)), first, second), positions


def _diagonal(call: Call) -> OperatorRule:
    shape = call.first.shape
    order, positions = _diagonal_places(call, shape)
    flat = (*(shape[axis] for axis in order[:-2]), shape[order[-2]] * shape[order[-1]])
    return move("diagonal", call, Permute(order), Reshape(flat), Taps(len(flat) - 1, listed_taps(positions, flat[-1])))


def _diagonal_embedded(call: Call) -> OperatorRule:
    """Describe `torch.diag_embed`: the last axis becomes the diagonal of two, and zeros stand beside it."""
    out = call.outputs[0]
    order, positions = _diagonal_places(call, out)
    moved = tuple(out[axis] for axis in order)
    _, written = _written_over(positions, moved[-2] * moved[-1], call.first.shape[-1])
    return move("diag_embed", call, Taps(len(moved) - 2, written), Reshape(moved), Permute(_inverse(order)))


def _blocks(call: Call) -> OperatorRule:
    """Describe `torch.block_diag`: matrices along the diagonal; a vector or a number is a matrix of one row."""
    rows, columns = call.outputs[0]
    row, column, flows = 0, 0, []
    for part in call.operands:
        height, width = (1, 1, *part.shape)[-2:]
        places = (range(row, row + height), range(column, column + width))
        taps = [
            Taps(axis, _written_over(covered, size, len(covered))[1])
            for axis, (covered, size) in enumerate(zip(places, (rows, columns), strict=True))
        ]
        flows.append(Flow(part.slot, 0, (Reshape((height, width)), *taps)))
        row, column = row + height, column + width
    return OperatorRule("block_diag", tuple(flows))


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(order.index(axis) for axis in range(len(order)))


def _diagonal_scatter(call: Call) -> OperatorRule:
    base, part = call.operand("self"), call.operand("src")
    order, positions = _diagonal_places(call, base.shape)
    moved = tuple(base.shape[axis] for axis in order)
    flat = (*moved[:-2], moved[-2] * moved[-1])
    axis = len(flat) - 1
    kept, written = _written_over(positions, flat[axis], part.shape[-1])
    back = (Reshape(moved), Permute(_inverse(order)))
    return OperatorRule(
        "diagonal_scatter",
        (
            Flow(base.slot, 0, (Permute(order), Reshape(flat), Taps(axis, kept), *back)),
            Flow(part.slot, 0, (Taps(axis, written), *back)),
        ),
    )


def _strided_places(call: Call, shape: tuple[int, ...], source: tuple[int, ...]) -> Positions | None:
    """Return the element numbers that a strided view of a tensor reads; None where the shapes do not say them."""
    if not call.in_order:
        return None
    grid = np.full((1,) * len(shape), call.arguments["storage_offset"] or 0)
    for axis, (size, stride) in enumerate(zip(shape, call.arguments["stride"], strict=True)):
        grid = grid + (np.arange(size) * stride).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return None if grid.size and int(grid.max()) >= prod(source) else grid.reshape(-1)


def _as_strided(call: Call) -> OperatorRule:
    places = _strided_places(call, call.outputs[0], call.first.shape)
    if places is None:
        return OperatorRule("as_strided", flows=None)
    total = prod(call.first.shape)
    return move("as_strided", call, Reshape((total,)), Taps(0, listed_taps(places, total)), Reshape(call.outputs[0]))


def _as_strided_scatter(call: Call) -> OperatorRule:
    base, part = call.operand("self"), call.operand("src")
    places = _strided_places(call, part.shape, base.shape)
    if places is None or np.unique(places).size < places.size:  # of two numbers written to one place, which one stays
        return OperatorRule("as_strided_scatter", flows=None)
    total = prod(base.shape)
    kept, written = _written_over(places, total, prod(part.shape))
    return OperatorRule(
        "as_strided_scatter",
        (
            Flow(base.slot, 0, (Reshape((total,)), Taps(0, kept), Reshape(base.shape))),
            Flow(part.slot, 0, (Reshape((prod(part.shape),)), Taps(0, written), Reshape(base.shape))),
        ),
    )


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk",
                     "split_with_sizes_copy", "split_copy", "unsafe_split_with_sizes"), _split),
    "unbind": _unbind,
    "slice": _slice,
    "narrow": _narrow,
    "select": _select,
    "slice_scatter": _slice_scatter,
    "select_scatter": _select_scatter,
    "diagonal": _diagonal,
    "diagonal_scatter": _diagonal_scatter,
    "diag_embed": _diagonal_embedded,
    "block_diag": _blocks,
    "as_strided": _as_strided,
    "as_strided_scatter": _as_strided_scatter,
}  # fmt: skip
