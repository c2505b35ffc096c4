"""Writing at listed places: exact where these are constants, data-dependent where they are computed."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from convscope.capture.operators.elementwise import anywhere
from convscope.capture.operators.indexing import IndexedAxes, along_an_axis, indexed_axes, line_of
from convscope.capture.operators.rule import Call, Flow, Operand, OperatorRule, Rule
from convscope.geometry.relation import Expand, Mix, Permute, ReachStatus, RelationStep, Reshape, Taps
from convscope.geometry.taps import NO_TAP, Positions, TapTable, listed_taps, slice_taps

# Above this many taps, which of many numbers go to one place is not written out: any of them may, as a bound.
_MOST_TAPS = 4_000_000
# Above this many positions, axes that are written to together are not flattened: their fields would be too.
_MOST_TOGETHER = 2**17


def kept(places: Positions, size: int) -> TapTable:
    """Return the taps of an axis whose numbers at `places` are overwritten.

    >>> kept(np.array([0, 2]), 3).inside.ravel().tolist()
    [False, True, False]
    """
    positions = np.arange(size)
    positions[places] = NO_TAP
    return listed_taps(positions, size)


def written(places: Positions, size: int) -> TapTable | None:
    """Return the taps of an axis of `size` on the numbers that are written to it; None where they are too many.

    >>> table = written(np.array([2, 0, 2]), 3)
    >>> [row[inside].tolist() for row, inside in zip(table.positions, table.inside)]
    [[1], [], [0, 2]]
    """
    counts = np.bincount(places, minlength=size)
    most = max(1, int(counts.max(initial=0)))
    if size * most > _MOST_TAPS:
        return None
    order = np.argsort(places, kind="stable")
    first = np.cumsum(counts) - counts
    positions = np.full((size, most), NO_TAP, dtype=np.int64)
    positions[places[order], np.arange(places.size) - first[places[order]]] = order
    return listed_taps(positions, places.size)


def _is_certain(places: Positions, *, added: bool) -> bool:
    """Return whether each place holds all that is written to it: of two numbers, either stays unless they are added."""
    return added or np.unique(places).size == places.size


def _index_put(call: Call) -> OperatorRule:
    """Describe `x[i] = v`; where a place is computed, the base keeps its positions and the values may go to any."""
    x, values, at = call.operand("self"), call.operand("values"), indexed_axes(call)
    added = bool(call.arguments.get("accumulate"))
    if at is None or at.places is None or not at.sizes or 0 in x.shape:
        return _written_anywhere(call, x)
    size = prod(at.sizes)
    table = written(at.places, size) if len(at.sizes) == 1 or size <= _MOST_TOGETHER else None
    if table is None:
        return _written_anywhere(call, x)
    back = _steps_back(at, x.shape)
    flows = [Flow(x.slot) if added else Flow(x.slot, 0, (*at.steps, Taps(at.axis, kept(at.places, size)), *back))]
    if at.places.size:
        spread = (Expand((*at.lead, *at.picked, *at.tail)), Reshape((*at.lead, at.places.size, *at.tail)))
        certain = _is_certain(at.places, added=added)
        status = ReachStatus.EXACT if certain else ReachStatus.DATA_DEPENDENT
        flows.append(Flow(values.slot, 0, (*spread, Taps(at.axis, table), *back), status))
    return OperatorRule("index_put", tuple(flows))


def _steps_back(at: IndexedAxes, shape: tuple[int, ...]) -> tuple[RelationStep, ...]:
    """Return the steps that undo those of `at`, to a tensor of this shape."""
    steps: list[RelationStep] = []
    if len(at.sizes) > 1:
        steps.append(Reshape((*at.lead, *at.sizes, *at.tail)))
    if at.order != tuple(range(len(shape))):
        steps.append(Permute(tuple(at.order.index(axis) for axis in range(len(shape)))))
    return tuple(steps)


def _written_anywhere(call: Call, x: Operand) -> OperatorRule:
    """Return the rule of a write to places that are not known: the base keeps its positions, the rest may go to any."""
    flows = [Flow(x.slot)]
    for operand in call.operands:
        if operand.slot != x.slot:
            flows.append(Flow(operand.slot, 0, anywhere(operand, call.outputs[0]), ReachStatus.DATA_DEPENDENT))
    return OperatorRule(call.op.removeprefix("_").removesuffix("_impl"), tuple(flows))


def _scatter(call: Call) -> OperatorRule:
    """Describe writing along one axis: where a place is computed, every position there may depend on any other."""
    x = call.operand("self")
    out = call.outputs[0]
    axis = call.axis(rank=x.rank)
    index, source = call.operand("index"), _source(call)
    places = _line(call, index, axis)
    table = None if places is None else written(places, out[axis])
    if places is not None and table is not None:
        added = call.op not in ("scatter", "index_copy", "index_fill") or call.arguments.get("reduce") is not None
        stays = added and call.arguments.get("include_self", True)
        flows = [Flow(x.slot) if stays else Flow(x.slot, 0, (Taps(axis, kept(places, out[axis])),))]
        if source is not None:
            status = ReachStatus.EXACT if _is_certain(places, added=added) else ReachStatus.DATA_DEPENDENT
            flows.append(Flow(source.slot, 0, (*_cut(source, axis, places.size, out), Taps(axis, table)), status))
        return OperatorRule(call.op, tuple(flows))
    flows = [Flow(x.slot)]
    for operand in (index, source):
        if operand is None:
            continue
        if operand.rank != x.rank or any(a != axis and size != x.shape[a] for a, size in enumerate(operand.shape)):
            flows.append(Flow(operand.slot, 0, anywhere(operand, out), ReachStatus.DATA_DEPENDENT))
        else:
            flows.append(Flow(operand.slot, 0, (Mix(axis, out[axis]),), ReachStatus.DATA_DEPENDENT))
    return OperatorRule(call.op, tuple(flows))


def _source(call: Call) -> Operand | None:
    """Return the tensor that is written; None where it is a number."""
    found = (call.arguments.get(name) for name in ("src", "source", "value"))
    return next((operand for operand in found if isinstance(operand, Operand)), None)


def _line(call: Call, index: Operand, axis: int) -> Positions | None:
    """Return the places along an axis that are written, at every position of the other axes; None if not known."""
    x, numbers = call.operand("self"), call.values(index)
    if numbers is None or 0 in x.shape:
        return None
    if index.rank < 2 and x.rank != 1:  # a list of places, as of `index_add`
        line = numbers.reshape(-1).astype(np.int64) if call.op.startswith("index") else None
    else:
        whole = all(a == axis or size == x.shape[a] for a, size in enumerate(index.shape))
        line = line_of(numbers, axis) if whole and index.rank == x.rank else None
    return None if line is None else line % x.shape[axis]


def _cut(source: Operand, axis: int, count: int, out: tuple[int, ...]) -> tuple[RelationStep, ...]:
    """Return the steps from the tensor that is written to its first `count` positions along the axis."""
    wanted = (*out[:axis], count, *out[axis + 1 :])
    if source.rank != len(out):
        return (Reshape((1,) * len(out)), Expand(wanted))  # one number, written to all places
    return tuple(
        Taps(a, slice_taps(0, 1, size, source.shape[a])) for a, size in enumerate(wanted) if size != source.shape[a]
    )


RULES: Mapping[str, Rule] = {
    "index_put": _index_put,
    "_index_put_impl": _index_put,
    **dict.fromkeys(
        ("scatter", "scatter_add", "scatter_reduce", "index_add", "index_copy", "index_fill", "index_reduce"),
        along_an_axis(_scatter),
    ),
}
