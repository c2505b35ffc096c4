"""The reach of every position along one axis of a value, at all other values at once: for tables, in one walk.

A walk (`graph.reach_walk`) answers for one cell. Here one walk carries an axis more, in front, with an entry for each
position along the axis asked for, so that a page can show what any cell depends on, or changes, by looking it up.
What one walk finds is exact along each axis, holes included; a rectangle of two axes is the box around what is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.geometry.relation import Concat, Expand, Mix, Permute, ReachStatus, RelationStep, Reshape, Taps
from convscope.geometry.taps import Positions
from convscope.graph.boxes import Reads
from convscope.graph.reach_walk import step_back, step_on
from convscope.graph.records import Graph, Path

Entries = tuple[int, Positions]
"""An axis, and for each index along it the entry of an array that stands for it."""


@dataclass(frozen=True, eq=False, slots=True)
class AxisHulls:
    """First and last position along an axis of a value, by the positions along another value's; first > last is none.

    Args:
        first: (positions,).
        last: (positions,).
        holes: whether some positions in between are not read.
    """

    first: Positions
    last: Positions
    holes: bool

    @property
    def constant(self) -> bool:
        """Whether all positions have the same."""
        return bool((self.first == self.first[0]).all() and (self.last == self.last[0]).all())


class HullWalk:
    """What each position along one axis of a value reads, or changes; made by `hulls_back` and `hulls_on`.

    An array has the walk's axis in front, and size 1 along axes where nothing varies. Along the axis of a concatenation
    it may have one entry for each part.

    Args:
        graph: a captured network.
        count: positions along the walk's axis.
        beside: whether the value has other axes of positions. Their own walks say what is read along them, so here
            what is the same along an axis stays one number, and positions that no window reads count as read.
    """

    def __init__(self, graph: Graph, count: int, *, beside: bool) -> None:
        self.graph, self.count, self.beside = graph, count, beside
        self._arrays: dict[int, Reads] = {}
        self._entries: dict[int, Entries] = {}
        self._status: dict[int, ReachStatus] = {}
        self._hulls: dict[tuple[int, int, int], AxisHulls] = {}  # by array, all of which are kept, axis and size

    @property
    def values(self) -> tuple[int, ...]:
        """The values that are reached, the start included, as indices into `Graph.values`."""
        return tuple(sorted(self._arrays))

    def reaches(self, value: int) -> bool:
        """Return whether a value is reached."""
        return value in self._arrays

    def status(self, value: int) -> ReachStatus:
        """Return the worst status met on the way to a value."""
        return self._status.get(value, ReachStatus.EXACT)

    def along(self, value: int, axis: int) -> AxisHulls:
        """Return the ends along one axis of a reached value, for each position of the walk's axis."""
        array, entries = self._arrays[value], self._entries.get(value)
        if entries is not None and entries[0] == axis:
            return self._ends(_written_out(array, entries), axis, self.graph.shape(value)[axis])
        # Normalizations and activations hand their array on: it is looked through once.
        key = id(array), axis, (size := self.graph.shape(value)[axis])
        if key not in self._hulls:
            self._hulls[key] = self._ends(array, axis, size)
        return self._hulls[key]

    def _ends(self, array: Reads, axis: int, size: int) -> AxisHulls:
        read = np.asarray((array > 0).any(axis=tuple(at + 1 for at in range(array.ndim - 1) if at != axis)))
        read = np.broadcast_to(read, (read.shape[0], size))
        first, last = read.argmax(axis=1), size - 1 - read[:, ::-1].argmax(axis=1)
        none = ~read.any(axis=1)
        holes = bool((read.sum(axis=1) != last - first + 1)[~none].any())
        first, last = np.where(none, 0, first), np.where(none, -1, last)
        if len(first) < self.count:
            first, last = np.repeat(first, self.count), np.repeat(last, self.count)
        return AxisHulls(first.astype(np.int64), last.astype(np.int64), holes)

    def add(self, value: int, array: Reads, status: ReachStatus, entries: Entries | None = None) -> None:
        """Add what is read of a value in one way to what is in others."""
        self._status[value] = max(status, self.status(value))
        if value in self._arrays:
            array = np.maximum(_written_out(self._arrays[value], self._entries.pop(value, None)),
                               _written_out(array, entries))  # fmt: skip
            entries = None
        self._arrays[value] = array
        if entries is not None:
            self._entries[value] = entries

    def spread(self, reached: Sequence[int]) -> None:
        """Mark values of an operation without a rule as reached everywhere."""
        for value in reached:
            if self.graph.values[value].kind in ("activation", "input"):
                self.add(value, np.ones((1,) * (len(self.graph.shape(value)) + 1), np.float32), ReachStatus.UNKNOWN)

    def back(self, path: Path) -> None:
        """Add what is read of an operation's input."""
        array = self._arrays[path.output]
        steps = self._steps(path.steps, array)
        read = step_back(array, steps, (self.count, *self.graph.shape(path.source)), "reads")
        self.add(path.source, read, max(path.status, self.status(path.output)))

    def on(self, output: int, paths: Sequence[Path]) -> None:
        """Add what is changed of an operation's output, by all ways to it."""
        parts: list[tuple[Reads, Entries | None, Concat]] = []
        for path in paths:
            place = path.steps[-1] if path.steps and isinstance(path.steps[-1], Concat) else None
            array, entries = self._moved(path, path.steps[:-1] if place else path.steps)
            if place is None:
                self.add(output, array, max(path.status, self.status(path.source)), entries)
            else:
                parts.append((array, entries, place))
        if parts:
            array, entries = _side_by_side(parts)
            status = max(max(path.status, self.status(path.source)) for path in paths)
            self.add(output, array, status, entries)

    def _moved(self, path: Path, steps: tuple[RelationStep, ...]) -> tuple[Reads, Entries | None]:
        array, entries = self._arrays[path.source], self._entries.get(path.source)
        shape = self.graph.shape(path.source)
        if entries is not None:
            axis = entries[0]
            for step in steps:
                if isinstance(step, Taps | Mix) and step.axis != axis:
                    continue
                if isinstance(step, Mix) and step.groups == step.size == shape[axis]:
                    continue
                if isinstance(step, Mix) and step.groups == 1:
                    array, entries = array.max(axis=axis + 1, keepdims=True), None
                else:
                    array, entries = _written_out(array, entries), None
                break
            if entries is not None:
                steps = tuple(step for step in steps if not (isinstance(step, Mix) and step.axis == axis))
        return step_on(array, self._steps(steps, array), (self.count, *shape), "reads"), entries

    def _steps(self, steps: tuple[RelationStep, ...], array: Reads) -> tuple[RelationStep, ...]:
        """Return steps on arrays with the walk's axis in front, without those that change nothing of this one."""
        if self.beside and all(isinstance(step, Taps | Mix | Concat) for step in steps):
            steps = tuple(
                step for step in steps
                if not (isinstance(step, Taps) and array.shape[step.axis + 1] == 1 and step.table.inside.any())
            )  # fmt: skip
        return tuple(_after_the_first(self.count, steps))


