"""Layers and their names: what `inspect`, `field`, `explain`, `audit` and the warnings print, and take.

A layer is one call of a leaf module, named by the module's path, or one operation that the forward pass of a larger
module wrote itself, named "module:operation". From the second of a name on it is numbered, "conv#2". How operations
become layers is decided in `layer_groups`.
"""

from __future__ import annotations

from convscope.errors import CaptureError, did_you_mean
from convscope.graph.layer_groups import LayerNodes, layers_of
from convscope.graph.records import Graph, Node

LISTED = 8


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
        # What is computed from known numbers alone (a transposed weight) has no name of its own.
        self.nodes = [
            node for node in graph.nodes if any(graph.values[output].kind == "activation" for output in node.outputs)
        ]
        self._layer_of = {node.index: layer for layer in self.layers for node in layer.nodes}
        self._prepared_for = {node.index: layer for layer in self.layers for node in layer.prepared}
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
            if node.index in self._prepared_for:  # a weight that is transposed before the layer uses it
                return self._prepared_for[node.index]
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
