"""Which pixels, exactly: the field of one cell as a picture, holes and all, by walking a Graph backward.

`graph.propagate` computes the ends of every field at once, this module the inside of one: the plus of a 1x7 and
a 7x1, the grid of dilated taps, how often each pixel is used, and, walking forward, what one pixel can change.

A walk carries one array per value, with size 1 along every axis where nothing varies, so 2,048 channels that agree
cost as much as one. Three measures are carried the same way:

- "reads": whether there is any way from the pixel to the cell;
- "paths": how many ways there are, which is the gradient when every weight is 1 and nothing is nonlinear; where they
  are more than float64 holds, all of them are divided by a power of two, which `ReachWalk.halvings` says;
- "share": the cell's value as an average of averages, so the shares of one cell add up to 1, less what fell on
  padding. With equal weights this is the effective receptive field.

Source: Luo, Li, Urtasun and Zemel, "Understanding the effective receptive field" (2016), section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from convscope.arrays import Shape
from convscope.errors import GeometryError
from convscope.geometry.relation import (
    Concat,
    Expand,
    Mix,
    Permute,
    ReachStatus,
    RelationStep,
    Reshape,
    Taps,
    shape_after,
    spread_reshape,
)
from convscope.geometry.taps import TapTable
from convscope.graph.axes import value_axes
from convscope.graph.boxes import WalkBox, before_step, in_box, in_full, joined_boxes
from convscope.graph.records import Graph

Measure = Literal["reads", "paths", "share"]
Field = npt.NDArray[np.floating[Any]]

# Counts above 2 to this power are halved as often: the largest float64 is just below 2 to the power of 1024.
_HALVINGS = 900


class ReachWalk:
    """What a walk through a graph found: an array per value, in the value's shape, and how far to trust it."""

    def __init__(self, graph: Graph, measure: Measure) -> None:
        self.graph = graph
        self.measure = measure
        # How often the counts of "paths" were halved.
        self.halvings = 0
        self._arrays: dict[int, Field] = {}
        self._boxes: dict[int, WalkBox] = {}  # of arrays that are 0 outside of a part of the value
        self._status: dict[int, ReachStatus] = {}

    def status(self, value: int) -> ReachStatus:
        """Return the worst status met on the way to this value."""
        return self._status.get(value, ReachStatus.EXACT)

    def of(self, value: int) -> npt.NDArray[np.float64]:
        """Return the array of a value, in full: 0 or 1 for "reads", counts for "paths", fractions for "share"."""
        shape = self.graph.shape(value)
        array = self._whole(value)
        return np.zeros(shape) if array is None else np.array(np.broadcast_to(array, shape))

    def mask(self, value: int, positions: Sequence[int] | None = None) -> npt.NDArray[np.bool_]:
        """Return the positions of a value that take part in any sample and channel: (H, W) of (N, C, H, W).

        Args:
            value: as an index into `Graph.values`.
            positions: its axes of positions, such as those of `LayerAxes`; those of `value_axes` unless given.
        """
        return np.asarray(self.of(value).any(axis=self._others(value, positions)))

    def along(self, value: int, axis: int) -> npt.NDArray[np.bool_]:
        """Return the positions along one axis of a value that take part, at any position of the others."""
        array = self._whole(value)
        size = self.graph.shape(value)[axis]
        if array is None:
            return np.zeros(size, dtype=np.bool_)
        others = tuple(a for a in range(array.ndim) if a != axis)
        return np.broadcast_to(np.asarray((array > 0).any(axis=others)), (size,))

    def map(self, value: int, positions: Sequence[int] | None = None) -> npt.NDArray[np.float64]:
        """Return the measure summed over samples and channels, (H, W) of (N, C, H, W); `positions` as of `mask`."""
        return np.asarray(self.of(value).sum(axis=self._others(value, positions)))

    def _others(self, value: int, positions: Sequence[int] | None) -> tuple[int, ...]:
        """Return the axes of a value that hold no positions; none of a vector, whose elements are all shown."""
        positions = value_axes(self.graph, value).positions if positions is None else positions
        return tuple(a for a in range(len(self.graph.shape(value))) if positions and a not in positions)

    def _whole(self, value: int) -> Field | None:
        array = self._arrays.get(value)
        return array if array is None else in_full(array, self._boxes[value], self.graph.shape(value))

    def _add(self, value: int, array: Field, status: ReachStatus, box: WalkBox | None = None) -> None:
        known, shape = self._arrays.get(value), self.graph.shape(value)
        box = (None,) * len(shape) if box is None else box
        if known is not None:
            wider = joined_boxes(self._boxes[value], box)
            known, array = in_box(known, self._boxes[value], wider, shape), in_box(array, box, wider, shape)
            array, box = np.maximum(known, array) if self.measure == "reads" else known + array, wider
        self._arrays[value], self._boxes[value] = array, box
        self._status[value] = max(status, self.status(value))
        if self.measure == "paths" and array.size and array.max() > 2.0**_HALVINGS:
            self._arrays = {index: held * 2.0**-_HALVINGS for index, held in self._arrays.items()}
            self.halvings += _HALVINGS


