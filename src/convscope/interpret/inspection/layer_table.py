"""The table of layers: lines of the folded module tree, in ink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import prod

from convscope.geometry.relation import ReachStatus
from convscope.graph.fold import FoldedLine
from convscope.graph.network_field import LayerFields
from convscope.graph.receptive_field import ReceptiveField
from convscope.graph.records import Graph
from convscope.graph.summary import Layer
from convscope.report import units
from convscope.report.printable import few
from convscope.report.table import Cell, Column, Role, Row, Table

INDENT = "  "
NOTHING = "–"  # where a column has no meaning for a layer

_COLUMNS = (
    Column("layer"),
    Column("operation"),
    Column("output", note="channels and spatial sizes of one sample"),
    Column("parameters", numeric=True, note="shared ones where they are used first"),
    Column("MACs", numeric=True, note="multiply-adds of one sample; biases are not counted"),
    Column("field", numeric=True, note="receptive field in input pixels, as if the image had no borders"),
    Column("stride", numeric=True, note="input pixels between neighbouring positions"),
)
_ROLES: dict[str, Role] = {"layer": "body", "collapsed": "body", "heading": "group", "folded": "faint"}
_LOCAL = Column("local field", numeric=True, note="receptive field apart from gates and normalization over positions")
_START = Column("start", numeric=True, note="first input pixel of the first position's field; negative in the padding")
_MEMORY = Column("memory", numeric=True, note="new memory that the output takes; 0 for views and in-place operations")
_KEPT = Column("kept", numeric=True, note="bytes of one sample that autograd keeps for the backward pass")
_FORMULAS = (Column("parameters, worked out"), Column("MACs, worked out"))
_WIDE = (
    Column("input", note="channels and spatial sizes of what one sample gives it"),
    Column("values", numeric=True, note="numbers in the output of one sample: the activation size"),
    Column("kernel", numeric=True, note="of a convolution or pooling"),
    Column("of parameters", numeric=True, note="share of the network's parameters"),
    Column("of MACs", numeric=True, note="share of the network's multiply-adds"),
    _START,
    _MEMORY,
)
_INPUTS = 2  # this many of a layer's inputs are written out
PAGE_COLUMNS = _WIDE
"""Columns that are shown in a terminal only when they are asked for."""


def layer_table(
    graph: Graph,
    lines: Sequence[FoldedLine],
    *,
    source: int | None,
    batch: int,
    formulas: bool = False,
    wide: bool = False,
    local: LayerFields | None = None,
    kept: Mapping[str, int] | None = None,
) -> Table:
    """Return the lines as a table.

    Args:
        graph: the network.
        lines: from `graph.fold.fold`.
        source: the input against which fields are given, as an index into `Graph.values`; None where none has axes.
        batch: samples that the network was run on; costs are shown for one.
        formulas: columns with how the parameters and the MACs come about.
        wide: columns for inputs, output values, kernels, shares of the totals, where fields start, and memory.
        local: each layer's receptive fields apart from gates and normalization; a column if given.
        kept: bytes that autograd keeps of each layer for one sample, by the layer's name; a column if given.
    """
    columns = [
        *_COLUMNS,
        *((_LOCAL,) if local is not None else ()),
        *(_WIDE if wide else ()),
        *((_KEPT,) if kept else ()),
        *(_FORMULAS if formulas else ()),
    ]
    rows = []
    totals = graph.parameter_count, graph.macs
    shapes = {record.names[0]: record.spec.shape for record in graph.parameters if not record.buffer}
    for line in lines:
        cells = _cells(line, source, batch)
        if line.role == "heading":
            cells = [*cells[:2], *[("", None)] * (len(columns) - 2)]
        else:
            cells += [] if local is None else [field_size(local.get(line.last.index, ()))]
            cells += _wide_cells(graph, line, source, batch, totals) if wide else []
            cells += [_bytes_cell(sum(kept.get(layer.name, 0) for layer in line.layers))] if kept else []
            cells += _formulas(line, shapes) if formulas else []
        rows.append(Row.of(cells, _ROLES[line.role]))
    return Table(tuple(columns), tuple(rows))


def _cells(line: FoldedLine, source: int | None, batch: int) -> list[Cell]:
    fields = line.last.field_along(source) if source is not None else ()
    return [
        INDENT * line.depth + _name(line),
        _operation(line),
        output_shape(line.last),
        ("" if not line.parameters else units.exact(line.parameters), line.parameters),
        (macs_of(line.macs, batch), None if line.macs is None else line.macs // batch),
        field_size(fields),
        field_stride(fields),
    ]


def _wide_cells(graph: Graph, line: FoldedLine, source: int | None, batch: int, totals: tuple[int, int]) -> list[Cell]:
    fields = line.last.field_along(source) if source is not None else ()
    memory = sum(layer.activation_bytes for layer in line.layers) // batch
    shapes = dict.fromkeys(units.shape(graph.shape(value)[1:]) for value in line.layers[0].inputs)
    windows = line.last.windows if line.role == "layer" else ()
    kernel = units.shape([w.kernel_size for w in windows]) if windows else ""
    shares = (_share(line.parameters, totals[0]), _share(line.macs, totals[1]))
    values = prod(line.last.output_shape[1:]) if line.last.output is not None else 0
    counted: Cell = (units.exact(values) if values else "", values)
    return [few(tuple(shapes), _INPUTS), counted, kernel, *shares, field_start(fields), _bytes_cell(memory)]


def _formulas(line: FoldedLine, shapes: Mapping[str, tuple[int, ...]]) -> list[Cell]:
    """Return how a layer's parameters and its MACs come about; nothing for several layers in one line."""
    layer = line.last
    if line.role != "layer":
        return ["", ""]
    # A parameter that an earlier layer used is counted there.
    names = () if layer.shares else layer.parameter_names
    products = ["·".join(map(str, shapes[name])) or "1" for name in names if name in shapes]
    return [" + ".join(products), layer.formula]


