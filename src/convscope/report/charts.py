"""Charts: curves, bars, a confusion matrix, and a picture with boxes over it.

Nothing depends on colour alone: curves differ in dash as well, matrix cells carry their numbers, boxes their labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from convscope.report import units
from convscope.report.png import png_data_uri
from convscope.report.svg import (
    CHARACTER_WIDTH,
    FILL_UNDER_INK,
    SERIES,
    Colour,
    Drawing,
    Element,
    element,
    group,
    line,
    paint,
    rectangle,
    text,
)
from convscope.report.svg import text_width as width_of
from convscope.report.table import display_width
from convscope.report.ticks import Scale, axis_ticks, nice_ticks

_DASHES = (None, "6 3", "2 3", "8 3 2 3")
_TITLE_HEIGHT, _TITLE_SIZE = 34, 14
_NARROWEST_TITLE = 480.0  # room for a title above a matrix of few classes
LEGEND_LINE = 18
LONGEST_LABEL = 24  # characters of a class name beside a matrix; its tool-tip has all
_LONGEST_NAME = 60  # characters of a name beside a bar
_SHORTEST_BAR = 160.0  # what the largest bar has at least
_SMALLEST = 10.0  # font size
_NUMBERED = 18.0  # the side of a matrix cell from which it has room for its number
_PITCH = 14.0  # between names that stand at an angle


@dataclass(frozen=True, slots=True)
class Curve:
    """A named curve; a y that is None or not finite leaves a gap."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]


def line_chart(
    curves: Sequence[Curve],
    *,
    title: str,
    x_label: str,
    y_label: str,
    y_limits: tuple[float, float] | None = None,
    x_scale: Scale = "linear",
    marked: bool = False,
    width: float = 640,
    height: float = 320,
) -> Drawing:
    """Curves over a common x, with axes, ticks and a legend; x is above 0 where its scale is "log".

    Where they are `marked`, each point has a dot: for a few measurements with lines between them.
    """
    points = [_finite(curve) for curve in curves]
    everything = [p for curve in points for segment in curve for p in segment] or [(0.0, 0.0)]
    y_ticks = nice_ticks(*(y_limits or (min(y for _, y in everything), max(y for _, y in everything))))
    x_low, x_high = min(x for x, _ in everything), max(x for x, _ in everything)
    x_ticks = axis_ticks([x for x, _ in everything], x_scale)
    left = 26 + max(width_of(_number(t), 11) for t in y_ticks)
    legend, legend_height = _legend([curve.name for curve in curves], left, _TITLE_HEIGHT + 4, width=width)
    top, right, bottom = _TITLE_HEIGHT + 24 + legend_height, 16, 46
    height += legend_height
    plot_width, plot_height = width - left - right, height - top - bottom

    def place(x: float, y: float) -> tuple[float, float]:
        if x_high == x_low:
            across = 0.5
        elif x_scale == "log":
            across = math.log(x / x_low) / math.log(x_high / x_low)
        else:
            across = (x - x_low) / (x_high - x_low)
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return left + across * plot_width, top + (1 - min(max(up, 0.0), 1.0)) * plot_height

    parts: list[Element | None] = [_titled(title, width)]
    for tick in y_ticks:
        _, y = place(x_low, tick)
        parts += [
            line(left, y, width - right, y),
            text(left - 8, y + 4, _number(tick), size=11, anchor="end", colour="muted"),
        ]
    for tick in x_ticks:
        x, _ = place(tick, 0)
        parts += [
            line(x, height - bottom, x, height - bottom + 4, colour="muted"),
            text(x, height - bottom + 18, _number(tick), size=11, anchor="middle", colour="muted"),
        ]
    parts.append(line(left, height - bottom, width - right, height - bottom, colour="muted"))
    parts.append(text(left + plot_width / 2, height - 8, x_label, size=12, anchor="middle", colour="muted"))
    parts.append(text(12, top + plot_height / 2, y_label, size=12, anchor="middle", colour="muted", rotate=-90))
    for i, segments in enumerate(points):
        for segment in segments:
            placed = [place(x, y) for x, y in segment]
            parts.append(_curve(placed, i))
            if marked and len(placed) > 1:
                parts += [_curve([point], i) for point in placed]
    parts.append(legend)
    ends = "; ".join(_ending(curve, segments) for curve, segments in zip(curves, points, strict=True))
    return Drawing.of(width, height, parts, title=title, description=f"{y_label} over {x_label}. {ends}")


