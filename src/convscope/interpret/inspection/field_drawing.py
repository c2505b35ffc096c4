"""The receptive field as it grows: nested frames over the input, and its size layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convscope.geometry.relation import ReachStatus
from convscope.graph.axes import input_axes
from convscope.graph.records import Graph
from convscope.graph.summary import Layer
from convscope.report import units
from convscope.report.svg import SERIES, Attribute, Drawing, Element, element, line, paint, rectangle, text, text_width
from convscope.report.ticks import nice_ticks

_SIDE = 300.0  # of the square on which frames are drawn
_FRAMES = 7
_CHART = (376.0, 534.0, 236.0)  # left, width, height
_TOP = 34.0
_LABEL = 10.5


@dataclass(frozen=True, slots=True)
class FieldGrowth:
    """A layer with its field's rows and columns."""

    layer: Layer
    rows: int
    columns: int


def field_drawing(graph: Graph, growth: Sequence[FieldGrowth], source: int) -> Drawing:
    """Draw the receptive field on an input as it grows from layer to layer, of which there is one at least."""
    sizes = [graph.shape(source)[axis] for axis in input_axes(graph, source).positions]
    image_rows, image_columns = (sizes[-2], sizes[-1]) if len(sizes) > 1 else (1, sizes[-1])
    frames = _chosen(growth)
    parts: list[Element | None] = [text(0, 14, "receptive field over the input", size=13, bold=True)]
    parts += _frames(frames, image_rows, image_columns)
    parts += _steps(growth, max(image_rows, image_columns), [frame.layer.index for frame in frames])
    legend, bottom = _legend(frames)
    parts += legend
    last = growth[-1]
    description = "; ".join(f"{f.layer.name}: {units.per_axis((f.rows, f.columns))}" for f in frames)
    return Drawing.of(
        _CHART[0] + _CHART[1],
        max(_TOP + _SIDE + 20, bottom),
        parts,
        title=f"{graph.name}: the receptive field grows to {units.per_axis((last.rows, last.columns))}",
        description=description,
    )


def field_growth(layers: Sequence[Layer], source: int) -> list[FieldGrowth]:
    """Return the layers at which the exact field on an input is larger than at the last of them, along no axis less."""
    found: list[FieldGrowth] = []
    for layer in layers:
        fields = layer.field_along(source)
        if not fields or any(f.status is not ReachStatus.EXACT or not f.endless or f.size is None for f in fields):
            continue
        columns = fields[-1].size or 0
        rows = (fields[-2].size or 0) if len(fields) > 1 else 1
        last = (found[-1].rows, found[-1].columns) if found else (0, 0)
        # A branch may see more rows and fewer columns than another one: what joins them sees more of both.
        if (rows, columns) != last and rows >= last[0] and columns >= last[1]:
            found.append(FieldGrowth(layer, rows, columns))
    return found


def _chosen(growth: Sequence[FieldGrowth]) -> list[FieldGrowth]:
    """Return a few of them, from the first to the last, whose sizes are spread evenly by ratio."""
    if len(growth) <= _FRAMES:
        return list(growth)
    first, last = growth[0].columns, growth[-1].columns
    wanted = [first * (last / first) ** (i / (_FRAMES - 1)) for i in range(_FRAMES)]
    nearest = [min(growth, key=lambda g, w=size: abs(g.columns - w)) for size in wanted]  # type: ignore[misc]
    return list(dict.fromkeys([growth[0], *nearest, growth[-1]]))


