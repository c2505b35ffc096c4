"""Reading and writing at listed places: exact where these are constants, data-dependent where they are computed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from convscope.capture.operators.elementwise import anywhere
from convscope.capture.operators.rule import Call, Flow, Operand, OperatorRule, Rule, axis_of
from convscope.geometry.relation import Expand, Mix, Permute, ReachStatus, RelationStep, Reshape, Taps
from convscope.geometry.taps import listed_taps


def _index(call: Call) -> OperatorRule:
    """Describe `x[:, i, j]` with index tensors: several of them pick points, one picks positions along its axis."""
    x = call.operand("self")
    out = call.outputs[0]
    placed = _placed(call)
    if placed is None:
        return _masked(call)
    if not placed:
        return OperatorRule("index", (Flow(x.slot),))  # only None: torch refuses it with numbers alone
    axes = [axis for axis, _, _ in placed]
    together = axes == list(range(axes[0], axes[0] + len(axes))) if axes else True
    position = axes[0] if together and axes else 0
    broadcast = np.broadcast_shapes(*(shape for _, shape, _ in placed)) if placed else ()
    count = int(np.prod(broadcast, dtype=np.int64))
    rest = [axis for axis in range(x.rank) if axis not in axes]
    # The indexed axes are brought together and flattened into one, which is then read at listed places.
    order = (*rest[:position], *axes, *rest[position:])
    sizes = [x.shape[axis] for axis in axes]
    flat = int(np.prod(sizes, dtype=np.int64))
    lead = tuple(x.shape[a] for a in rest[:position])
    tail = tuple(x.shape[a] for a in rest[position:])
    numbers = [number for _, _, number in placed]
    steps: list[RelationStep] = []
    if order != tuple(range(x.rank)):
        steps.append(Permute(order))
    if len(axes) > 1:
        steps.append(Reshape((*lead, flat, *tail)))
    flows: list[Flow] = []
    if all(n is not None for n in numbers):
        places = np.zeros(broadcast, dtype=np.int64)
        for number, size in zip(numbers, sizes, strict=True):
            assert number is not None
            places = places * size + np.asarray(number, dtype=np.int64) % size
        steps.append(Taps(position, listed_taps(places.reshape(-1), flat)))
        status = ReachStatus.EXACT
    else:
        steps.append(Mix(position, count))
        status = ReachStatus.DATA_DEPENDENT
    steps.append(Reshape(out))
    flows.append(Flow(x.slot, 0, tuple(steps), status))
    for index in call.arguments["indices"]:
        # A computed index steers the outputs that were read with it; a known one depends on nothing.
        if index is None or call.values(index) is not None:
            continue
        lined_up = (*broadcast, *(1,) * len(tail))
        flows.append(Flow(index.slot, 0, (Expand(broadcast), Reshape(lined_up), Expand(out))))
    return OperatorRule("index", tuple(flows))


# One index tensor: the axis that it picks along, its shape, its numbers where they are known.
_Placed = tuple[int, tuple[int, ...], npt.NDArray[np.generic] | None]


def _placed(call: Call) -> list[_Placed] | None:
    """Return the index tensors by axis, known masks as positions; None for a computed mask."""
    placed: list[_Placed] = []
    axis = 0
    for index in call.arguments["indices"]:
        if index is None:
            axis += 1
        elif index.dtype not in ("bool", "uint8"):
            placed.append((axis, index.shape, call.values(index)))
            axis += 1
        else:
            mask = call.values(index)
            if mask is None:
                return None
            placed += [(axis + i, places.shape, places) for i, places in enumerate(np.nonzero(np.atleast_1d(mask)))]
            axis += index.rank
    return placed


def _masked(call: Call) -> OperatorRule:
    """Return a computed mask picks elements: which ones, and how many, is in its values."""
    return _from_anywhere(call, ReachStatus.DATA_DEPENDENT)


def _unique(call: Call) -> OperatorRule:
    """Return that values, places and counts are found by comparing all with all."""
    x = call.first
    flows = [Flow(x.slot, k, anywhere(x, out), ReachStatus.DATA_DEPENDENT) for k, out in enumerate(call.outputs)]
    return OperatorRule("unique", tuple(flows))


def _roi_align(call: Call) -> OperatorRule:
    """Return the steps of torchvision's `roi_align`: each box reads anywhere on the maps, channel by channel."""
    maps, boxes, out = call.operand("input"), call.operand("rois"), call.outputs[0]
    steps = tuple(Mix(axis, out[axis]) for axis in (0, 2, 3))
    steered = (Mix(1, 1), Reshape((out[0], 1, 1, 1)), Expand(out))
    flows = (Flow(maps.slot, 0, steps, ReachStatus.DATA_DEPENDENT), Flow(boxes.slot, 0, steered))
    return OperatorRule("roi_align", flows, macs=None)


def _from_anywhere(call: Call, status: ReachStatus) -> OperatorRule:
    out = call.outputs[0]
    return OperatorRule(call.op, tuple(Flow(o.slot, 0, anywhere(o, out), status) for o in call.operands))