def hulls_back(
    graph: Graph, value: int, axis: int | None, *, channel: tuple[int, int] | None = None, beside: bool = False
) -> HullWalk:
    """Return what each position along an axis of a value depends on, at every value on the way to the inputs.

    Args:
        graph: a captured network.
        value: the value that holds the cells.
        axis: the axis of the cells; None for all of them as one.
        channel: an axis and the one index along it; all of them unless given.
        beside: see `HullWalk`.
    """
    walk = _started(graph, value, axis, channel, beside)
    producer = graph.values[value].producer
    for node in reversed(graph.nodes[: 0 if producer is None else producer + 1]):
        if not any(map(walk.reaches, node.outputs)):
            continue
        if node.paths is None:
            walk.spread(node.inputs)
        for path in node.paths or ():
            if walk.reaches(path.output):
                walk.back(path)
    return walk


def hulls_on(
    graph: Graph, value: int, axis: int | None, *, channel: tuple[int, int] | None = None, beside: bool = False
) -> HullWalk:
    """Return what each position along an axis of a value can change, at every later value; arguments as above."""
    walk = _started(graph, value, axis, channel, beside)
    for node in graph.nodes:
        if not any(map(walk.reaches, node.inputs)):
            continue
        if node.paths is None:
            walk.spread(node.outputs)
        for output in node.outputs:
            paths = [path for path in node.paths or () if path.output == output and walk.reaches(path.source)]
            if paths and output != value:
                walk.on(output, paths)
    return walk


def _started(graph: Graph, value: int, axis: int | None, channel: tuple[int, int] | None, beside: bool) -> HullWalk:
    shape = graph.shape(value)
    count = 1 if axis is None else shape[axis]
    walk = HullWalk(graph, count, beside=beside)
    cells: Reads = np.ones((count, *(1 for _ in shape)), dtype=np.float32)
    if axis is not None:
        sizes = (count if at == axis else 1 for at in range(len(shape)))
        cells = np.eye(count, dtype=np.float32).reshape(count, *sizes)
    if channel is not None:
        of, number = channel
        one = np.zeros(shape[of], dtype=np.float32)
        one[number] = 1
        cells = cells * one.reshape([-1 if at == of + 1 else 1 for at in range(len(shape) + 1)])
    walk.add(value, cells, ReachStatus.EXACT)
    return walk


def _side_by_side(parts: Sequence[tuple[Reads, Entries | None, Concat]]) -> tuple[Reads, Entries]:
    """Return the parts of a concatenation as one array with an entry or more for each, the last one for what is none.

    Parts may have an entry for each of their indices, or one for all.
    """
    axis, size = parts[0][2].axis, parts[0][2].size
    pieces: list[Reads] = []
    index, count = np.full(size, -1, dtype=np.int64), 0
    for array, entries, place in parts:
        if entries is not None and entries[0] != axis:
            array, entries = _written_out(array, entries), None
        length = array.shape[axis + 1]
        own = np.arange(place.length) if length > 1 else np.zeros(place.length, dtype=np.int64)
        index[place.offset : place.offset + place.length] = count + (own if entries is None else entries[1])
        pieces.append(array)
        count += length
    if (index < 0).any():
        empty = list(pieces[0].shape)
        empty[axis + 1] = 1
        pieces.append(np.zeros(empty, dtype=np.float32))
        index[index < 0] = count
    common = np.broadcast_shapes(*((*p.shape[: axis + 1], 1, *p.shape[axis + 2 :]) for p in pieces))
    full = [np.broadcast_to(p, (*common[: axis + 1], p.shape[axis + 1], *common[axis + 2 :])) for p in pieces]
    return np.concatenate(full, axis=axis + 1), (axis, index)


def _written_out(array: Reads, entries: Entries | None) -> Reads:
    """Return an array with an entry for each index along an axis, or one for all."""
    if entries is None:
        return array
    axis, index = entries
    return array.take(index, axis=axis + 1)


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
