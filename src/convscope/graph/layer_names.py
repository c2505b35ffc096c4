"""Layers and their names: the one home of what `inspect`, `field`, `explain`, `audit` and the warnings call a layer.

A layer is one call of a leaf module, named by the module's path, or one operation that the forward pass of a larger
module wrote itself, named "module:operation". From the second of a name on it is numbered, "conv#2". A leaf module is
one inside which no other module computed anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from convscope.errors import CaptureError, did_you_mean
from convscope.graph.records import Graph, Node
from convscope.graph.vocabulary import COMPOSITES, COPIES, MOVES, RENAMED

LISTED = 8


@dataclass(frozen=True, slots=True, eq=False)
class LayerNodes:
    """The operations of one layer, and its name.

    Args:
        name: unique: the module's path, or "path:operation"; "#2" and so on from the second of a name on.
        op: the operation that it is about.
        kind: the module's class; "" for an operation that the forward pass wrote itself.
        nodes: its operations, in the order in which they ran.
        main: the one that computes; the first of several, the last where all of them only move numbers.
        whole: a leaf module's call, rather than one operation of a larger module.
        output: its output, as an index into `Graph.values`.
    """

    name: str
    op: str
    kind: str
    nodes: tuple[Node, ...]
    main: Node
    whole: bool
    output: int

    @property
    def composite(self) -> bool:
        """Whether several of its operations compute, as in a local response normalisation."""
        return sum(node.op not in MOVES for node in self.nodes) > 1


def layers_of(graph: Graph) -> tuple[LayerNodes, ...]:
    """Return the layers of a graph, in the order in which they ran.

    Operations that do not depend on the input (a weight that is transposed before it is used) are in no layer.
    """
    kinds = {module.path: module.kind for module in graph.modules}
    calls: Counter[str] = Counter()
    layers = []
    for nodes, main, whole in _groups(graph, kinds):
        kind = kinds.get(main.module, "") if whole else ""
        op = COMPOSITES.get(kind) or RENAMED.get(kind, main.op)
        plain = main.module if whole else f"{main.module}:{op}" if main.module else op
        calls[plain] += 1
        name = plain if calls[plain] == 1 else f"{plain}#{calls[plain]}"
        layers.append(LayerNodes(name, op, kind, nodes, main, whole, _output(graph, nodes, main)))
    return tuple(layers)


def find_layer(graph: Graph, layers: Sequence[LayerNodes], name: str) -> LayerNodes:
    """Return the layer of a name; a module that holds several layers stands for the last of them.

    Raises:
        CaptureError: there is no such layer; the message has the nearest names.
    """
    for layer in layers:
        if layer.name == name:
            return layer
    plain, _, call = name.partition("#")
    if call == "1":
        return find_layer(graph, layers, plain)
    inside = [x for x in layers if x.main.module == name or (name and x.main.module.startswith(f"{name}."))]
    if inside:
        return inside[-1]
    names = [layer.name for layer in layers]
    modules = [module.path for module in graph.modules if module.path and module.calls]
    hint = did_you_mean(name, dict.fromkeys([*modules, *names]))
    if not hint:
        hint = f" Its layers: {', '.join(names[:LISTED])}{', ...' if len(names) > LISTED else ''}."
    raise CaptureError(f"{graph.name} has no layer {name!r}.{hint}")


def reached_values(graph: Graph) -> list[bool]:
    """Return, for every value of a graph, whether it depends on an input."""
    reached = [value.kind == "input" for value in graph.values]
    for node in graph.nodes:
        if any(reached[value] for value in node.inputs):
            for output in node.outputs:
                reached[output] = True
    return reached


def _groups(graph: Graph, kinds: Mapping[str, str]) -> Iterable[tuple[tuple[Node, ...], Node, bool]]:
    reached = reached_values(graph)
    nodes = [node for node in graph.nodes if any(reached[value] for value in node.inputs)]
    modules = {node.module for node in nodes}
    inner = {module[:i] for module in modules for i, c in enumerate(module) if c == "."} | (
        {""} if modules - {""} else set()
    )
    start = 0
    while start < len(nodes):
        first = nodes[start]
        stop = start + 1
        if first.module not in inner:
            while stop < len(nodes) and (nodes[stop].module, nodes[stop].call) == (first.module, first.call):
                stop += 1
        yield from _split(tuple(nodes[start:stop]), first.module not in inner, kinds.get(first.module, ""))
        start = stop


def _split(nodes: tuple[Node, ...], leaf: bool, kind: str) -> Iterator[tuple[tuple[Node, ...], Node, bool]]:
    """A leaf module's call is one layer if one of its operations computes; else every operation is."""
    computing = [node for node in nodes if node.op not in MOVES]
    if leaf and nodes[0].module and (len(computing) <= 1 or kind in COMPOSITES):
        yield nodes, computing[0] if computing else nodes[-1], True
        return
    for node in nodes:
        if node.op not in COPIES:
            yield (node,), node, False


def _output(graph: Graph, nodes: Sequence[Node], main: Node) -> int:
    """The layer's output: of one computing operation its first output, brought to its shape by those after it.

    The last operation will not do: a `MaxPool1d` squeezes its maxima first and their indices last.
    """
    last = nodes[-1]
    if main.op in MOVES or sum(node.op not in MOVES for node in nodes) > 1 or not main.outputs:
        return last.outputs[0] if last.outputs else main.inputs[0]
    output = main.outputs[0]
    for node in nodes:
        if node.index > main.index and node.outputs and output in node.inputs:
            output = node.outputs[0]
    return output
