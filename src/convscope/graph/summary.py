"""Layers: one row per call of a leaf module, or per operation that the forward pass wrote itself.

What weights go through before they are used belongs to the layer that uses them. A shared parameter is counted where it
is used first. Parameters that the forward pass never reads are rows of their own at the end, so that the parameters of
all rows, and their multiply-adds, add up to the network's. What a layer is, and what it is called, is decided in
`layer_groups`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from convscope.api.public import checked
from convscope.geometry.window import Window
from convscope.graph.layer_groups import LayerNodes, layers_of
from convscope.graph.propagate import Source
from convscope.graph.receptive_field import ReceptiveField
from convscope.graph.records import Graph, Node, ParameterRecord, reached_values
from convscope.report.short_repr import ShortRepr
from convscope.report.units import plural

# `Layer.op` of parameters that the forward pass never read.
UNUSED = "unused"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Layer(ShortRepr):
    """One layer as it ran.

    Args:
        index: position among the layers, in the order in which they ran.
        name: unique: the module's path, or "path:operation"; "#2" and so on for its later calls.
        module: path of the module.
        call: which call of that module, from 0.
        op: the operation that it is about; "unused" where parameters lie that the forward pass never reads.
        kind: the module's class; "" for an operation that the forward pass wrote itself.
        nodes: its operations, as indices into `Graph.nodes`, those on weights alone included.
        inputs: the activations that it reads from other layers, as indices into `Graph.values`.
        output: its output, as an index into `Graph.values`; None of parameters that are in no operation.
        output_shape: of that output, batch included; () without one.
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
    output: int | None
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
        return f"{self.name}: {self.op} to {shape}, {plural(self.parameters, 'parameter')}, {macs}"

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
    groups = layers_of(graph)
    use = _ParameterUse(graph, groups)
    layers = [_layer(layer, graph, fields, use, index) for index, layer in enumerate(groups)]
    if graph.error is None:
        layers += _without_operations(graph, use, len(layers))
    return tuple(layers)


def unread_parameters(graph: Graph) -> dict[str, list[ParameterRecord]]:
    """Return the parameters that the forward pass never read, by the outermost module that holds nothing else.

    A parameter whose own module was used stands under its own name.
    """
    records = [record for record in graph.parameters if not record.buffer]
    return _by_module([r for r in records if not r.used], [r for r in records if r.used])


def _by_module(
    records: Iterable[ParameterRecord], others: Iterable[ParameterRecord]
) -> dict[str, list[ParameterRecord]]:
    taken = {prefix for record in others for name in record.names for prefix in _prefixes(name)}
    groups: dict[str, list[ParameterRecord]] = {}
    for record in records:
        name = record.names[0]
        top = next((prefix for prefix in _prefixes(name) if prefix and prefix not in taken), name)
        groups.setdefault(top, []).append(record)
    return groups


def _prefixes(name: str) -> list[str]:
    """Return the modules that hold a parameter, the outermost first: "a.b.weight" -> "", "a", "a.b"."""
    parts = name.split(".")[:-1]
    return [".".join(parts[:i]) for i in range(len(parts) + 1)]


def _without_operations(graph: Graph, use: _ParameterUse, first: int) -> Iterator[Layer]:
    """Yield a row for each module, or parameter, that is in no operation of a layer."""
    left = [record for i, record in enumerate(graph.parameters) if i not in use.counted and not record.buffer]
    if not left:
        return
    counted = [graph.parameters[i] for i in use.counted]
    kinds = {module.path: module.kind for module in graph.modules}
    for index, (name, records) in enumerate(_by_module(left, counted).items(), first):
        yield Layer(
            index=index,
            name=name,
            module=name if name in kinds else name.rpartition(".")[0],
            call=0,
            op="returned" if all(record.used for record in records) else UNUSED,
            kind=kinds.get(name, ""),
            nodes=(),
            inputs=(),
            output=None,
            output_shape=(),
            parameters=sum(record.spec.elements for record in records),
            buffers=0,
            parameter_names=tuple(record.names[0] for record in records),
            shares=False,
            macs=0,
            formula="",
            activation_bytes=0,
            windows=(),
            groups=1,
            fields={},
        )


