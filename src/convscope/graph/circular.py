"""Circular padding: one map that is written in parts (memory, the middle, each border), or borders put beside it.

Inside the image the parts say all there is. Without borders a circular padding is like any other: the field goes on
beyond the ends as the windows do, which parts that are copied from the other end can't say.
"""

from __future__ import annotations

from collections.abc import Iterator

from convscope.geometry.relation import RelationStep, Taps
from convscope.geometry.taps import pad_taps
from convscope.graph.conforming import conformed
from convscope.graph.reach import AxisReach
from convscope.graph.records import Graph, Node

_WRITES = frozenset({"slice", "copy", "slice_scatter"})

CircularPads = dict[int, tuple[int, tuple[RelationStep, ...]]]
"""Padded map -> (the map that is padded, the steps of its padding)."""


def circular_pads(graph: Graph) -> CircularPads:
    """Return what could be circular paddings of a graph, by the maps that could be theirs."""
    found: CircularPads = {}
    for node in graph.nodes:
        if node.op == "concat" and len(node.inputs) in (2, 3):
            found.update(_beside(graph, node))
        if node.op == "new_empty" and node.inputs:
            run = [node, *_writes_after(graph, node)]
            source, padded = node.inputs[0], node.outputs[0]
            shape, wanted = graph.shape(source), graph.shape(padded)
            before = _starts(run)
            if len(shape) == len(wanted):
                steps = tuple(
                    Taps(axis, pad_taps(before.get(axis, 0), size - old - before.get(axis, 0), "circular", old))
                    for axis, (old, size) in enumerate(zip(shape, wanted, strict=True))
                    if old < size
                )
                # Which write is the last is not said; `propagate` takes the one after which both say the same inside.
                writes = (one.outputs[0] for one in run if one.op == "slice_scatter")
                found.update((value, (source, steps)) for value in writes if graph.shape(value) == wanted)
    return found


def _beside(graph: Graph, node: Node) -> CircularPads:
    """Return the padding that a concatenation is, of a map between its own last and first positions."""
    source = next((v for v in node.inputs if any(_cut_of(graph, other) == v for other in node.inputs)), None)
    axis = node.arguments.get("dim", 0)
    if source is None or not isinstance(axis, int) or node.inputs.count(source) != 1:
        return {}
    axis %= len(graph.shape(source))
    sizes = [graph.shape(value)[axis] for value in node.inputs]
    place = node.inputs.index(source)
    pads = pad_taps(sum(sizes[:place]), sum(sizes[place + 1 :]), "circular", sizes[place])
    return {node.outputs[0]: (source, (Taps(axis, pads),))}


def _cut_of(graph: Graph, value: int) -> int | None:
    producer = graph.values[value].producer
    node = None if producer is None else graph.nodes[producer]
    return node.inputs[0] if node is not None and node.op == "slice" else None


def _writes_after(graph: Graph, first: Node) -> Iterator[Node]:
    for node in graph.nodes[first.index + 1 :]:
        if node.op not in _WRITES:
            return
        yield node


def _starts(run: list[Node]) -> dict[int, int]:
    """Return where the middle begins along each axis that is sliced before the first copy."""
    starts: dict[int, int] = {}
    inside = set(run[0].outputs)
    for node in run[1:]:
        if node.op != "slice":
            break
        if node.inputs[0] in inside:
            inside.update(node.outputs)
            axis, start = node.arguments.get("dim"), node.arguments.get("start")
            if isinstance(axis, int) and isinstance(start, int) and start >= 0:
                starts[axis] = start
    return starts


def same_inside(one: AxisReach, other: AxisReach) -> bool:
    """Return whether two reaches of a value say the same inside the source."""
    left, right = conformed([one, other])
    return all(bool((a == b).all()) for a, b in zip(left.clipped, right.clipped, strict=True))
