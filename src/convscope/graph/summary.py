"""Layers: one row per call of a leaf module, or per operation that the forward pass wrote itself.

What weights go through before they are used belongs to the layer that uses them. A shared parameter is counted where it
is used first. What a layer is, and what it is called, is decided in `layer_names`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from convscope.api.public import checked
from convscope.geometry.window import Window
from convscope.graph.layer_names import LayerNodes, layers_of
from convscope.graph.propagate import Source
from convscope.graph.receptive_field import ReceptiveField
from convscope.graph.records import Graph, Node, reached_values
from convscope.report.short_repr import ShortRepr


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Layer(ShortRepr):
    """One layer as it ran.

    Args:
        index: position among the layers, in the order in which they ran.
        name: unique: the module's path, or "path:operation"; "#2" and so on for its later calls.
        module: path of the module.
        call: which call of that module, from 0.
        op: the operation that it is about.
        kind: the module's class; "" for an operation that the forward pass wrote itself.
        nodes: its operations, as indices into `Graph.nodes`.
        inputs: the activations that it reads from other layers, as indices into `Graph.values`.
        output: its first output, as an index into `Graph.values`.
        output_shape: of that output, batch included.
        parameters: elements of the parameters that are first used here.
        buffers: elements of the buffers that are first used here.
        parameter_names: the parameters and buffers used here, also those that an earlier layer used before.
        shares: whether some of them were counted at an earlier layer.
        macs: multiply-adds, the whole batch; None where an operation can't be counted.
        formula: how they come about.
        activation_bytes: bytes of new memory that its outputs take; 0 for views and in-place operations.
        windows: one per spatial axis, for a convolution or pooling.
        groups: channel groups.
        fields: the receptive field along each spatial axis of each input, by (input value, axis).
    """

    index: int
    name: str
    module: str
    call: int
    op: str
    kind: str
    nodes: tuple[int, ...]
    inputs: tuple[int, ...]
    output: int
    output_shape: tuple[int, ...]
    parameters: int
    buffers: int
    parameter_names: tuple[str, ...]
    shares: bool
    macs: int | None
    formula: str
    activation_bytes: int
    windows: tuple[Window, ...]
    groups: int
    fields: Mapping[Source, ReceptiveField]

    def headline(self) -> str:
        """Return the name, the operation, the output's shape and the costs."""
        shape = "×".join(map(str, self.output_shape))
        macs = "MACs not known" if self.macs is None else f"{self.macs:,} MACs"
        return f"{self.name}: {self.op} to {shape}, {self.parameters:,} parameters, {macs}"

    @checked
    def field_along(self, source: int) -> tuple[ReceptiveField, ...]:
        """Return the receptive fields along the spatial axes of one input, in order; empty without one."""
        return tuple(self.fields[key] for key in sorted(self.fields) if key[0] == source)


def summarise_layers(graph: Graph, fields: Sequence[Mapping[Source, ReceptiveField]]) -> tuple[Layer, ...]:
    """Return the layers of a graph.

    Args:
        graph: a captured network.
        fields: the receptive fields by value, as `receptive_field.summarise_all` gives them.
    """
    use = _ParameterUse(graph)
    return tuple(_layer(layer, graph, fields, use, index) for index, layer in enumerate(layers_of(graph)))


class _ParameterUse:
    """The values that depend on the input, and the parameters behind those that do not."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.reached = reached_values(graph)
        self.counted: set[int] = set()
        self.storages: set[int] = set()
        by_name = {name: i for i, record in enumerate(graph.parameters) for name in record.names}
        self.behind: dict[int, frozenset[int]] = {
            value.index: frozenset({by_name[value.name]})
            for value in graph.values
            if value.kind in ("parameter", "buffer") and value.name in by_name
        }
        for value in graph.values:
            if value.kind in ("input", "parameter", "buffer"):
                self.storages.add(value.storage)
        for node in graph.nodes:
            behind = frozenset() if any(self.reached[value] for value in node.inputs) else self.used_by((node,))
            if behind:
                self.behind.update(dict.fromkeys(node.outputs, behind))

    def used_by(self, nodes: Iterable[Node]) -> frozenset[int]:
        """Return the parameters behind the nodes' inputs."""
        return frozenset[int]().union(*(self.behind.get(v, frozenset()) for node in nodes for v in node.inputs))

    def new_bytes(self, nodes: Iterable[Node]) -> int:
        """Return the bytes of the nodes' outputs that live in memory not seen before."""
        total = 0
        for node in nodes:
            for output in node.outputs:
                value = self.graph.values[output]
                if value.storage not in self.storages:
                    self.storages.add(value.storage)
                    total += value.spec.bytes
        return total


def _layer(
    layer: LayerNodes,
    graph: Graph,
    fields: Sequence[Mapping[Source, ReceptiveField]],
    use: _ParameterUse,
    index: int,
) -> Layer:
    main = layer.main
    used = use.used_by(layer.nodes)
    new = used - use.counted
    use.counted |= used
    records = [graph.parameters[i] for i in sorted(new)]
    macs = [node.macs for node in layer.nodes]
    made = {output for node in layer.nodes for output in node.outputs}
    read = dict.fromkeys(v for n in layer.nodes for v in n.inputs if use.reached[v] and v not in made)
    return Layer(
        index=index,
        name=layer.name,
        module=main.module,
        call=main.call,
        op=layer.op,
        kind=layer.kind,
        nodes=tuple(node.index for node in layer.nodes),
        inputs=tuple(read),
        output=layer.output,
        output_shape=graph.shape(layer.output),
        parameters=sum(r.spec.elements for r in records if not r.buffer),
        buffers=sum(r.spec.elements for r in records if r.buffer),
        parameter_names=tuple(graph.parameters[i].names[0] for i in sorted(used)),
        shares=len(new) < len(used),
        macs=None if None in macs else sum(m or 0 for m in macs),
        formula=" + ".join(node.formula for node in layer.nodes if node.formula),
        activation_bytes=use.new_bytes(layer.nodes),
        windows=own_windows(main.windows, len(graph.shape(layer.output)) - 2),
        groups=main.groups,
        fields=fields[layer.output],
    )


def own_windows(windows: tuple[Window, ...], dimensions: int) -> tuple[Window, ...]:
    """Return the windows along the axes that a layer itself has.

    Torch runs a one-dimensional pooling in two dimensions, on a map of one row: that axis is none of the layer's.

    >>> pooling = (Window(kernel_size=1), Window(kernel_size=4, stride=4))
    >>> [window.kernel_size for window in own_windows(pooling, 1)]
    [4]
    """
    added = windows[: max(0, len(windows) - max(1, dimensions))]
    return windows[len(added) :] if all(w.kernel_size == w.stride == 1 for w in added) else windows