Position = tuple[int | None, ...]
"""A cell, one index per axis; None stands for every index along that axis."""


def walk_back(graph: Graph, value: int, position: Position | None = None, *, measure: Measure = "reads") -> ReachWalk:
    """Walk back from one cell of a value (or from all of them) to everything that it depends on.

    Args:
        graph: a captured network.
        value: index of the value that holds the cell.
        position: the cell, one index per axis, batch and channel included; None for one axis stands for all of it,
            and None for the position starts from every cell at once.
        measure: "reads", "paths" or "share".

    Returns:
        The walk; `.mask(graph.inputs[0])` is the field in the image, and any value on the way can be asked for.

    Raises:
        GeometryError: the position is outside the value.
    """
    walk = ReachWalk(graph, measure)
    walk._add(value, *_start(graph.shape(value), position))
    producer = graph.values[value].producer
    if producer is None:
        return walk
    for node in reversed(graph.nodes[: producer + 1]):
        touched = [output for output in node.outputs if output in walk._arrays]
        if not touched:
            continue
        if node.paths is None:
            for source in node.inputs:
                if graph.values[source].kind in ("activation", "input"):
                    walk._add(source, np.ones((1,) * len(graph.shape(source))), ReachStatus.UNKNOWN)
            continue
        for path in node.paths:
            if path.output in walk._arrays:
                status = max(path.status, walk.status(path.output))
                found = _back_in_box(
                    walk._arrays[path.output],
                    walk._boxes[path.output],
                    path.steps,
                    graph.shape(path.source),
                    measure,
                )
                if found is None:
                    walk._status[path.source] = max(status, walk.status(path.source))
                else:
                    walk._add(path.source, found[0], status, found[1])
    return walk


def walk_on(graph: Graph, value: int, position: Position | None = None, *, measure: Measure = "reads") -> ReachWalk:
    """Walk forward from one cell of a value to everything that depends on it: the projective field.

    Arguments and errors as for `walk_back`; "share" is not offered, since it has no meaning forward.
    """
    walk = ReachWalk(graph, measure)
    cell, status, box = _start(graph.shape(value), position)
    walk._add(value, in_full(cell, box, graph.shape(value)), status)
    for node in graph.nodes:
        touched = [source for source in node.inputs if source in walk._arrays]
        if not touched:
            continue
        if node.paths is None:
            for output in node.outputs:
                walk._add(output, np.ones((1,) * len(graph.shape(output))), ReachStatus.UNKNOWN)
            continue
        for path in node.paths:
            if path.source in walk._arrays and path.output != value:
                array = step_on(walk._arrays[path.source], path.steps, graph.shape(path.source), measure)
                walk._add(path.output, array, max(path.status, walk.status(path.source)))
    return walk


def _start(shape: Shape, position: Position | None) -> tuple[Field, ReachStatus, WalkBox]:
    cell: Field = np.ones((1,) * len(shape))
    if position is None:
        return cell, ReachStatus.EXACT, (None,) * len(shape)
    inside = len(position) == len(shape) and all(
        p is None or 0 <= p < size for p, size in zip(position, shape, strict=True)
    )
    if not inside:
        raise GeometryError(f"cell {position} is outside a map of shape {shape}: give one index per axis, from 0")
    return cell, ReachStatus.EXACT, tuple(None if p is None else (p, p + 1) for p in position)


def _shapes(steps: tuple[RelationStep, ...], shape: Shape) -> list[Shape]:
    shapes = [shape]
    for step in steps:
        shapes.append(shape_after(step, shapes[-1]))
    return shapes


# --- one step backward --------------------------------------------------------------------------------------------


def _back_in_box(
    array: Field, box: WalkBox, steps: tuple[RelationStep, ...], source_shape: Shape, measure: Measure
) -> tuple[Field, WalkBox] | None:
    """Return the array of an operation's input and its box; None where nothing of the input is read."""
    steps = _mixes_last(steps)
    shapes = _shapes(steps, source_shape)
    for step, before, after in zip(reversed(steps), reversed(shapes[:-1]), reversed(shapes[1:]), strict=True):
        found = before_step(step, array, box, before, after)
        if found is None:
            return None
        array, inner, inner_before, inner_after, box = found
        if inner is not None:
            array = _back_through(array, inner, inner_before, inner_after, measure)
    return array, box


def step_back(array: Field, steps: tuple[RelationStep, ...], source_shape: Shape, measure: Measure) -> Field:
    """Return the array of an operation's input from that of its output, which depends on it by these steps."""
    steps = _mixes_last(steps)
    shapes = _shapes(steps, source_shape)
    for step, before, after in zip(reversed(steps), reversed(shapes[:-1]), reversed(shapes[1:]), strict=True):
        array = _back_through(array, step, before, after, measure)
    return array