def _along_an_axis(rule: Rule) -> Rule:
    """Return the rule for numbers as well: torch takes a tensor without axes as one of a single element."""

    def of_any_rank(call: Call) -> OperatorRule:
        return rule(call) if call.first.rank else _from_anywhere(call, ReachStatus.EXACT)

    return of_any_rank


def _index_select(call: Call) -> OperatorRule:
    x, index = call.operand("self"), call.operand("index")
    axis = call.axis()
    out = call.outputs[0]
    numbers = call.values(index)
    if numbers is not None:
        table = listed_taps(np.asarray(numbers, dtype=np.int64).reshape(-1), x.shape[axis])
        source = Flow(x.slot, 0, (Taps(axis, table),))
    else:
        source = Flow(x.slot, 0, (Mix(axis, out[axis]),), ReachStatus.DATA_DEPENDENT)
    column = tuple(out[axis] if a == axis else 1 for a in range(len(out)))
    return OperatorRule("index_select", (source, Flow(index.slot, 0, (Reshape(column), Expand(out)))))


def _gather(call: Call) -> OperatorRule:
    """Along one axis the places are in the index; along the others position by position."""
    x, index = call.operand("self"), call.operand("index")
    axis = call.axis()
    out = call.outputs[0]
    steps: list[RelationStep] = [
        Taps(a, listed_taps(np.arange(out[a]), x.shape[a])) for a in range(x.rank) if a != axis and out[a] != x.shape[a]
    ]
    steps.append(Mix(axis, out[axis]))
    return OperatorRule("gather", (Flow(x.slot, 0, tuple(steps), ReachStatus.DATA_DEPENDENT), Flow(index.slot)))


def _embedding(call: Call) -> OperatorRule:
    """Return the rows of a table: output row i is steered by index i; which row of the table it is is in the values."""
    weight, indices = call.operand("weight"), call.operand("indices")
    out = call.outputs[0]
    steer = Flow(indices.slot, 0, (Reshape((*indices.shape, 1)), Expand(out)))
    rows = int(np.prod(indices.shape, dtype=np.int64))
    looked_up = Flow(weight.slot, 0, (Mix(0, rows), Reshape(out)), ReachStatus.DATA_DEPENDENT)
    return OperatorRule("embedding", (steer, looked_up))


def _scatter(call: Call) -> OperatorRule:
    """Return the steps of writing at computed positions: along the axis every position may depend on any other."""
    x = call.operand("self")
    out = call.outputs[0]
    axis = axis_of(call.arguments["dim"], x.rank)
    flows = [Flow(x.slot)]
    for name in ("index", "src", "source"):
        operand = call.arguments.get(name)
        if not isinstance(operand, Operand):
            continue
        if operand.rank != x.rank or any(a != axis and size != x.shape[a] for a, size in enumerate(operand.shape)):
            flows.append(Flow(operand.slot, 0, anywhere(operand, out), ReachStatus.DATA_DEPENDENT))
        else:
            flows.append(Flow(operand.slot, 0, (Mix(axis, out[axis]),), ReachStatus.DATA_DEPENDENT))
    return OperatorRule(call.op, tuple(flows))


def _packed(call: Call) -> OperatorRule:
    """Describe sequences of several lengths, packed: which steps are rows of the result, the lengths decide."""
    x, lengths = call.operands
    rows, sizes = call.outputs
    steps = (Mix(0, 1), Mix(1, 1), Reshape((1, *rows[1:])), Expand(rows))
    steered = Flow(lengths.slot, 0, anywhere(lengths, rows))
    counted = Flow(lengths.slot, 1, (Mix(0, sizes[0]),))
    return OperatorRule("pack_sequence", (Flow(x.slot, 0, steps, ReachStatus.DATA_DEPENDENT), steered, counted))


def _index_put(call: Call) -> OperatorRule:
    """Describe `x[i] = v`: the base keeps its positions; the values may go to any position, as a bound."""
    x, out = call.operand("self"), call.outputs[0]
    flows = [Flow(x.slot)]
    for operand in call.operands:
        if operand.slot == x.slot:
            continue
        flows.append(Flow(operand.slot, 0, anywhere(operand, out), ReachStatus.DATA_DEPENDENT))
    return OperatorRule("index_put", tuple(flows))


RULES: Mapping[str, Rule] = {
    "index": _index,
    "_unsafe_index": _index,
    "index_select": _along_an_axis(_index_select),
    "gather": _along_an_axis(_gather),
    "take_along_dim": _along_an_axis(_gather),
    "embedding": _embedding,
    **dict.fromkeys(("scatter", "scatter_add", "scatter_reduce", "index_add", "index_copy"), _along_an_axis(_scatter)),
    "index_put": _index_put,
    "_index_put_impl": _index_put,
    "_pack_padded_sequence": _packed,
    **dict.fromkeys(("masked_select", "nonzero", "masked_scatter", "take", "histc", "torchvision::nms"), _masked),
    "torchvision::roi_align": _roi_align,
    **dict.fromkeys(("_unique", "_unique2", "unique_dim", "unique_consecutive"), _unique),
}