def bar_chart(
    bars: Sequence[tuple[str, float]],
    *,
    title: str,
    labels: Sequence[str] | None = None,
    colours: Sequence[Colour] | None = None,
    largest: float | None = None,
    width: float = 640,
) -> Drawing:
    """Horizontal bars, each with its name before it and its value after it.

    Args:
        bars: names and values, values at least 0.
        title: what the bars measure.
        labels: the values as text; plain numbers unless given.
        colours: a colour per bar.
        largest: the value of a full bar; the largest of the values unless given.
        width: of the drawing.
    """
    shown = list(labels) if labels is not None else [_number(value) for _, value in bars]
    full = largest or max((value for _, value in bars), default=0.0) or 1.0
    names = [_elided(name, _LONGEST_NAME) for name, _ in bars]
    left = 14 + max((width_of(name) for name in names), default=0.0)
    after = 12 + max((width_of(label) for label in shown), default=0.0)
    width = max(width, left + _SHORTEST_BAR + after)
    room = width - left - after
    step, top = 24, _TITLE_HEIGHT
    parts: list[Element | None] = [_titled(title, width)]
    for i, (name, (_, value), label) in enumerate(zip(names, bars, shown, strict=True)):
        y = top + i * step
        length = max(1.0, room * min(value / full, 1.0)) if value > 0 else 1.0
        parts.append(text(left - 8, y + 15, name, size=12, anchor="end"))
        parts.append(rectangle(left, y + 3, length, step - 7, fill=colours[i] if colours else "blue", radius=2))
        parts.append(text(left + length + 6, y + 15, label, size=12, colour="muted"))
    description = "; ".join(f"{name}: {label}" for (name, _), label in zip(bars, shown, strict=True))
    return Drawing.of(width, top + len(bars) * step + 4, parts, title=title, description=description or "no bars")


def confusion_matrix(counts: npt.NDArray[np.integer], classes: Sequence[str], *, title: str) -> Drawing:
    """Draw a confusion matrix: images by true class (row) and predicted class (column); mistakes in another colour.

    A cell's strength is its share of the row; its number is shown where there is room, and in its tool-tip always.
    """
    n = len(classes)
    assert counts.shape == (n, n), f"{n} classes need a matrix of {n}×{n}, got {counts.shape}"
    digits = max(2, len(str(counts.max(initial=0))))
    cell = max(min(44.0, 620.0 / max(n, 1)), _SMALLEST * 0.62 * digits if n <= 40 else _PITCH if n <= 100 else 8.0)
    size = 12 if cell >= _NUMBERED else _SMALLEST
    every = math.ceil(_PITCH / cell)  # which names there is room for
    labels = [_elided(name, LONGEST_LABEL) for name in classes]
    names = max((width_of(label, size) for label in labels), default=0.0)
    left, top = names + 34, _TITLE_HEIGHT + 34 + names * 0.75
    width = left + n * cell + max(8.0, names * 0.67)
    width = max(width, min(width_of(title, _TITLE_SIZE), _NARROWEST_TITLE))
    parts: list[Element | None] = [
        _titled(title, width),
        text(left + n * cell / 2, _TITLE_HEIGHT + 8, "predicted", size=12, anchor="middle", colour="muted"),
        text(12, top + n * cell / 2, "true class", size=12, anchor="middle", colour="muted", rotate=-90),
    ]
    rows = np.maximum(counts.sum(axis=1), 1)
    for i, (name, label) in enumerate(zip(classes, labels, strict=True)):
        middle = i * cell + cell / 2
        if i % every == 0:
            parts.append(text(left - 8, top + middle + size * 0.35, label, size=size, anchor="end"))
            parts.append(text(left + middle + size * 0.3, top - 8, label, size=size, rotate=-48))
        for j in range(n):
            number = int(counts[i, j])
            parts.append(
                _matrix_cell(
                    left + j * cell,
                    top + i * cell,
                    cell,
                    number,
                    number / int(rows[i]),
                    i == j,
                    f"{name} predicted as {classes[j]}: {number:,}",
                )
            )
    parts.append(rectangle(left, top, n * cell, n * cell, stroke="muted"))
    correct, total = int(np.trace(counts)), int(counts.sum())
    share = units.percent(correct / total) if total else "none"
    description = f"{correct:,} of {total:,} right ({share}). Rows are true classes, columns predicted ones."
    return Drawing.of(width, top + n * cell + 8, parts, title=title, description=description)


@dataclass(frozen=True, slots=True)
class PlotBox:
    """A labelled box over a picture, in its pixels: rows [top, bottom), columns [left, right)."""

    top: int
    left: int
    bottom: int
    right: int
    label: str = ""
    colour: Colour = "orange"


