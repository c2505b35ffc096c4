"""Which operations make up a layer: the rows of every table, each operation in exactly one of them.

A call of a leaf module is one layer, whatever operations it makes; what the forward pass of a larger module wrote
itself is a layer per operation. Work that does not depend on the input (spectral normalisation, a position bias, the
first step of a recurrent layer) belongs to the layer that uses it first, and is a layer of its own where a module did
it that holds weights: so the costs of all layers add up to the network's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from convscope.graph.records import Graph, Node, reached_values
from convscope.graph.vocabulary import COMPOSITES, COPIES, MOVES, RENAMED

_PARAMETRIZATIONS = ".parametrizations."


@dataclass(frozen=True, slots=True, eq=False)
class LayerNodes:
    """The operations of one layer, and its name.

    Args:
        name: unique: the module's path, or "path:operation"; "#2" and so on from the second of a name on.
        op: the operation that it is about; the module's class where several of a user's own operations compute.
        kind: the module's class; "" for an operation that the forward pass wrote itself.
        nodes: its operations, in the order in which they ran.
        main: the one that computes; the first of several, the last where all of them only move numbers.
        whole: a leaf module's call, rather than one operation of a larger module.
        output: its output, as an index into `Graph.values`.
        prepared: operations on weights and constants alone, whose results it is the first to use.
    """

    name: str
    op: str
    kind: str
    nodes: tuple[Node, ...]
    main: Node
    whole: bool
    output: int
    prepared: tuple[Node, ...] = ()

    @property
    def composite(self) -> bool:
        """Whether several of its operations compute, as in a local response normalisation."""
        return sum(node.op not in MOVES for node in self.nodes) > 1


@dataclass(slots=True, eq=False)
class _Group:
    nodes: tuple[Node, ...]
    whole: bool
    prepared: list[Node] = field(default_factory=list)


def layers_of(graph: Graph) -> tuple[LayerNodes, ...]:
    """Return the layers of a graph, in the order in which they ran."""
    reached = reached_values(graph)
    on_input: list[Node] = []
    constant: list[Node] = []
    for node in graph.nodes:
        (on_input if any(map(reached.__getitem__, node.inputs)) else constant).append(node)
    tree = _Tree(graph)
    groups = list(_grouped(on_input, tree))
    if constant:
        groups = _with_constants(graph, groups, constant, tree)
    calls: Counter[str] = Counter()
    layers = []
    for group in groups:
        main = _main(group)
        kind = tree.kinds.get(main.module, "") if group.whole else ""
        op = _op(group, main, kind, main.module in tree.torchs)
        plain = main.module if group.whole and main.module else f"{main.module}:{op}" if main.module else op
        calls[plain] += 1
        name = plain if calls[plain] == 1 else f"{plain}#{calls[plain]}"
        output = _output(graph, group.nodes, main)
        layers.append(LayerNodes(name, op, kind, group.nodes, main, group.whole, output, tuple(group.prepared)))
    return tuple(layers)


class _Tree:
    """The module tree, as far as it decides what a layer is."""

    def __init__(self, graph: Graph) -> None:
        self.kinds = {module.path: module.kind for module in graph.modules}
        self._values = graph.values
        self.torchs = {module.path for module in graph.modules if module.library}

    def reads_weights(self, node: Node) -> bool:
        """Return whether a parameter is among an operation's inputs."""
        return any(self._values[value].kind == "parameter" for value in node.inputs)

    @cached_property
    def _parents(self) -> set[str]:
        """The modules that hold others; a parametrization is part of the module that it is registered on."""
        return _ancestors(path for path in self.kinds if _PARAMETRIZATIONS not in f".{path}.")

    def is_one_layer(self, path: str, nodes: Sequence[Node]) -> bool:
        """Return whether a module inside which no other one computed is one layer, rather than one per operation."""
        if not path and path not in self.torchs and self.kinds.get(path, "") not in COMPOSITES:
            return False  # the operations of a network without modules are what there is to see
        computing = sum(node.op not in MOVES for node in nodes)
        if computing <= 1 or self.kinds.get(path, "") in COMPOSITES:
            return True
        # What can't be counted has a row that says so, beside the rows of what can.
        return path not in self._parents and all(node.macs is not None for node in nodes)


def _ancestors(paths: Iterable[str]) -> set[str]:
    """Return the modules around these: "a.b.conv" has "a.b", "a" and ""."""
    found: set[str] = set()
    for path in paths:
        while path:
            path = path.rpartition(".")[0]
            if path in found:
                break
            found.add(path)
    return found


def _grouped(nodes: Sequence[Node], tree: _Tree) -> Iterator[_Group]:
    """Yield the layers of the operations on the input."""
    inner = _ancestors({node.module for node in nodes})
    start = 0
    while start < len(nodes):
        first = nodes[start]
        stop = start + 1
        leaf = first.module not in inner
        if leaf:
            while stop < len(nodes) and nodes[stop].module == first.module and nodes[stop].call == first.call:
                stop += 1
        run = tuple(nodes[start:stop])
        if leaf and tree.is_one_layer(first.module, run):
            yield _Group(run, True)
        else:
            for node in run:
                if node.op not in COPIES or tree.reads_weights(node):
                    yield _Group((node,), False)
        start = stop