def _mixes_last(steps: tuple[RelationStep, ...]) -> tuple[RelationStep, ...]:
    """Return the same relation with its mixes last, if all steps are along different axes and therefore commute.

    A mix over channels, undone first, leaves one channel to spread along the other axes where there were hundreds.
    """
    axes = [step.axis for step in steps if isinstance(step, Taps | Mix)]
    if len(axes) < len(steps) or len(set(axes)) < len(axes):
        return steps
    return tuple(sorted(steps, key=lambda step: isinstance(step, Mix)))


def _scatter(array: Field, table: TapTable, measure: Measure) -> Field:
    """Map (..., output positions) to (..., input positions): every output position adds to those that it reads."""
    if measure == "share":
        array = array / np.maximum(table.taps_per_row, 1.0)
    read = np.zeros((*array.shape[:-1], table.input_size + 1), dtype=array.dtype)
    for column, distinct in table.columns:
        if distinct:
            read[..., column] += array
        else:
            np.add.at(np.moveaxis(read, -1, 0), column, np.moveaxis(array, -1, 0))
    return read[..., :-1]


def _back_through(array: Field, step: RelationStep, before: Shape, after: Shape, measure: Measure) -> Field:
    match step:
        case Taps(axis, table):
            if table.identity or (measure == "reads" and array.shape[axis] == 1 and not table.never_read()):
                return array  # read all along the axis, and every position has a reader: nothing varies before either
            return _settle(_along(array, axis, after[axis], lambda a: _scatter(a, table, measure)), measure)
        case Mix(axis, size, groups):
            members = before[axis] // groups
            collected = _collect(array, axis, size, groups, measure)
            if measure == "share":
                collected = collected / members
            return collected if collected.shape[axis] == 1 else collected.repeat(members, axis=axis)
        case Permute(order):
            return array.transpose([order.index(axis) for axis in range(len(order))])
        case Reshape():
            return spread_reshape(array, after, before)
        case Expand():
            added = len(after) - len(before)
            for axis in range(len(after)):
                if axis < added or before[axis - added] != after[axis]:
                    array = _collect(array, axis, after[axis], 1, measure)
            return array.reshape(array.shape[added:])
        case Concat(axis, offset, length, _):
            return array if array.shape[axis] == 1 else array.take(range(offset, offset + length), axis=axis)


# --- one step forward ---------------------------------------------------------------------------------------------


def step_on(array: Field, steps: tuple[RelationStep, ...], source_shape: Shape, measure: Measure) -> Field:
    """Return the array of an operation's output from that of its input, on which it depends by these steps."""
    for step, before in zip(steps, _shapes(steps, source_shape), strict=False):
        array = _on_through(array, step, before, measure)
    return array


def _pick(array: Field, table: TapTable) -> Field:
    """Map (..., input positions) to (..., output positions): every output position adds up those that it reads."""
    padded = np.concatenate([array, np.zeros((*array.shape[:-1], 1), dtype=array.dtype)], axis=-1)
    picked = np.zeros((*array.shape[:-1], table.output_size), dtype=array.dtype)
    for column, _ in table.columns:
        picked += padded[..., column]
    return picked


def _on_through(array: Field, step: RelationStep, before: Shape, measure: Measure) -> Field:
    match step:
        case Taps(axis, table):
            if table.identity:
                return array
            return _settle(_along(array, axis, before[axis], lambda a: _pick(a, table)), measure)
        case Mix(axis, size, groups):
            collected = _collect(array, axis, before[axis], groups, measure)
            return collected if collected.shape[axis] == 1 else collected.repeat(size // groups, axis=axis)
        case Permute(order):
            return array.transpose(order)
        case Reshape(new):
            return spread_reshape(array, before, new)
        case Expand(new):
            return array.reshape((1,) * (len(new) - len(before)) + array.shape)
        case Concat(axis, offset, length, size):
            placed = np.zeros((*array.shape[:axis], size, *array.shape[axis + 1 :]), dtype=array.dtype)
            placed[(slice(None),) * axis + (slice(offset, offset + length),)] = array
            return placed


# --- shared -------------------------------------------------------------------------------------------------------


def _along(array: Field, axis: int, size: int, change: Callable[[Field], Field]) -> Field:
    """Apply a matrix along one axis, written out first where it did not vary."""
    if array.shape[axis] != size:
        array = np.broadcast_to(array, (*array.shape[:axis], size, *array.shape[axis + 1 :]))
    return change(array.swapaxes(axis, -1)).swapaxes(axis, -1)


def _collect(array: Field, axis: int, size: int, groups: int, measure: Measure) -> Field:
    """Everything along an axis of `size` positions together, per group: any of it, or the sum of it."""
    if array.shape[axis] == 1:
        return array if measure == "reads" else array * (size // groups)
    gather = np.max if measure == "reads" else np.sum
    if groups == 1:
        return np.asarray(gather(array, axis=axis, keepdims=True))
    grouped = array.reshape(*array.shape[:axis], groups, size // groups, *array.shape[axis + 1 :])
    return np.asarray(gather(grouped, axis=axis + 1))


def _settle(array: Field, measure: Measure) -> Field:
    return np.sign(array) if measure == "reads" else array