def picture(
    image: npt.NDArray[np.uint8], *, title: str, description: str, boxes: Sequence[PlotBox] = (), width: float = 320
) -> Drawing:
    """Return an image, its pixels kept sharp, with labelled boxes over it."""
    rows, columns = image.shape[:2]
    scale = width / columns
    parts: list[Element | None] = [
        element("image", {
            "href": png_data_uri(image), "width": width, "height": rows * scale,
            "preserveAspectRatio": "none", "style": "image-rendering:pixelated" if scale >= 1.5 else None,
        })
    ]  # fmt: skip
    # Without a frame a white picture has no edge on white paper.
    parts.append(rectangle(0.5, 0.5, width - 1, max(0.0, rows * scale - 1), stroke="faint"))
    for box in boxes:
        x, y = box.left * scale, box.top * scale
        wide, high = (box.right - box.left) * scale, (box.bottom - box.top) * scale
        # Dark under light: the outline shows on any picture.
        parts.append(rectangle(x, y, wide, high, stroke="paper", stroke_width=4))
        parts.append(rectangle(x, y, wide, high, stroke=box.colour, stroke_width=2))
        if box.label:
            below = y < 18
            parts.append(_tag(min(x, width - width_of(box.label, 11) - 8), y + high + 3 if below else y - 17, box))
    return Drawing.of(width, rows * scale, parts, title=title, description=description)


def _tag(x: float, y: float, box: PlotBox) -> Element:
    return group(
        rectangle(0, 0, width_of(box.label, 11) + 8, 15, fill=box.colour, radius=2),
        text(4, 11, box.label, size=11, colour="paper"),
        x=max(0.0, x),
        y=y,
    )


def _titled(title: str, width: float) -> Element:
    """Return a title as wide as its chart at most, its middle left out; the drawing's own title has all of it."""
    longest = int(width / (_TITLE_SIZE * CHARACTER_WIDTH) + 1e-6)
    return text(0, 16, _elided(title, longest), size=_TITLE_SIZE, bold=True)


def _elided(name: str, longest: int) -> str:
    """Return a name with its middle left out where it is long: names of a kind differ at one of their ends.

    A wide character, as of Chinese, counts as two.
    """
    if (cells := display_width(name)) <= longest:
        return name
    most = longest * len(name) // cells
    return f"{name[: most * 2 // 3]}…{name[1 + most * 2 // 3 - most :]}"


def _matrix_cell(x: float, y: float, cell: float, number: int, share: float, right: bool, tip: str) -> Element:
    # A mistake of 5 % must be seen beside a diagonal of 95 %: strength grows with the root of the share.
    strength = (share if right else math.sqrt(share)) * (FILL_UNDER_INK if cell >= _NUMBERED else 1)
    parts = [rectangle(x, y, cell, cell, fill="blue" if right else "orange", opacity=round(strength, 3), tip=tip)]
    size = min(12.0, cell / (0.62 * max(2, len(str(number)))))
    if number and cell >= _NUMBERED and size >= _SMALLEST - 1e-9:
        parts.append(text(x + cell / 2, y + cell / 2 + size * 0.35, f"{number}", size=size, anchor="middle"))
    return group(*parts)


def _finite(curve: Curve) -> list[list[tuple[float, float]]]:
    """Return the curve's runs of finite points."""
    segments: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(curve.x, curve.y, strict=True):
        if y is not None and math.isfinite(y):
            segments[-1].append((float(x), float(y)))
        elif segments[-1]:
            segments.append([])
    return [segment for segment in segments if segment]


def _curve(points: Sequence[tuple[float, float]], index: int) -> Element:
    colour = SERIES[index % len(SERIES)]
    if len(points) == 1:
        return element("circle", {"cx": points[0][0], "cy": points[0][1], "r": 3} | paint(colour))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    attributes = paint("none", colour, width=2) | {
        "points": path, "stroke-linejoin": "round",
        # Of the ninth curve, whose colour is the first one's, another dash.
        "stroke-dasharray": _DASHES[(index + index // len(SERIES)) % len(_DASHES)],
    }  # fmt: skip
    return element("polyline", attributes)


def _legend(names: Sequence[str], left: float, top: float, *, width: float) -> tuple[Element, float]:
    """Return the legend in lines that fit the width, and the height of all lines but the first."""
    parts: list[Element] = []
    x, y = left, top
    longest = max(8, int((width - left - 28) / (12 * CHARACTER_WIDTH)))
    for i, name in enumerate(_elided(name, longest) for name in names):
        if x > left and x + 28 + width_of(name) > width:
            x, y = left, y + LEGEND_LINE
        parts.append(_curve([(x, y), (x + 22, y)], i))
        parts.append(text(x + 28, y + 4, name, size=12))
        x += 28 + width_of(name) + 20
    return group(*parts), y - top


def _ending(curve: Curve, segments: list[list[tuple[float, float]]]) -> str:
    if not segments:
        return f"{curve.name} has no points"
    (first_x, first_y), (last_x, last_y) = segments[0][0], segments[-1][-1]
    return f"{curve.name} goes from {_number(first_y)} at {_number(first_x)} to {_number(last_y)} at {_number(last_x)}"


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e15:
        return units.count(int(value))
    return f"{value:.4g}"