def _frames(frames: Sequence[FieldGrowth], image_rows: int, image_columns: int) -> list[Element]:
    """Return the image, and the field of its middle position at each chosen layer."""
    largest = max(image_rows, image_columns, *(max(f.rows, f.columns) for f in frames))
    scale = (_SIDE - 4) / largest
    middle_x, middle_y = _SIDE / 2, _TOP + _SIDE / 2
    wide, high = image_columns * scale, image_rows * scale
    parts = [
        rectangle(middle_x - wide / 2, middle_y - high / 2, wide, high, fill="panel", stroke="muted", stroke_width=1.5),
        rectangle(0.5, _TOP + _SIDE + 6, 9, 9, fill="panel", stroke="muted"),
        text(14, _TOP + _SIDE + 14, f"image {units.shape((image_rows, image_columns))}", size=_LABEL, colour="muted"),
    ]
    for i, frame in sorted(enumerate(frames), key=lambda pair: -pair[1].columns):
        wide, high = frame.columns * scale, frame.rows * scale
        colour = SERIES[i % len(SERIES)]
        tip = f"{frame.layer.name}: {units.per_axis((frame.rows, frame.columns))} pixels"
        x, y = middle_x - wide / 2, middle_y - high / 2
        parts.append(rectangle(x, y, wide, high, fill=colour, stroke=colour, stroke_width=1.5, opacity=0.08, tip=tip))
    return parts


def _steps(growth: Sequence[FieldGrowth], image_size: int, marked: Sequence[int]) -> list[Element]:
    """Return the field's size over the layers, with the image's size as a line to compare."""
    left, width, height = _CHART
    largest = max(image_size, growth[-1].columns)
    ticks = nice_ticks(0, largest, wanted=4)
    last = growth[-1].layer.index + 1
    plot_left, plot_right, bottom = left + 34, left + width - 4, _TOP + height

    def place(index: float, size: float) -> tuple[float, float]:
        return plot_left + (plot_right - plot_left) * index / last, bottom - height * size / ticks[-1]

    parts = [text(left, 14, "its size, layer by layer", size=13, bold=True)]
    for tick in ticks:
        _, y = place(0, tick)
        parts.append(line(plot_left, y, plot_right, y))
        parts.append(text(plot_left - 6, y + 4, f"{tick:g}", size=10, anchor="end", colour="muted"))
    _, y = place(0, image_size)
    dashes: dict[str, Attribute] = {"x1": plot_left, "y1": y, "x2": plot_right, "y2": y, "stroke-dasharray": "5 4"}
    parts.append(element("line", dashes | paint("none", "muted", width=1.2)))
    parts.append(text(plot_left + 4, y - 4, f"image {image_size}", size=10, colour="muted", halo=True))
    corners = [place(growth[0].layer.index, 1)]
    for step in growth:
        corners += [(place(step.layer.index, 0)[0], corners[-1][1]), place(step.layer.index, step.columns)]
    corners.append((plot_right, corners[-1][1]))
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    parts.append(element("polyline", {"points": points} | paint("none", "ink", width=1.6)))
    for i, step in enumerate(g for g in growth if g.layer.index in marked):
        colour = SERIES[i % len(SERIES)]
        x, y = place(step.layer.index, step.columns)
        tip = element("title", {}, f"{step.layer.name}: {step.columns}")
        parts.append(element("circle", {"cx": x, "cy": y, "r": 4} | paint(colour), tip))
    return parts


def _legend(frames: Sequence[FieldGrowth]) -> tuple[list[Element], float]:
    """Return the chosen layers with their colours, under the chart, and where that ends."""
    left, width, height = _CHART
    labels = [f"{units.per_axis((frame.rows, frame.columns))} at {frame.layer.name}" for frame in frames]
    columns = 2 if max(text_width(label, _LABEL) for label in labels) < width / 2 - 20 else 1
    longest = int((width - 14) / text_width("x", _LABEL))
    parts: list[Element] = []
    y = _TOP + height
    for i, label in enumerate(labels):
        row, column = divmod(i, columns)
        x, y = left + column * width / 2, _TOP + height + 20 + row * 15
        shown = label if len(label) <= longest else f"{label[:20]}…{label[21 - longest :]}"
        parts.append(rectangle(x, y - 8, 9, 9, fill=SERIES[i % len(SERIES)], radius=2))
        parts.append(text(x + 14, y, shown, size=_LABEL, colour="muted"))
    return parts, y + 8
