"""Receptive fields of every value in one pass over a Graph: which input positions each position depends on.

Per value and input axis the pass carries intervals `lo[u], hi[u]`, in arrays that have the value's rank and size 1
wherever they do not vary. So channels keep their own fields through concatenation and groups, for nothing where they
agree. Two forms run side by side: the *clipped* field, the pixels of this image, and the *endless* field, as if the
image had no borders: that is the one the literature quotes (427 for ResNet-50 on 224 pixels).

Composition of relations distributes over the union of branches, so one topological pass is exact in its ends and
linear in the edges: paths are never enumerated. Holes inside an interval are computed by `graph.reach_walk`.

Source: Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks" (Distill, 2019) for
chains; Luo et al. (2016) for the effective field.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from convscope.geometry.relation import Concat, ReachStatus, RelationStep
from convscope.graph.axes import sources_of
from convscope.graph.branches import ReachPart, union
from convscope.graph.circular import circular_pads, same_inside
from convscope.graph.intervals import walk
from convscope.graph.local_field import broadcasts, without_statistics
from convscope.graph.narrowest import narrowest
from convscope.graph.reach import AxisReach, itself, nothing
from convscope.graph.records import Graph, Node
from convscope.graph.vocabulary import NORMALIZATIONS

# (source value, axis of that value)
Source = tuple[int, int]


class Reaches:
    """The receptive fields of every value of a graph; made by `propagate`."""

    def __init__(
        self, graph: Graph, sources: tuple[Source, ...], *, local: bool = False, smallest: bool = False
    ) -> None:
        self.graph = graph
        self.sources = sources
        self.local, self.smallest = local, smallest
        # With `local`: what is the same at all positions, since it was broadcast once no position was left.
        self._broadcast: set[tuple[int, Source]] = set()
        self.gates: set[tuple[int, int]] = set()  # (node, value): ways that were left out
        self._fields: list[dict[Source, AxisReach]] = [{} for _ in graph.values]

    def of(self, value: int, source: Source | None = None) -> AxisReach | None:
        """Return the reach of a value along a source axis, by default the first; None if it depends on nothing."""
        return self._fields[value].get(source or self.sources[0])

    def axes_of(self, value: int) -> dict[Source, AxisReach]:
        """Return the reach of a value along every source axis that it depends on."""
        return dict(self._fields[value])

    def _visit(self, node: Node) -> None:
        if node.paths is None:
            self._spread_unknown(node)
            return
        arriving: dict[int, dict[Source, list[ReachPart]]] = {}
        gates: dict[tuple[int, Source], list[tuple[int, ReachPart]]] = {}
        for path in node.paths:
            fields = self._fields[path.source]
            if not fields:
                continue
            steps = path.steps
            place = steps[-1] if steps and isinstance(steps[-1], Concat) else None
            moving = steps[:-1] if place else steps
            shape = self.graph.shape(path.source)
            at_output = arriving.setdefault(path.output, {})
            for source, field in fields.items():
                if self.local and node.op in NORMALIZATIONS:
                    moving = without_statistics(field, steps, shape)
                moved = walk(field, moving, shape, smallest=self.smallest) if moving else field
                if moved is None:
                    continue
                if path.status > moved.status:
                    moved = replace(moved, status=path.status)
                if self.local and ((path.source, source) in self._broadcast or broadcasts(moved, moving, shape)):
                    gates.setdefault((path.output, source), []).append((path.source, (moved, place)))
                else:
                    at_output.setdefault(source, []).append((moved, place))
        for (output, source), left in gates.items():
            if source in arriving[output]:
                self.gates.update((node.index, value) for value, _ in left)
            else:
                arriving[output][source] = [part for _, part in left]
                self._broadcast.add((output, source))
        for output, by_source in arriving.items():
            known, shape = self._fields[output], self.graph.shape(output)
            joined = narrowest if self.smallest else union
            for source, parts in by_source.items():
                alone = len(parts) == 1 and parts[0][1] is None  # as nearly all are
                known.setdefault(source, parts[0][0] if alone else joined(parts, shape))

    def _pad(self, padded: int, source: int, steps: tuple[RelationStep, ...]) -> None:
        """Give a circular padding its field without borders, if the parts written are such a padding."""
        for key, known in self._fields[padded].items():
            field = self._fields[source].get(key)
            whole = None if field is None else walk(field, steps, self.graph.shape(source))
            if whole is not None and whole.endless and known.status is whole.status and same_inside(known, whole):
                self._fields[padded][key] = whole

    def _spread_unknown(self, node: Node) -> None:
        touched = {source for value in node.inputs for source in self._fields[value]}
        for output in node.outputs:
            unknown = nothing(len(self.graph.shape(output)), ReachStatus.UNKNOWN)
            for source in touched:
                self._fields[output].setdefault(source, unknown)


def propagate(
    graph: Graph, *, sources: Iterable[Source] | None = None, local: bool = False, smallest: bool = False
) -> Reaches:
    """Receptive fields of every value.

    Args:
        graph: a captured network.
        sources: (value, axis) pairs to measure against; every input's axes of positions unless given.
            Any value can be a source: that answers layer-to-layer questions.
        local: apart from gates and normalization, as `graph.local_field` defines it.
        smallest: along the smallest path alone, as `graph.smallest_path` defines it, instead of the union of all.

    Returns:
        The fields by value; `graph.receptive_field.summarise` turns one into size, stride and start.
    """
    if sources is None:
        sources = [source for value in graph.inputs for source in sources_of(graph, value)]
    reaches = Reaches(graph, tuple(sources), local=local, smallest=smallest)
    for value, axis in reaches.sources:
        if 0 in graph.shape(value):
            continue  # nothing to read
        reaches._fields[value][value, axis] = itself(graph.shape(value), axis)
    pads = circular_pads(graph)
    for node in graph.nodes:
        reaches._visit(node)
        if pads and node.outputs and node.outputs[0] in pads:
            reaches._pad(node.outputs[0], *pads[node.outputs[0]])
    return reaches
