"""Names for the layers of a Graph: the module's path where it is enough, and its operation where it is not."""

from __future__ import annotations

from collections import Counter

from convscope.errors import CaptureError, GeometryError, did_you_mean
from convscope.graph.records import Graph, Node

LISTED = 8


class Addresses:
    """What to call each node of a graph, and which node a name means.

    A module that runs one operation lends it its path, "layer1.0.conv1"; where it runs several the operation is named
    too, "layer1.0:add", and from the second of a kind on numbered, "layer1.0:add#2".
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        # What is computed from weights alone (a transposed weight) is no layer.
        self.nodes = [
            node for node in graph.nodes if any(graph.values[output].kind == "activation" for output in node.outputs)
        ]
        runs = Counter(node.module for node in self.nodes)
        seen: Counter[str] = Counter()
        self._labels: dict[int, str] = {}
        for node in self.nodes:
            label = node.module
            if runs[node.module] > 1 or not label:
                label = f"{node.module}:{node.op}" if node.module else node.op
            seen[label] += 1
            self._labels[node.index] = label if seen[label] == 1 else f"{label}#{seen[label]}"
        self._by_label = {label: index for index, label in self._labels.items()}

    def label(self, node: Node) -> str:
        """The name of a node."""
        return self._labels.get(node.index, node.module or node.op)

    def of_value(self, value: int) -> str:
        """The name of what made a value: a layer, the input's own name, or a parameter's."""
        record = self.graph.values[value]
        return record.name if record.producer is None else self.label(self.graph.nodes[record.producer])

    def find(self, name: str) -> Node:
        """The node of a name; of a module that holds several, the one that made its output; "conv#2" is a second call.

        Raises:
            CaptureError: there is no such layer; the message has the nearest names.
        """
        if name in self._by_label:
            return self.graph.nodes[self._by_label[name]]
        module, _, call = name.partition("#")
        inside = [node for node in self.graph.nodes_of(module) if node.index in self._labels] if module else []
        if call:
            # "conv#2" is the second call of a module, as `convscope inspect` names it.
            inside = [node for node in inside if node.module == module and str(node.call + 1) == call]
        if inside:
            return inside[-1]
        known = [*self._by_label, *(m.path for m in self.graph.modules if m.path and m.calls)]
        hint = did_you_mean(name, dict.fromkeys(known))
        if not hint:
            some = list(self._by_label)[:LISTED]
            hint = f" Its layers: {', '.join(some)}{', ...' if len(self._by_label) > LISTED else ''}."
        raise CaptureError(f"{self.graph.name} has no layer {name!r}.{hint}")


def cell_position(shape: tuple[int, ...], channel: int, at: tuple[int, ...], *, layer: str) -> tuple[int, ...]:
    """The whole position of a cell in a value `(N, C, *S)`, of the first sample.

    Raises:
        GeometryError: the cell is outside the map, or has another number of coordinates; the message has the size.

    >>> cell_position((1, 64, 112, 112), 3, (10, 20), layer="conv1")
    (0, 3, 10, 20)
    >>> cell_position((1, 64, 112, 112), 64, (10, 20), layer="conv1")
    Traceback (most recent call last):
    ...
    convscope.errors.GeometryError: conv1 has 64 channels, 0 to 63: channel 64 is outside
    """
    if len(shape) < 2:
        raise GeometryError(f"{layer} gives {shape}: there is no channel to choose")
    if not 0 <= channel < shape[1]:
        raise GeometryError(f"{layer} has {shape[1]} channels, 0 to {shape[1] - 1}: channel {channel} is outside")
    sizes = shape[2:]
    if len(at) != len(sizes):
        if not sizes:
            raise GeometryError(f"{layer} has {shape[1]} units and no map: leave the place out")
        if prod_is_one(sizes) and not at:
            at = (0,) * len(sizes)
        else:
            raise GeometryError(
                f"{layer}'s map is {_by(sizes)}: say where with {len(sizes)} numbers, "
                f"{'y,x' if len(sizes) == 2 else 'one per axis'}; got {len(at)}"
            )
    if any(not 0 <= place < size for place, size in zip(at, sizes, strict=True)):
        last = ",".join(str(size - 1) for size in sizes)
        raise GeometryError(
            f"{layer}'s map is {_by(sizes)}: {','.join(map(str, at))} is outside; the last cell is {last}"
        )
    return (0, channel, *at)


def prod_is_one(sizes: tuple[int, ...]) -> bool:
    """Whether a map is a single cell."""
    return all(size == 1 for size in sizes)


def _by(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes))
