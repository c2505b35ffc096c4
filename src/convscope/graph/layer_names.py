"""Layers and their names: what `inspect`, `field`, `explain`, `audit` and the warnings print, and take.

A layer is one call of a leaf module, named by the module's path, or one operation that the forward pass of a larger
module wrote itself, named "module:operation". From the second of a name on it is numbered, "conv#2". A leaf module is
one inside which no other module computed anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from convscope.errors import CaptureError, did_you_mean
from convscope.graph.records import Graph, Node, reached_values
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
        layers.append(LayerNodes(name, op, kind, nodes, main, whole, _output(nodes, main)))
    return tuple(layers)


class LayerNames:
    """The names of a graph's layers and of all its operations, and the way back from a name.

    The operation that makes a layer's output has the layer's name: "layer1.0.conv1", "layer1.0:add". The layer's other
    operations are named after the module and themselves, "pool1:max_pool", from the second of a name on numbered.

    Args:
        graph: a captured network.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.layers = layers_of(graph)
        # What is computed from weights alone (a transposed weight) has no name of its own.
        self.nodes = [
            node for node in graph.nodes if any(graph.values[output].kind == "activation" for output in node.outputs)
        ]
        self._layer_of = {node.index: layer for layer in self.layers for node in layer.nodes}
        self._names: dict[int, str] = {}
        for layer in self.layers:
            producer = graph.values[layer.output].producer
            if producer is not None:
                self._names[producer] = layer.name
        taken = set(self._names.values())
        for node in self.nodes:
            if node.index not in self._names:
                plain = f"{node.module}:{node.op}" if node.module else node.op
                name, number = plain, 1
                while name in taken:
                    number += 1
                    name = f"{plain}#{number}"
                taken.add(name)
                self._names[node.index] = name
        self._by_name = {name: index for index, name in self._names.items()}
        self._inputs = {graph.values[value].name: value for value in graph.inputs}

    def of_node(self, node: Node) -> str:
        """Return the name of an operation."""
        return self._names.get(node.index, node.module or node.op)

    def of_layer(self, node: Node) -> str:
        """Return the name of the layer that an operation computes alone, or else the operation's own name."""
        layer = self._layer_of.get(node.index)
        return layer.name if layer is not None and layer.main is node and not layer.composite else self.of_node(node)

    def of_value(self, value: int) -> str:
        """Return the name of what made a value: a layer, an operation, the input's own name, or a parameter's."""
        record = self.graph.values[value]
        return record.name if record.producer is None else self.of_node(self.graph.nodes[record.producer])

    def layer_of(self, node: Node) -> LayerNodes | None:
        """Return the layer that an operation is part of; None where it does not depend on the input."""
        return self._layer_of.get(node.index)

    def find_layer(self, name: str) -> LayerNodes:
        """Return the layer of a name, or that an operation of the name is part of.

        A module with several layers means the last of them, and "conv#1" means "conv".

        Raises:
            CaptureError: there is no such layer; the message has the nearest names.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        if name in self._by_name:
            node = self.graph.nodes[self._by_name[name]]
            if node.index in self._layer_of:
                return self._layer_of[node.index]
            if node.module:  # a weight that is transposed before its module's layer uses it
                return self.find_layer(node.module)
        plain, _, call = name.partition("#")
        if call == "1":
            return self.find_layer(plain)
        inside = [x for x in self.layers if x.main.module == name or (name and x.main.module.startswith(f"{name}."))]
        if inside:
            return inside[-1]
        names = [layer.name for layer in self.layers]
        modules = [module.path for module in self.graph.modules if module.path and module.calls]
        known = dict.fromkeys([*modules, *names, *self._by_name])
        inner = [path for path in known if path.endswith(f".{name}")]
        if name in self._inputs:
            hint = " It is an input, whose receptive field is itself: name a layer."
        elif inner:
            hint = f" Give the whole path: {', '.join(inner[:3])}{', ...' if len(inner) > 3 else '.'}"
        elif not (hint := did_you_mean(name, known)):
            hint = f" Its layers: {', '.join(names[:LISTED])}{', ...' if len(names) > LISTED else '.'}"
        raise CaptureError(f"{self.graph.name} has no layer {name!r}.{hint}")

    def find(self, name: str) -> int:
        """Return the output of the layer or operation of a name, as an index into `Graph.values`.

        Raises:
            CaptureError: there is no such layer; the message has the nearest names.
        """
        if name in self._by_name:
            node = self.graph.nodes[self._by_name[name]]
            layer = self._layer_of.get(node.index)
            if layer is None or layer.name != name:
                return node.outputs[0]
        return self.find_layer(name).output

    def find_source(self, name: str) -> int:
        """Return what `find` returns, or the input of that name where no layer has it."""
        return self._inputs[name] if name in self._inputs and name not in self._by_name else self.find(name)


def find(graph: Graph, name: str) -> int:
    """Return the output of the layer or operation of a name; see `LayerNames.find`."""
    return LayerNames(graph).find(name)


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
    """Yield a leaf module's call is one layer if one of its operations computes; else every operation is."""
    computing = [node for node in nodes if node.op not in MOVES]
    if leaf and nodes[0].module and (len(computing) <= 1 or kind in COMPOSITES):
        yield nodes, computing[0] if computing else nodes[-1], True
        return
    for node in nodes:
        if node.op not in COPIES:
            yield (node,), node, False


def _output(nodes: Sequence[Node], main: Node) -> int:
    """Return the layer's output: of one computing operation its first output, brought to its shape by those after it.

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