class _ParameterUse:
    """The values that depend on the input, and the parameters behind those that do not."""

    def __init__(self, graph: Graph, layers: Iterable[LayerNodes]) -> None:
        self.graph = graph
        self.reached = reached_values(graph)
        # What a layer of its own made of weights and constants does not carry its parameters on to who reads it.
        ends = {node.index for layer in layers if not _is_uncounted(layer) for node in layer.nodes}
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
            behind = frozenset() if node.index in ends else self.used_by((node,))
            if behind:
                self.behind.update(dict.fromkeys(node.outputs, behind))

    def used_by(self, nodes: Iterable[Node]) -> frozenset[int]:
        """Return the parameters behind the nodes' inputs."""
        return frozenset[int]().union(*(self.behind.get(v, frozenset()) for node in nodes for v in node.inputs))

    def depends_on_input(self, layer: LayerNodes) -> bool:
        """Return whether a layer reads what depends on the input."""
        return any(self.reached[value] for node in layer.nodes for value in node.inputs)

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


def _is_uncounted(layer: LayerNodes) -> bool:
    """Return whether a layer is one operation that can't be counted: of a weight, the weight is its reader's."""
    return not layer.whole and layer.main.macs is None


def _layer(
    layer: LayerNodes,
    graph: Graph,
    fields: Sequence[Mapping[Source, ReceptiveField]],
    use: _ParameterUse,
    index: int,
) -> Layer:
    main = layer.main
    nodes = (*layer.prepared, *layer.nodes)
    used = frozenset[int]() if _is_uncounted(layer) and not use.depends_on_input(layer) else use.used_by(nodes)
    new = used - use.counted
    use.counted |= used
    records = [graph.parameters[i] for i in sorted(new)]
    macs = [node.macs for node in nodes]
    made = {output for node in layer.nodes for output in node.outputs}
    read = dict.fromkeys(v for n in layer.nodes for v in n.inputs if use.reached[v] and v not in made)
    return Layer(
        index=index,
        name=layer.name,
        module=main.module,
        call=main.call,
        op=layer.op,
        kind=layer.kind,
        nodes=tuple(node.index for node in nodes),
        inputs=tuple(read),
        output=layer.output,
        output_shape=graph.shape(layer.output),
        parameters=sum(r.spec.elements for r in records if not r.buffer),
        buffers=sum(r.spec.elements for r in records if r.buffer),
        parameter_names=tuple(graph.parameters[i].names[0] for i in sorted(used)),
        shares=len(new) < len(used),
        macs=None if None in macs else sum(m or 0 for m in macs),
        formula=_formula(nodes),
        activation_bytes=use.new_bytes(layer.nodes) if read else 0,
        windows=() if layer.op == layer.kind else own_windows(main.windows, len(graph.shape(layer.output)) - 2),
        groups=main.groups,
        fields=fields[layer.output],
    )


def _formula(nodes: Sequence[Node]) -> str:
    """Return how the multiply-adds of operations come about, equal terms once: those of 100 steps are "100 × (…)"."""
    formulas = [node.formula for node in nodes if node.formula]
    if len(formulas) <= 1:
        return formulas[0] if formulas else ""
    return " + ".join(term if times == 1 else f"{times} × ({term})" for term, times in Counter(formulas).items())


def own_windows(windows: tuple[Window, ...], dimensions: int) -> tuple[Window, ...]:
    """Return the windows along the axes that a layer itself has.

    Torch runs a one-dimensional pooling in two dimensions, on a map of one row: that axis is none of the layer's.

    >>> pooling = (Window(kernel_size=1), Window(kernel_size=4, stride=4))
    >>> [window.kernel_size for window in own_windows(pooling, 1)]
    [4]
    """
    added = windows[: max(0, len(windows) - max(1, dimensions))]
    return windows[len(added) :] if all(w.kernel_size == w.stride == 1 for w in added) else windows
