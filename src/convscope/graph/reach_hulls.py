"""The reach of every position along one axis of a value, at all other values at once: from tables, not from walks.

A walk (`graph.reach_walk`) answers for one cell. Here one walk carries an axis more, in front, with an entry for each
position along the axis asked for, so that a page can show what any cell depends on, or changes, by looking it up.
What one walk finds is exact along each axis, holes included; a rectangle of two axes is the box around what is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from convscope.geometry.relation import Concat, Expand, Mix, Permute, ReachStatus, RelationStep, Reshape, Taps
from convscope.graph.reach_walk import step_back, step_on
from convscope.graph.records import Graph, Node, Path

Reads = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class AxisHulls:
    """First and last position along an axis of a value, by the positions along another value's; first > last is none.

    Args:
        first: (positions,).
        last: (positions,).
        holes: whether some positions in between are not read.
    """

    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    holes: bool

    @property
    def constant(self) -> bool:
        """Whether all positions have the same."""
        return bool((self.first == self.first[0]).all() and (self.last == self.last[0]).all())


class HullWalk:
    """What each position along one axis of a value reads, or changes; made by `hulls_back` and `hulls_on`."""

    def __init__(self, graph: Graph, count: int) -> None:
        self.graph, self.count = graph, count
        self._arrays: dict[int, Reads] = {}
        self._status: dict[int, ReachStatus] = {}

    @property
    def values(self) -> tuple[int, ...]:
        """The values that are reached, the start included, as indices into `Graph.values`."""
        return tuple(sorted(self._arrays))

    def status(self, value: int) -> ReachStatus:
        """Return the worst status met on the way to a value."""
        return self._status.get(value, ReachStatus.EXACT)

    def along(self, value: int, axis: int) -> AxisHulls:
        """Return the ends along one axis of a reached value, for each position of the walk's axis."""
        array = self._arrays[value]
        size = self.graph.shape(value)[axis]
        others = tuple(at + 1 for at in range(array.ndim - 1) if at != axis)
        read = np.asarray((array > 0).any(axis=others))
        read = np.broadcast_to(read, (read.shape[0], size))
        first, last = read.argmax(axis=1), size - 1 - read[:, ::-1].argmax(axis=1)
        none = ~read.any(axis=1)
        holes = bool((read.sum(axis=1) != last - first + 1)[~none].any())
        first, last = np.where(none, 0, first), np.where(none, -1, last)
        if len(first) < self.count:
            first, last = np.repeat(first, self.count), np.repeat(last, self.count)
        return AxisHulls(first.astype(np.int64), last.astype(np.int64), holes)

    def _add(self, value: int, array: Reads, status: ReachStatus) -> None:
        known = self._arrays.get(value)
        self._arrays[value] = array if known is None else np.maximum(known, array)
        self._status[value] = max(status, self.status(value))


def hulls_back(graph: Graph, value: int, axis: int | None, *, channel: tuple[int, int] | None = None) -> HullWalk:
    """Return what each position along an axis of a value depends on, at every value on the way to the inputs.

    Args:
        graph: a captured network.
        value: the value that holds the cells.
        axis: the axis of the cells; None for all of them as one.
        channel: an axis and the one index along it; all of them unless given.
    """
    walk = _started(graph, value, axis, channel)
    producer = graph.values[value].producer
    for node in reversed(graph.nodes[: -1 if producer is None else producer + 1] if producer is not None else ()):
        if not any(output in walk._arrays for output in node.outputs):
            continue
        if node.paths is None:
            _spread(walk, node, node.inputs)
            continue
        for path in node.paths:
            if path.output in walk._arrays:
                status = max(path.status, walk.status(path.output))
                shape = (walk.count, *graph.shape(path.source))
                walk._add(path.source, _single(step_back(walk._arrays[path.output], _shifted(walk, path), shape,
                                                         "reads")), status)  # fmt: skip
    return walk


def hulls_on(graph: Graph, value: int, axis: int | None, *, channel: tuple[int, int] | None = None) -> HullWalk:
    """Return what each position along an axis of a value can change, at every later value; arguments as above."""
    walk = _started(graph, value, axis, channel)
    for node in graph.nodes:
        if not any(source in walk._arrays for source in node.inputs):
            continue
        if node.paths is None:
            _spread(walk, node, node.outputs)
            continue
        for path in node.paths:
            if path.source in walk._arrays and path.output != value:
                status = max(path.status, walk.status(path.source))
                shape = (walk.count, *graph.shape(path.source))
                array = step_on(walk._arrays[path.source], _shifted(walk, path), shape, "reads")
                walk._add(path.output, _single(array), status)
    return walk


def _started(graph: Graph, value: int, axis: int | None, channel: tuple[int, int] | None) -> HullWalk:
    shape = graph.shape(value)
    count = 1 if axis is None else shape[axis]
    walk = HullWalk(graph, count)
    cells = np.ones((count, *(1 for _ in shape)), dtype=np.float32)
    if axis is not None:
        cells = np.eye(count, dtype=np.float32).reshape(
            count, *(count if at == axis else 1 for at in range(len(shape)))
        )
    if channel is not None:
        of, number = channel
        one = np.zeros(shape[of], dtype=np.float32)
        one[number] = 1
        cells = cells * one.reshape([-1 if at == of + 1 else 1 for at in range(len(shape) + 1)])
    walk._add(value, cells, ReachStatus.EXACT)
    return walk


def _spread(walk: HullWalk, node: Node, reached: tuple[int, ...]) -> None:
    """Mark values of an operation without a rule as reached everywhere."""
    for value in reached:
        if walk.graph.values[value].kind in ("activation", "input"):
            walk._add(value, np.ones((1, *(1 for _ in walk.graph.shape(value))), np.float32), ReachStatus.UNKNOWN)


def _single(array: npt.NDArray[np.floating]) -> Reads:
    return np.asarray(array, dtype=np.float32)


def _shifted(walk: HullWalk, path: Path) -> tuple[RelationStep, ...]:
    """Return the steps of a path on arrays with the walk's axis in front."""
    return tuple(_after_the_first(walk.count, path.steps))


def _after_the_first(count: int, steps: tuple[RelationStep, ...]) -> Iterator[RelationStep]:
    for step in steps:
        match step:
            case Taps(axis, table):
                yield Taps(axis + 1, table)
            case Mix(axis, size, groups):
                yield Mix(axis + 1, size, groups)
            case Permute(order):
                yield Permute((0, *(at + 1 for at in order)))
            case Reshape(shape):
                yield Reshape((count, *shape))
            case Expand(shape):
                yield Expand((count, *shape))
            case Concat(axis, offset, length, size):
                yield Concat(axis + 1, offset, length, size)
