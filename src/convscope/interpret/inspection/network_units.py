"""What is drawn of a network: units, and the edges between them.

A unit is a layer that changes the map or joins several: a convolution, a pooling, a sum. Layers that pass a map on in
its shape (normalisations, activations) belong to the unit before them. A folded or collapsed block is one unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from convscope.graph.fold import FoldedLine, fold
from convscope.graph.records import Graph
from convscope.graph.summary import Layer
from convscope.graph.vocabulary import CONVOLUTIONS, MOVES, POOLINGS
from convscope.interpret.inspection.iterations import without_iterations
from convscope.interpret.inspection.layer_table import operation, output_shape
from convscope.interpret.inspection.unit import Family, Unit, numbered
from convscope.report import units as ink

# More than this and a drawing can't be read: deeper levels of modules are then drawn as one unit each.
UNITS_LIMIT = 90
_EDGES_LIMIT = 150

_SHOWN_SKIPS = 3  # arcs over a folded block
_ALIKE = 4  # units side by side that differ in nothing but their weights, from which on they are drawn as one

_JOINS = {"add": "+", "sub": "−", "mul": "×", "concat": "cat", "stack": "cat", "maximum": "max"}
_LINEAR = frozenset({"linear", "matmul", "attention", "bilinear"})
_RESIZES = frozenset({"upsample", "pixel_shuffle", "pixel_unshuffle", "grid_sample", "max_unpool"})
_FEATURES_LAST = _LINEAR | {"embedding", "rnn", "lstm", "gru", "multihead_attention"}
# Classes that say nothing of what is in them; the last is that of an ONNX file's scopes.
_CONTAINERS = frozenset({"Sequential", "ModuleList", "ModuleDict", "OnnxScope"})


def network_units(graph: Graph, layers: Sequence[Layer], *, limit: int = UNITS_LIMIT) -> list[Unit]:
    """Return the units of a network; where they are more than the limit, modules like an earlier one are one each."""
    closed: set[str] = set()
    while True:
        lines = fold(graph, layers, closed=closed)
        found = without_iterations(_without_alike(_units_of(graph, lines, _features_last(graph, layers))))
        if len(found) <= limit and sum(len(unit.before) for unit in found) <= _EDGES_LIMIT:
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


def _features_last(graph: Graph, layers: Sequence[Layer]) -> set[int]:
    """Return the outputs whose last axis is that of features, as of tokens: those of linear layers, and after them."""
    found: set[int] = set()
    for layer in layers:
        shape = layer.output_shape
        if layer.output is None or len(shape) < 3:
            continue
        carried = any(value in found and graph.shape(value)[-1] == shape[-1] for value in layer.inputs)
        tokens = layer.op in ("layer_norm", "rms_norm") and len(shape) == 3
        if layer.op in _FEATURES_LAST or tokens or (carried and (layer.op in _JOINS or not _changes_the_map(layer))):
            found.update(v for n in layer.nodes for v in graph.nodes[n].outputs)
    return found


def _without_alike(units: Sequence[Unit]) -> list[Unit]:
    """Return the units, those that read the same, are read by the same and look the same as one."""
    after: dict[int, list[int]] = {}
    for unit in units:
        for before in unit.before:
            after.setdefault(before.index, []).append(unit.index)
    alike: dict[object, list[Unit]] = {}
    for unit in units:
        reads = tuple(before.index for before in unit.before)
        own = unit.index if unit.family in ("input", "join") or not reads else -1
        key = (own, unit.family, unit.labels, unit.shape, unit.group, reads, tuple(after.get(unit.index, ())))
        alike.setdefault(key, []).append(unit)
    dropped: set[int] = set()
    for first, *others in alike.values():
        if 1 + len(others) >= _ALIKE:
            name, *more = first.labels
            first.count = (1 + len(others)) * first.count
            first.family, first.labels = "block", (f"{1 + len(others)}× {name}", *more)
            first.tip = "\n".join(unit.tip for unit in (first, *others))
            first.outputs = [value for unit in (first, *others) for value in unit.outputs]
            dropped |= {unit.index for unit in others}
    for unit in units:
        unit.before = [before for before in unit.before if before.index not in dropped]
    return numbered(unit for unit in units if unit.index not in dropped)


def _units_of(graph: Graph, lines: Sequence[FoldedLine], features_last: set[int]) -> list[Unit]:
    made: dict[int, Unit] = {}
    units: list[Unit] = []
    rank = max((len(graph.shape(value)) - 2 for value in graph.inputs), default=1)
    for value in graph.inputs:
        shape = graph.shape(value)[1:]
        tip = f"{graph.values[value].name} {ink.shape(shape)}"
        unit = Unit(len(units), "input", ("input", ink.shape(shape)), tip, shape, _side(shape, rank))
        unit.name, unit.outputs = graph.values[value].name, [value]
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
            unit = _unit(graph, line, len(units), before, _shape(line.last, features_last), rank)
            unit.name = line.name
            units.append(unit)
        unit.outputs += outputs
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
    shown = before.family == "input" and line.last.op not in MOVES
    return line.role == "layer" and not shown and (joins or not _changes_the_map(line.last))


def _changes_the_map(layer: Layer) -> bool:
    if layer.op in _JOINS:
        return len(layer.inputs) > 1
    return bool(layer.windows) or layer.op in _FEATURES_LAST or layer.op in _RESIZES or layer.op in POOLINGS


def _shape(layer: Layer, features_last: set[int]) -> tuple[int, ...]:
    """Return the shape of one sample with its channels, or its features, first."""
    shape = layer.output_shape[1:]
    if layer.op == "matmul":
        shape = shape[-2:]  # before them there are samples and heads, in any number of axes
    return (shape[-1], *shape[:-1]) if layer.output in features_last and len(shape) > 1 else shape


def _side(shape: tuple[int, ...], rank: int) -> float | None:
    """Return the largest spatial size; of tokens of a network that reads images, that of a square map of them.

    >>> _side((64, 56, 28), 2), _side((192, 196), 2), _side((128, 8000), 1), _side((10,), 2)
    (56, 14.0, 8000, None)
    """
    if len(shape) == 2 and rank > 1:
        return float(round(shape[1] ** (1 / rank), 6))
    return max(shape[1:], default=None)


def _unit(graph: Graph, line: FoldedLine, index: int, before: list[Unit], shape: tuple[int, ...], rank: int) -> Unit:
    layer = line.last
    side = _side(shape, rank)
    enlarges = any(_enlarges(each.op) for each in line.layers)
    tip = f"{line.name}: {operation(layer)} → {output_shape(layer)}"
    tip += f"\n{ink.count(line.parameters)} parameters, {ink.count(line.macs)} MACs"
    group = layer.module.partition(".")[0]
    if line.role != "layer":
        inside = _blocks_inside(graph, line) if line.role == "collapsed" else ""
        name = _name(line) if not inside else _tail(line.name)
        labels = (name, *([inside] if inside else []), _channels(shape))
        tip = f"{line.name} to {line.until}: {tip}" if line.count > 1 else tip
        joined = [len(each.inputs) - 1 for each in line.layers if each.op in _JOINS]
        skips = min(_SHOWN_SKIPS, max(joined, default=0))
        return Unit(index, "block", labels, tip, shape, side, line.count, group, line.name, skips, enlarges, before)
    if layer.op in _JOINS and len(before) > 1:
        return Unit(index, "join", (_JOINS[layer.op],), tip, shape, side, 1, group, before=before)
    module = layer.module if layer.kind else ""
    size = ink.shape(layer.output_shape[-2:]) if layer.op == "matmul" else _channels(shape)
    family: Family = "other" if layer.op in _JOINS else family_of(layer.op)  # of a value with itself
    return Unit(index, family, (_short(line), size), tip, shape, side, 1, group, module, 0, enlarges, before)


def _name(line: FoldedLine) -> str:
    """Return the name of a block: its class where its path says only a number, else the end of that."""
    kind = "" if line.kind in _CONTAINERS else line.kind or operation(line.last)
    if line.count > 1:
        return f"{line.count}× {kind or 'block'}"
    return kind if kind and (line.role == "folded" or line.name.rpartition(".")[2].isdigit()) else _tail(line.name)


def _blocks_inside(graph: Graph, line: FoldedLine) -> str:
    """Return how many blocks of one class a module consists of: "24× DenseLayer"; "" where it is otherwise made."""
    kinds = {module.path: module.kind for module in graph.modules}
    sizes: dict[str, int] = {}
    for layer in line.layers:
        child = ".".join(layer.module.split(".")[: line.name.count(".") + 2])
        sizes[child] = sizes.get(child, 0) + _changes_the_map(layer)
    blocks = [child for child, size in sizes.items() if size > 1 and child != line.name]
    classes = {kinds.get(child, "") for child in blocks}
    alone = all(child in blocks for child in sizes if kinds.get(child) and child != line.name)
    if len(blocks) < 2 or len(classes) > 1 or classes & _CONTAINERS or not alone:
        return ""
    return f"{len(blocks)}× {classes.pop().lstrip('_')}"


def _enlarges(op: str) -> bool:
    return op in _RESIZES or op == "transposed_convolution"


def _tail(path: str) -> str:
    """Return the end of a path that says something: "features.block1" is "block1", "blocks.3" stays.

    >>> _tail("features.block1"), _tail("body.blocks.3"), _tail("body.stages.0.0"), _tail("0.1")
    ('block1', 'blocks.3', 'stages.0.0', '0.1')
    """
    parts = path.split(".")
    named = max((n for n, part in enumerate(parts) if not part.isdigit()), default=0)
    return ".".join(parts[named:])


def family_of(op: str) -> Family:
    """Return what colour an operation has.

    >>> family_of("convolution"), family_of("max_pool"), family_of("concat"), family_of("relu")
    ('convolution', 'pooling', 'join', 'other')
    """
    if op in _JOINS:
        return "join"
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
