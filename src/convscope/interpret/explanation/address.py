"""Names for every operation of a Graph, beside those of its layers; the position of a cell by channel and place."""

from __future__ import annotations

from convscope.errors import GeometryError
from convscope.geometry.axis_names import axis_letters
from convscope.graph.layer_names import LayerNodes, find_layer, layers_of
from convscope.graph.records import Graph, Node
from convscope.report.units import plural


class Addresses:
    """Names for the operations of a graph.

    The operation that makes a layer's output has the layer's name, as `convscope inspect` prints it: "layer1.0.conv1",
    "layer1.0:add". The layer's other operations are named after the module and themselves, "pool1:max_pool", from the
    second of a name on numbered.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        # What is computed from weights alone (a transposed weight) is no layer.
        self.nodes = [
            node for node in graph.nodes if any(graph.values[output].kind == "activation" for output in node.outputs)
        ]
        self.layers = layers_of(graph)
        self._layer_of = {node.index: layer for layer in self.layers for node in layer.nodes}
        self._labels: dict[int, str] = {}
        for layer in self.layers:
            producer = graph.values[layer.output].producer
            if producer is not None:
                self._labels[producer] = layer.name
        taken = set(self._labels.values())
        for node in self.nodes:
            if node.index not in self._labels:
                plain = f"{node.module}:{node.op}" if node.module else node.op
                label, number = plain, 1
                while label in taken:
                    number += 1
                    label = f"{plain}#{number}"
                taken.add(label)
                self._labels[node.index] = label
        self._by_label = {label: index for index, label in self._labels.items()}

    def label(self, node: Node) -> str:
        """Return the name of an operation."""
        return self._labels.get(node.index, node.module or node.op)

    def layer_label(self, node: Node) -> str:
        """Return the name of the layer that an operation computes alone, or else the operation's own name."""
        layer = self._layer_of.get(node.index)
        return layer.name if layer is not None and layer.main is node and not layer.composite else self.label(node)

    def layer_of(self, node: Node) -> LayerNodes | None:
        """Return the layer that an operation is part of; None where it does not depend on the input."""
        return self._layer_of.get(node.index)

    def of_value(self, value: int) -> str:
        """Return the name of what made a value: a layer, an operation, the input's own name, or a parameter's."""
        record = self.graph.values[value]
        return record.name if record.producer is None else self.label(self.graph.nodes[record.producer])

    def find(self, name: str) -> int:
        """Return the output of the layer or operation of a name, as an index into `Graph.values`.

        Raises:
            CaptureError: there is no such layer; the message has the nearest names.
        """
        if name in self._by_label:
            node = self.graph.nodes[self._by_label[name]]
            layer = self._layer_of.get(node.index)
            return layer.output if layer is not None and layer.name == name else node.outputs[0]
        return find_layer(self.graph, self.layers, name).output


def cell_position(shape: tuple[int, ...], channel: int, at: tuple[int, ...], *, layer: str) -> tuple[int, ...]:
    """Return the whole position of a cell in a value `(N, C, *S)`, of the first sample.

    Raises:
        GeometryError: the cell is outside the map, or has another number of coordinates; the message has the size.

    >>> cell_position((1, 64, 112, 112), 3, (10, 20), layer="conv1")
    (0, 3, 10, 20)
    >>> cell_position((1, 128, 8000), 3, (10, 20), layer="conv1")
    Traceback (most recent call last):
    ...
    convscope.errors.GeometryError: conv1's map is 8000: say where with 1 number, X, from 0 to 7999; got 2
    """
    if len(shape) < 2:
        raise GeometryError(f"{layer} gives {shape}: there is no channel to choose")
    if not 0 <= channel < shape[1]:
        known = "0" if shape[1] == 1 else f"0 to {shape[1] - 1}"
        raise GeometryError(f"{layer} has {plural(shape[1], 'channel')}, {known}: channel {channel} is outside")
    sizes = shape[2:]
    if len(at) != len(sizes):
        if not sizes:
            raise GeometryError(f"{layer} has {plural(shape[1], 'unit')} and no map: leave the place out")
        if at or not prod_is_one(sizes):
            last = ",".join(str(size - 1) for size in sizes)
            first = ",".join("0" for _ in sizes)
            raise GeometryError(
                f"{layer}'s map is {_by(sizes)}: say where with {plural(len(sizes), 'number')}, "
                f"{axis_letters(len(sizes))}, from {first} to {last}; got {len(at)}"
            )
        at = (0,) * len(sizes)
    if any(not 0 <= place < size for place, size in zip(at, sizes, strict=True)):
        last = ",".join(str(size - 1) for size in sizes)
        raise GeometryError(
            f"{layer}'s map is {_by(sizes)}: {','.join(map(str, at))} is outside; the last cell is {last}"
        )
    return (0, channel, *at)


def prod_is_one(sizes: tuple[int, ...]) -> bool:
    """Return whether a map is a single cell."""
    return all(size == 1 for size in sizes)


def _by(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes))
