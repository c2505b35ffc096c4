"""The module tree as lines to print: containers as headings, repeated blocks folded, deeper levels collapsed.

A run of neighbouring blocks that have the same layers with the same shapes and costs is written out once, and its other
members are one line: "layer3.2 to layer3.5, 4 blocks like layer3.1". Only their receptive fields differ, and the line
has those of the last one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from convscope.graph.records import Graph
from convscope.graph.summary import Layer

# Neighbouring leaf layers that are alike are folded from this many on; blocks are from two on.
_LEAF_RUN = 3


@dataclass(frozen=True, slots=True, eq=False)
class FoldedLine:
    """One line of the tree.

    Args:
        role: "layer", "heading" (a container whose layers follow), "folded" (`count` blocks like `like`), or
            "collapsed" (a container whose layers are not shown).
        depth: the level of nesting, from 0.
        name: path of the module, or of the first of the folded ones.
        until: path of the last of the folded ones.
        like: path of the block that they are like.
        count: the number of modules that the line represents.
        kind: the modules' class; "" for functional operations.
        layers: the layers that it represents; a heading's are on the lines after it as well.
    """

    role: Literal["layer", "heading", "folded", "collapsed"]
    depth: int
    name: str
    until: str
    like: str
    count: int
    kind: str
    layers: tuple[Layer, ...]

    @property
    def last(self) -> Layer:
        """The last layer: its shape and field are those that come out."""
        return self.layers[-1]

    @property
    def parameters(self) -> int:
        """Parameters first used in these layers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int | None:
        """Their multiply-adds; None where one can't be counted."""
        return (
            None if any(layer.macs is None for layer in self.layers) else sum(layer.macs or 0 for layer in self.layers)
        )


@dataclass(slots=True, eq=False)
class TreeItem:
    """A module with what ran in it, or a layer.

    Args:
        path: of the module, or the layer's name.
        kind: the class; "" for functional operations.
        local: the last part of the path, or the operation.
        layer: the layer that it is; None for a module.
        children: of a module, in the order in which they ran.
        alike: a number that equal items share; an item's own name does not count.
    """

    path: str
    kind: str
    local: str
    layer: Layer | None = None
    children: list[TreeItem] = field(default_factory=list)
    alike: object = None

    def layers(self) -> Iterator[Layer]:
        """Yield the layers inside, in the order in which they ran."""
        if self.layer is not None:
            yield self.layer
        for child in self.children:
            yield from child.layers()


def fold(
    graph: Graph, layers: Sequence[Layer], *, depth: int | None = None, closed: Collection[str] = ()
) -> tuple[FoldedLine, ...]:
    """Return the lines of the module tree.

    Args:
        graph: the network.
        layers: its layers.
        depth: levels of modules to show, at least 1; None shows all, with repeated blocks folded.
        closed: paths of modules that are shown as one line, whatever their depth.
    """
    return tuple(_lines(layer_tree(graph, layers).children, 0, depth, closed))


def layer_tree(graph: Graph, layers: Iterable[Layer]) -> TreeItem:
    """Return the module tree down to its layers; the root is the network."""
    kinds = {module.path: module.kind for module in graph.modules}
    root = TreeItem("", kinds.get("", ""), "")
    _grow(root, layers, kinds)
    _sign(root, {})
    return root


def alike_runs(items: Sequence[TreeItem]) -> Iterator[Sequence[TreeItem]]:
    """Yield neighbouring items in order, those that are folded into the first of them together."""
    start = 0
    while start < len(items):
        item = items[start]
        stop = start + 1
        while stop < len(items) and items[stop].alike == item.alike and items[stop].local != item.local:
            stop += 1
        if stop - start < (2 if item.layer is None else _LEAF_RUN):
            stop = start + 1
        yield items[start:stop]
        start = stop


def _grow(root: TreeItem, layers: Iterable[Layer], kinds: Mapping[str, str]) -> None:
    """Build the tree in the order in which layers ran; a module that is come back to stands there again."""
    stack = [root]
    for layer in layers:
        parts = layer.module.split(".") if layer.module else []
        # A leaf module's own line is the layer itself; an operation inside a module stands in that module.
        containers = parts[:-1] if layer.kind else parts
        shared = 0
        while shared < min(len(stack) - 1, len(containers)) and stack[shared + 1].local == containers[shared]:
            shared += 1
        del stack[shared + 1 :]
        for i in range(shared, len(containers)):
            path = ".".join(containers[: i + 1])
            item = TreeItem(path, kinds.get(path, ""), containers[i])
            stack[-1].children.append(item)
            stack.append(item)
        local = parts[-1] if layer.kind and parts else layer.op
        stack[-1].children.append(TreeItem(layer.name, layer.kind, local, layer))


def _sign(item: TreeItem, signatures: dict[object, int]) -> int:
    """Return a number for an item that equal items share; the item's own name does not count."""
    layer = item.layer
    key: object
    if layer is not None:
        key = (layer.op, layer.kind, layer.output_shape, layer.parameters, layer.macs, layer.windows, layer.groups)
    else:
        key = (item.kind, tuple((child.local, _sign(child, signatures)) for child in item.children))
    item.alike = signatures.setdefault(key, len(signatures))
    return signatures[key]


def _lines(items: Sequence[TreeItem], depth: int, limit: int | None, closed: Collection[str]) -> Iterator[FoldedLine]:
    for run in alike_runs(items):
        yield from _written(run[0], depth, limit, closed)
        if len(run) > 1:
            yield _line("folded", depth, run[1:], like=run[0].path)


def _written(item: TreeItem, depth: int, limit: int | None, closed: Collection[str]) -> Iterator[FoldedLine]:
    if item.layer is not None:
        yield _line("layer", depth, [item])
    elif (limit is not None and depth + 1 >= limit) or item.path in closed:
        yield _line("collapsed", depth, [item])
    else:
        yield _line("heading", depth, [item])
        yield from _lines(item.children, depth + 1, limit, closed)


def _line(
    role: Literal["layer", "heading", "folded", "collapsed"], depth: int, items: Sequence[TreeItem], *, like: str = ""
) -> FoldedLine:
    layers = tuple(layer for item in items for layer in item.layers())
    return FoldedLine(role, depth, items[0].path, items[-1].path, like, len(items), items[0].kind, layers)