# --- work on weights and constants ---


def _with_constants(graph: Graph, groups: list[_Group], constant: Sequence[Node], tree: _Tree) -> list[_Group]:
    """Give each operation on weights and constants to the layer that uses it, or to a layer of its own."""
    owner = {node.index: group for group in groups for node in group.nodes}
    taken = {(node.module, node.call) for group in groups for node in group.nodes}
    own = [_Group(run, True) for run in _own_calls(graph, constant, tree, taken)]
    owner.update((node.index, group) for group in own for node in group.nodes)
    by_call = {(group.nodes[0].module, group.nodes[0].call): group for group in groups if group.whole}
    order = {id(group): place for place, group in enumerate(groups)}
    # From the last to the first: when an operation is reached, the layers of those that read it are known.
    for node in reversed(constant):
        if node.index in owner:
            continue
        if node.macs is None:
            own.append(_Group((node,), False))
            owner[node.index] = own[-1]
            continue
        found = by_call.get((node.module, node.call))
        if found is None:
            readers = (owner.get(n) for output in node.outputs for n in graph.consumers.get(output, ()))
            found = min(
                (group for group in readers if group is not None),
                key=lambda group: order.get(id(group), len(order)),
                default=None,
            ) or _of_module(groups, node)
        if found is not None:
            found.prepared.append(node)
        elif node.macs or tree.reads_weights(node):
            found = _Group((node,), False)
            own.append(found)
        if found is not None:
            owner[node.index] = found
    for group in (*groups, *own):
        group.prepared.reverse()
    return sorted((*groups, *own), key=lambda group: group.nodes[0].index)


def _own_calls(
    graph: Graph, constant: Sequence[Node], tree: _Tree, taken: set[tuple[str, int]]
) -> Iterator[tuple[Node, ...]]:
    """Yield the calls of leaf modules that hold weights and were given constants: an embedding of positions."""
    calls: dict[tuple[str, int], list[Node]] = {}
    for node in constant:
        if node.module and (node.module, node.call) not in taken:
            calls.setdefault((node.module, node.call), []).append(node)
    inner = _ancestors({node.module for node in graph.nodes}) if calls else frozenset[str]()
    for (module, _), run in calls.items():
        if module in inner or _PARAMETRIZATIONS in f".{module}." or not tree.is_one_layer(module, run):
            continue
        reads = (graph.values[value] for node in run for value in node.inputs)
        if any(value.kind == "parameter" and value.name.startswith(f"{module}.") for value in reads):
            yield tuple(run)


def _of_module(groups: Sequence[_Group], node: Node) -> _Group | None:
    """Return the layer of the nearest module around a node whose result nothing reads, such as a kept statistic."""
    path = node.module
    while path:
        inside = [group for group in groups if group.nodes[0].module == path]
        if inside:
            return next((group for group in inside if group.nodes[-1].index > node.index), inside[-1])
        path = path.rpartition(".")[0]
    return None


# --- what a layer is about ---


def _main(group: _Group) -> Node:
    """Return the operation that a layer is about: of several that compute, the only one with multiply-adds if one has.

    >>> from convscope.graph.records import Node
    >>> pad, conv, scale = (Node(i, op, "", "c", 0, (), (), {}, (), macs)
    ...                     for i, (op, macs) in enumerate((("pad", 0), ("convolution", 9), ("mul", 0))))
    >>> _main(_Group((pad, conv, scale), True)).op
    'convolution'
    """
    computing = [node for node in group.nodes if node.op not in MOVES]
    weighted = [node for node in computing if node.macs]
    if len(weighted) == 1:
        return weighted[0]
    return computing[0] if computing else group.nodes[-1]


def _op(group: _Group, main: Node, kind: str, library: bool) -> str:
    """Return the operation's name; the class's where several operations compute and none of them alone has the work."""
    known = COMPOSITES.get(kind) or RENAMED.get(kind)
    if known or not kind:
        return known or main.op
    computing = [node for node in group.nodes if node.op not in MOVES]
    if len(computing) <= 1 or sum(bool(node.macs) for node in computing) == 1:
        return main.op
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower() if library else kind


def _output(graph: Graph, nodes: Sequence[Node], main: Node) -> int:
    """Return the layer's output: of one computing operation its first output, brought to its shape by those after it.

    The last operation will not do: a `MaxPool1d` squeezes its maxima first and their indices last. Of several that
    compute it is the first that the network returns or that another layer reads.
    """
    last = nodes[-1]
    computing = sum(node.op not in MOVES for node in nodes)
    if len(nodes) == 1 or not computing or not main.outputs or not last.outputs:
        return last.outputs[0] if last.outputs else main.inputs[0]
    if computing == 1:
        output = main.outputs[0]
        for node in nodes:
            if node.index > main.index and node.outputs and output in node.inputs:
                output = node.outputs[0]
        return output
    made = {value for node in nodes for value in node.outputs}
    returned = next((value for value in graph.outputs if value in made), None)
    if returned is not None:
        return returned
    inside = {node.index for node in nodes}
    read = [(n, v) for v in made for n in graph.consumers.get(v, ()) if n not in inside]
    return min(read)[1] if read else last.outputs[0]
