"""Reading at listed places: exact where these are constants, data-dependent where they are computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from convscope.capture.operators.elementwise import anywhere
from convscope.capture.operators.rule import Call, Flow, OperatorRule, Rule
from convscope.geometry.relation import Expand, Mix, Permute, ReachStatus, RelationStep, Reshape, Taps
from convscope.geometry.taps import listed_taps


@dataclass(frozen=True, slots=True)
class IndexedAxes:
    """The axes of a tensor that index tensors pick positions of, brought together and flattened into one.

    Args:
        order: the tensor's axes with the indexed ones side by side.
        sizes: of the indexed axes.
        lead: sizes of the axes before them.
        tail: sizes of the axes after them.
        picked: shape of the index tensors, broadcast.
        places: the position along the flattened axis of each element that is picked, in order; None where the numbers
            of an index are not known.
    """

    order: tuple[int, ...]
    sizes: tuple[int, ...]
    lead: tuple[int, ...]
    tail: tuple[int, ...]
    picked: tuple[int, ...]
    places: npt.NDArray[np.int64] | None

    @property
    def axis(self) -> int:
        """The flattened axis, after `steps`."""
        return len(self.lead)

    @property
    def steps(self) -> tuple[RelationStep, ...]:
        """The steps that bring the indexed axes together and flatten them."""
        steps: list[RelationStep] = []
        if self.order != tuple(range(len(self.order))):
            steps.append(Permute(self.order))
        if len(self.sizes) > 1:
            steps.append(Reshape((*self.lead, prod(self.sizes), *self.tail)))
        return tuple(steps)


def indexed_axes(call: Call) -> IndexedAxes | None:
    """Return the axes that the index tensors of `x[:, i, j]` pick positions of; None for a mask that is computed."""
    x, placed = call.operand("self"), _placed(call)
    if placed is None:
        return None
    axes = [axis for axis, _, _ in placed]
    together = axes == list(range(axes[0], axes[0] + len(axes))) if axes else True
    before = axes[0] if together and axes else 0
    rest = [axis for axis in range(x.rank) if axis not in axes]
    sizes = tuple(x.shape[axis] for axis in axes)
    picked = np.broadcast_shapes(*(shape for _, shape, _ in placed)) if placed else ()
    places: npt.NDArray[np.int64] | None = np.zeros(picked, dtype=np.int64)
    for (_, _, number), size in zip(placed, sizes, strict=True):
        places = None if places is None or number is None else places * size + np.asarray(number, dtype=np.int64) % size
    return IndexedAxes(
        order=(*rest[:before], *axes, *rest[before:]),
        sizes=sizes,
        lead=tuple(x.shape[axis] for axis in rest[:before]),
        tail=tuple(x.shape[axis] for axis in rest[before:]),
        picked=picked,
        places=None if places is None else places.reshape(-1),
    )


def _index(call: Call) -> OperatorRule:
    """Describe `x[:, i, j]` with index tensors: several of them pick points, one picks positions along its axis."""
    x = call.operand("self")
    out = call.outputs[0]
    at = indexed_axes(call)
    if at is None:
        return _masked(call)
    if not at.sizes:
        return OperatorRule("index", (Flow(x.slot),))  # only None: torch refuses it with numbers alone
    known = at.places is not None
    read = Mix(at.axis, prod(at.picked)) if at.places is None else Taps(at.axis, listed_taps(at.places, prod(at.sizes)))
    status = ReachStatus.EXACT if known else ReachStatus.DATA_DEPENDENT
    flows = [Flow(x.slot, 0, (*at.steps, read, Reshape(out)), status)]
    for index in call.arguments["indices"]:
        # A computed index steers the outputs that were read with it; a known one depends on nothing.
        if index is None or call.values(index) is not None:
            continue
        lined_up = (*at.picked, *(1,) * len(at.tail))
        flows.append(Flow(index.slot, 0, (Expand(at.picked), Reshape(lined_up), Expand(out))))
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
            mask = call.values(index) if index.rank else None  # a single truth adds an axis, and picks none
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


def along_an_axis(rule: Rule) -> Rule:
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


def line_of(numbers: npt.NDArray[np.generic] | None, axis: int) -> npt.NDArray[np.int64] | None:
    """Return the places along an axis that an index holds, if it is known and the same along all its other axes.

    >>> line_of(np.array([[2, 2], [0, 0]]), 0), line_of(np.array([[2, 1], [0, 0]]), 0)
    (array([2, 0]), None)
    """
    if numbers is None or numbers.size == 0:
        return None
    lines = np.moveaxis(numbers, axis, 0).reshape(numbers.shape[axis], -1).astype(np.int64)
    return lines[:, 0] if (lines == lines[:, :1]).all() else None


def _gather(call: Call) -> OperatorRule:
    """Along one axis the places are in the index; along the others position by position."""
    x, index = call.operand("self"), call.operand("index")
    axis = call.axis()
    out = call.outputs[0]
    steps: list[RelationStep] = [
        Taps(a, listed_taps(np.arange(out[a]), x.shape[a])) for a in range(x.rank) if a != axis and out[a] != x.shape[a]
    ]
    line = line_of(call.values(index), axis)
    if line is not None and 0 not in x.shape:
        taken = Taps(axis, listed_taps(line % x.shape[axis], x.shape[axis]))
        return OperatorRule("gather", (Flow(x.slot, 0, (*steps, taken)), Flow(index.slot)))
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


def _packed(call: Call) -> OperatorRule:
    """Describe sequences of several lengths, packed: which steps are rows of the result, the lengths decide."""
    x, lengths = call.operands
    rows, sizes = call.outputs
    steps = (Mix(0, 1), Mix(1, 1), Reshape((1, *rows[1:])), Expand(rows))
    steered = Flow(lengths.slot, 0, anywhere(lengths, rows))
    counted = Flow(lengths.slot, 1, (Mix(0, sizes[0]),))
    return OperatorRule("pack_sequence", (Flow(x.slot, 0, steps, ReachStatus.DATA_DEPENDENT), steered, counted))


RULES: Mapping[str, Rule] = {
    "index": _index,
    "_unsafe_index": _index,
    "index_select": along_an_axis(_index_select),
    "gather": along_an_axis(_gather),
    "take_along_dim": along_an_axis(_gather),
    "embedding": _embedding,
    "_pack_padded_sequence": _packed,
    **dict.fromkeys(("masked_select", "nonzero", "masked_scatter", "take", "histc", "torchvision::nms"), _masked),
    "torchvision::roi_align": _roi_align,
    **dict.fromkeys(("_unique", "_unique2", "unique_dim", "unique_consecutive"), _unique),
}