def _share(number: int | None, total: int) -> Cell:
    return (units.percent(number / total), number / total) if number and total else ("", None)


def _bytes_cell(number: int) -> Cell:
    return (units.byte_size(number) if number else "", number)


def _name(line: FoldedLine) -> str:
    """Return the last part of the path: the indentation says the rest."""
    if line.role == "folded":
        return f"{_tail(line.name)} to {_tail(line.until)}" if line.count > 1 else _tail(line.name)
    return _tail(line.name)


def _tail(name: str) -> str:
    return name.rpartition(".")[2].rpartition(":")[2]


def _operation(line: FoldedLine) -> str:
    if line.role == "heading":
        return line.kind
    if line.role == "collapsed":
        return f"{line.kind}, {units.plural(len(line.layers), 'layer')}"
    if line.role == "folded":
        what = line.kind or operation(line.last)
        return (
            f"{what}, like {_tail(line.like)}"
            if line.count == 1
            else f"{line.count} × {what}, each like {_tail(line.like)}"
        )
    return operation(line.last)


def operation(layer: Layer) -> str:
    """Return a layer's operation with its window: "convolution 7×7/2", as papers write it."""
    words = layer.op.replace("_", " ")
    if not layer.windows:
        return words
    channels = layer.output_shape[1] if len(layer.output_shape) > 1 else 0
    if layer.groups > 1 and layer.groups == channels:
        words = f"depthwise {words}"
    words += f" {units.shape([w.kernel_size for w in layer.windows])}"
    strides = [w.stride for w in layer.windows]
    if any(stride > 1 for stride in strides):
        words += f"/{units.per_axis(strides)}"
    dilations = [w.dilation for w in layer.windows]
    if any(dilation > 1 for dilation in dilations):
        words += f", dilation {units.per_axis(dilations)}"
    if 1 < layer.groups < channels:
        words += f", {layer.groups} groups"
    return words


def output_shape(layer: Layer) -> str:
    """Return the output of one sample, the batch left out; a dash for parameters that no operation reads."""
    if layer.output is None:
        return NOTHING
    return units.shape(layer.output_shape[1:]) if len(layer.output_shape) > 1 else units.shape(layer.output_shape)


def macs_of(macs: int | None, batch: int) -> str:
    """Return the MACs of one sample; empty where there are none."""
    return units.count(None if macs is None else macs // batch) if macs != 0 else ""


def field_size(fields: Sequence[ReceptiveField]) -> str:
    """Return the field's size per axis; "all" where it is the whole axis by definition, "?" where it is not known."""
    if not fields:
        return NOTHING
    worst = max(field.status for field in fields)
    if worst is ReachStatus.UNKNOWN:
        return units.UNKNOWN
    if worst is ReachStatus.EXACT:
        return units.per_axis([field.size for field in fields])
    sizes = [None if field.status is ReachStatus.EXACT else "all" for field in fields]
    words = [size or str(field.size) for size, field in zip(sizes, fields, strict=True)]
    text = words[0] if len(set(words)) == 1 else "×".join(words)
    return f"≤ {text}" if worst is ReachStatus.DATA_DEPENDENT else text


def field_range(fields: Sequence[ReceptiveField]) -> str:
    """Return the field's size, and where positions differ the smallest and the largest: "234 to 236"."""
    return range_text([field.least for field in fields], [field.size for field in fields])


def range_text(least: Sequence[int | None], largest: Sequence[int | None]) -> str:
    """Return the smallest and largest size per axis, once where the axes agree.

    >>> range_text((7, 7), (7, 7)), range_text((5, 5), (7, 7)), range_text((5, 5), (8, 9))
    ('7', '5 to 7', '5 to 8×5 to 9')
    """
    pairs = zip(least, largest, strict=True)
    texts = [units.per_axis([most]) if low == most else f"{low} to {most}" for low, most in pairs]
    return texts[0] if len(set(texts)) == 1 else "×".join(texts)


def field_stride(fields: Sequence[ReceptiveField]) -> str:
    """Return the input pixels per position, per axis; a dash where there is no single number."""
    strides = [field.stride for field in fields]
    if not strides or any(stride is None for stride in strides):
        return NOTHING
    texts = [_fraction(stride) for stride in strides if stride is not None]
    return texts[0] if len(set(texts)) == 1 else "×".join(texts)


def field_start(fields: Sequence[ReceptiveField]) -> str:
    """Return the first input pixel of the first position's field, per axis."""
    if not fields or any(field.start is None or field.stride is None for field in fields):
        return NOTHING
    texts = [str(field.start).replace("-", "−") for field in fields]
    return texts[0] if len(set(texts)) == 1 else ", ".join(texts)


def _fraction(value: Fraction) -> str:
    return str(value)
