"""Layers: one row per call of a leaf module, or per operation that the forward pass wrote itself.

A leaf module is one inside which no other module computed anything. A functional operation in a larger module has a
row of its own, called "module:operation"; what weights go through before they are used belongs to the layer that uses
them. A shared parameter is counted where it is used first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from convscope.geometry.window import Window
from convscope.graph.propagate import Source
from convscope.graph.receptive_field import ReceptiveField
from convscope.graph.records import Graph, Node
from convscope.graph.vocabulary import COMPOSITES, COPIES, MOVES, RENAMED


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
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

    def field_along(self, source: int) -> tuple[ReceptiveField, ...]:
        """The receptive fields along the spatial axes of one input, in the order of its axes; empty without one."""
        return tuple(self.fields[key] for key in sorted(self.fields) if key[0] == source)


def summarise_layers(graph: Graph, fields: Sequence[Mapping[Source, ReceptiveField]]) -> tuple[Layer, ...]:
    """The layers of a graph.

    Args:
        graph: a captured network.
        fields: the receptive fields by value, as `receptive_field.summarise_all` gives them.
    """
    kinds = {module.path: module.kind for module in graph.modules}
    ledger = _Ledger(graph)
    layers: list[Layer] = []
    calls: Counter[str] = Counter()
    for group in _groups(graph, kinds, ledger):
        layers.append(_layer(graph, group, kinds, fields, ledger, len(layers), calls))
    return tuple(layers)


@dataclass(frozen=True, slots=True)
class _Group:
    nodes: tuple[Node, ...]
    main: Node
    whole: bool  # a leaf module's call, rather than an operation in a larger module


class _Ledger:
    """Which values depend on the input, and which parameters stand behind a value that does not."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.reached = [value.kind == "input" for value in graph.values]
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

    def visit(self, node: Node) -> bool:
        """Note what the node's outputs come from; whether it computes on the input."""
        reached = any(self.reached[value] for value in node.inputs)
        if reached:
            for output in node.outputs:
                self.reached[output] = True
        else:
            behind = self.used_by((node,))
            if behind:
                self.behind.update(dict.fromkeys(node.outputs, behind))
        return reached

    def used_by(self, nodes: Iterable[Node]) -> frozenset[int]:
        """Parameters that stand behind the nodes' inputs."""
        return frozenset[int]().union(*(self.behind.get(v, frozenset()) for node in nodes for v in node.inputs))

    def new_bytes(self, nodes: Iterable[Node]) -> int:
        """Bytes of the nodes' outputs that live in memory not seen before."""
        total = 0
        for node in nodes:
            for output in node.outputs:
                value = self.graph.values[output]
                if value.storage not in self.storages:
                    self.storages.add(value.storage)
                    total += value.spec.bytes
        return total


def _groups(graph: Graph, kinds: Mapping[str, str], ledger: _Ledger) -> Iterable[_Group]:
    nodes = [node for node in graph.nodes if ledger.visit(node)]
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


def _split(nodes: tuple[Node, ...], leaf: bool, kind: str) -> Iterable[_Group]:
    """A leaf module's call is one layer if one of its operations computes; else every operation is."""
    computing = [node for node in nodes if node.op not in MOVES]
    if leaf and nodes[0].module and (len(computing) <= 1 or kind in COMPOSITES):
        yield _Group(nodes, computing[0] if computing else nodes[-1], whole=True)
        return
    for node in nodes:
        if node.op not in COPIES:
            yield _Group((node,), node, whole=False)


def _layer(
    graph: Graph,
    group: _Group,
    kinds: Mapping[str, str],
    fields: Sequence[Mapping[Source, ReceptiveField]],
    ledger: _Ledger,
    index: int,
    calls: Counter[str],
) -> Layer:
    main, last = group.main, group.nodes[-1]
    kind = kinds.get(main.module, "") if group.whole else ""
    op = COMPOSITES.get(kind) or RENAMED.get(kind, main.op)
    plain = main.module if group.whole else f"{main.module}:{op}" if main.module else op
    calls[plain] += 1
    name = plain if calls[plain] == 1 else f"{plain}#{calls[plain]}"
    used = ledger.used_by(group.nodes)
    new = used - ledger.counted
    ledger.counted |= used
    records = [graph.parameters[i] for i in sorted(new)]
    macs = [node.macs for node in group.nodes]
    made = {output for node in group.nodes for output in node.outputs}
    output = last.outputs[0] if last.outputs else main.inputs[0]
    return Layer(
        index=index,
        name=name,
        module=main.module,
        call=main.call,
        op=op,
        kind=kind,
        nodes=tuple(node.index for node in group.nodes),
        inputs=tuple(dict.fromkeys(v for n in group.nodes for v in n.inputs if ledger.reached[v] and v not in made)),
        output=output,
        output_shape=graph.shape(output),
        parameters=sum(r.spec.elements for r in records if not r.buffer),
        buffers=sum(r.spec.elements for r in records if r.buffer),
        parameter_names=tuple(graph.parameters[i].names[0] for i in sorted(used)),
        shares=len(new) < len(used),
        macs=None if None in macs else sum(m or 0 for m in macs),
        formula=" + ".join(node.formula for node in group.nodes if node.formula),
        activation_bytes=ledger.new_bytes(group.nodes),
        windows=main.windows,
        groups=main.groups,
        fields=fields[output],
    )
