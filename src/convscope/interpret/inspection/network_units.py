"""What is drawn of a network: units, and the edges between them.

A unit is a layer that changes the map or joins several: a convolution, a pooling, a sum. Layers that pass a map on in
its shape (normalisations, activations) belong to the unit before them. A folded or collapsed block is one unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from convscope.graph.fold import FoldedLine, fold
from convscope.graph.records import Graph
from convscope.graph.summary import Layer
from convscope.graph.vocabulary import CONVOLUTIONS, POOLINGS
from convscope.interpret.inspection.layer_table import operation, output_shape
from convscope.report import units as ink

Family = Literal["input", "convolution", "pooling", "linear", "join", "resize", "block", "other"]

# More than this and a drawing can't be read: deeper levels of modules are then drawn as one unit each.
_UNITS_LIMIT = 90
_EDGES_LIMIT = 150

_SHOWN_SKIPS = 3  # arcs over a folded block

_JOINS = {"add": "+", "sub": "−", "mul": "×", "concat": "cat", "stack": "cat", "maximum": "max"}
_LINEAR = frozenset({"linear", "matmul", "attention", "bilinear"})
_RESIZES = frozenset({"upsample", "pixel_shuffle", "pixel_unshuffle", "grid_sample", "max_unpool"})


@dataclass(slots=True, eq=False)
class Unit:
    """One thing that is drawn.

    Args:
        index: its place in the order of running.
        family: what colour it has.
        labels: one or two short lines.
        tip: everything about it.
        shape: the output of one sample: (C, H, W) or (F,).
        count: the number of blocks that it represents.
        group: the outermost module that it belongs to.
        skips: connections inside it that lead around some of its layers, as far as they are shown.
        enlarges: whether it makes its map larger.
        before: units that it reads from.
    """

    index: int
    family: Family
    labels: tuple[str, ...]
    tip: str
    shape: tuple[int, ...]
    count: int = 1
    group: str = ""
    skips: int = 0
    enlarges: bool = False
    before: list[Unit] = field(default_factory=list)

    @property
    def side(self) -> int | None:
        """The largest spatial size; None without spatial axes."""
        return max(self.shape[1:]) if len(self.shape) > 1 else None


def network_units(graph: Graph, layers: Sequence[Layer]) -> list[Unit]:
    """Return the units of a network; where they are too many, modules like an earlier one are one unit each."""
    closed: set[str] = set()
    while True:
        lines = fold(graph, layers, closed=closed)
        found = _units_of(graph, lines)
        if len(found) <= _UNITS_LIMIT and sum(len(unit.before) for unit in found) <= _EDGES_LIMIT:
            return found
        # To close what is one unit anyway, such as a convolution with its normalisation, would only hide what it is.
        more = _to_close([x for x in lines if x.role == "heading" and sum(map(_changes_the_map, x.layers)) > 1])
        if not more:
            return found
        closed |= more


def _to_close(open_modules: Sequence[FoldedLine]) -> set[str]:
    """Return the deepest of the modules that have an earlier one of their class, or of all where none has."""
    first: dict[str, str] = {}
    for line in open_modules:
        first.setdefault(line.kind, line.name)
    repeated = [line for line in open_modules if first[line.kind] != line.name]
    deepest = max((line.depth for line in repeated or open_modules), default=0)
    return {line.name for line in repeated or open_modules if line.depth == deepest}


def _units_of(graph: Graph, lines: Sequence[FoldedLine]) -> list[Unit]:
    made: dict[int, Unit] = {}
    units: list[Unit] = []
    for value in graph.inputs:
        shape = graph.shape(value)[1:]
        unit = Unit(
            len(units), "input", ("input", ink.shape(shape)), f"{graph.values[value].name} {ink.shape(shape)}", shape
        )
        units.append(unit)
        made[value] = unit
    for line in lines:
        if line.role == "heading" or all(layer.output is None for layer in line.layers):
            continue  # the latter are parameters that nothing reads
        outputs = [v for layer in line.layers for n in layer.nodes for v in graph.nodes[n].outputs]
        inside = set(outputs)
        reads = [v for layer in line.layers for v in layer.inputs if v not in inside]
        before = list({unit.index: unit for v in reads for unit in _makers(graph, v, made)}.values())
        if len(before) == 1 and _passes_on(line, before[0]):
            unit = before[0]
            unit.tip += f"\n{line.name}: {operation(line.last)}"
        else:
            unit = _unit(line, len(units), before)
            units.append(unit)
        made.update(dict.fromkeys(outputs, unit))
    return units


def _makers(graph: Graph, value: int, made: Mapping[int, Unit]) -> Iterator[Unit]:
    """Yield the units that a value comes from: more than one, or none, only where no layer made it, such as a copy."""
    seen = {value}
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if one in made:
            yield made[one]
            continue
        producer = graph.values[one].producer
        reads = () if producer is None else graph.nodes[producer].inputs
        waiting += [read for read in reads if read not in seen]
        seen.update(reads)


def _passes_on(line: FoldedLine, before: Unit) -> bool:
    """Return whether the line only changes values of the map that it is given, or lays its elements out anew."""
    joins = line.last.op in _JOINS  # of values of the one unit before, such as a map times its own sigmoid
    return line.role == "layer" and before.family != "input" and (joins or not _changes_the_map(line.last))


def _changes_the_map(layer: Layer) -> bool:
    if layer.op in _JOINS:
        return len(layer.inputs) > 1
    return bool(layer.windows) or layer.op in _LINEAR or layer.op in _RESIZES or layer.op in POOLINGS


def _unit(line: FoldedLine, index: int, before: list[Unit]) -> Unit:
    layer = line.last
    shape = layer.output_shape[1:]
    enlarges = any(_enlarges(each.op) for each in line.layers)
    tip = f"{line.name}: {operation(layer)} → {output_shape(layer)}"
    tip += f"\n{ink.count(line.parameters)} parameters, {ink.count(line.macs)} MACs"
    group = layer.module.partition(".")[0]
    if line.role != "layer":
        kind = line.kind or operation(layer)
        name = f"{line.count}× {kind}" if line.count > 1 else kind if line.role == "folded" else _tail(line.name)
        labels = (name, _channels(shape))
        tip = f"{line.name} to {line.until}: {tip}" if line.count > 1 else tip
        joined = [len(each.inputs) - 1 for each in line.layers if each.op in _JOINS]
        skips = min(_SHOWN_SKIPS, max(joined, default=0))
        return Unit(index, "block", labels, tip, shape, line.count, group, skips, enlarges, before)
    if layer.op in _JOINS and len(before) > 1:
        return Unit(index, "join", (_JOINS[layer.op],), tip, shape, 1, group, before=before)
    if layer.op == "linear" and len(shape) > 1:
        shape = (shape[-1], *shape[:-1])  # a fully connected layer at every position: features are the last axis
    labels = (_short(line), _channels(shape))
    return Unit(index, _family(layer.op), labels, tip, shape, 1, group, 0, enlarges, before)


def _enlarges(op: str) -> bool:
    return op in _RESIZES or op == "transposed_convolution"


def _tail(path: str) -> str:
    """Return the end of a path that says something: "features.block1" is "block1", "blocks.3" stays."""
    parent, _, last = path.rpartition(".")
    return f"{parent.rpartition('.')[2]}.{last}" if last.isdigit() and parent else last


def _family(op: str) -> Family:
    if op in CONVOLUTIONS:
        return "convolution" if op == "convolution" else "resize"
    if op in POOLINGS:
        return "pooling"
    if op in _LINEAR:
        return "linear"
    return "resize" if op in _RESIZES else "other"


def _short(line: FoldedLine) -> str:
    layer = line.last
    if layer.windows:
        kernels = ink.per_axis([w.kernel_size for w in layer.windows])
        kernels = kernels if "×" in kernels else "×".join([kernels] * len(layer.windows))
        strides = [w.stride for w in layer.windows]
        step = f"/{ink.per_axis(strides)}" if any(s > 1 for s in strides) else ""
        word = {"max_pool": "max ", "avg_pool": "avg ", "transposed_convolution": "up "}.get(layer.op, "")
        depthwise = "dw " if layer.groups > 1 and layer.groups == layer.output_shape[1] else ""
        return f"{word}{depthwise}{kernels}{step}"
    words = {"adaptive_avg_pool": "avg", "mean": "mean", "linear": "fc"}
    return words.get(layer.op, layer.op.replace("_", " "))


def _channels(shape: tuple[int, ...]) -> str:
    return str(shape[0]) if shape else "1"
