"""A matrix of numbers as a picture: named rows and columns, one colour scale with its ends in numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from convscope.arrays import Array
from convscope.report.colour_maps import ColourScale, number_text, takes_black_text
from convscope.report.image_grid import colour_bar
from convscope.report.png import png_data_uri
from convscope.report.svg import Drawing, Element, element, group, rectangle, text
from convscope.report.svg import text_width as width_of

_LONGEST = 24  # characters of a name
_SIZE, _PITCH = 10.0, 13.0  # of the names' letters, and between names that are drawn
_LARGEST, _SMALLEST = 34.0, 3.0  # side of a cell
_NUMBERED = 30.0  # side from which a cell carries its number
_ROOM = 560.0


def matrix_chart(
    values: Array,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    scale: ColourScale,
    unit: str,
    row_axis: str = "",
    column_axis: str = "",
) -> Drawing:
    """Draw a matrix (R, C); cells that are not finite are hatched.

    Args:
        values: the numbers.
        rows: a name for each row, from the top.
        columns: a name for each column.
        title: what is shown.
        scale: of all cells.
        unit: what the numbers are, beside the colour bar.
        row_axis: what the rows are.
        column_axis: what the columns are.
    """
    assert values.shape == (len(rows), len(columns)), f"{values.shape} for {len(rows)} rows, {len(columns)} columns"
    cell = min(_LARGEST, max(_SMALLEST, _ROOM / max(1, *values.shape)))
    row_names, column_names = [_short(name) for name in rows], [_short(name) for name in columns]
    left = 28 + max((width_of(name, _SIZE) for name in row_names), default=0.0)
    slanted = max((width_of(name, _SIZE) for name in column_names), default=0.0)
    top = 84 + slanted * 0.75
    wide, high = cell * len(columns), cell * len(rows)
    parts: list[Element | None] = [text(0, 16, title, size=14, bold=True), group(*colour_bar(scale, unit), y=26)]
    parts.append(text(left + wide / 2, 62, column_axis, size=11, anchor="middle", colour="muted"))
    parts.append(text(10, top + high / 2, row_axis, size=11, anchor="middle", colour="muted", rotate=-90))
    every = math.ceil(_PITCH / cell)  # which names there is room for
    for number, name in enumerate(row_names):
        if number % every == 0:
            y = top + (number + 0.5) * cell + _SIZE * 0.35
            parts.append(text(left - 6, y, name, size=_SIZE, anchor="end"))
    for number, name in enumerate(column_names):
        if number % every == 0:
            x = left + (number + 0.5) * cell + _SIZE * 0.3
            parts.append(text(x, top - 6, name, size=_SIZE, rotate=-48))
    if values.size:
        pixels = scale.picture(values, least=max(values.shape) * 4)
        parts.append(element("image", {
            "href": png_data_uri(pixels), "x": left, "y": top, "width": wide, "height": high,
            "preserveAspectRatio": "none", "style": "image-rendering:pixelated",
        }))  # fmt: skip
    parts.append(rectangle(left, top, wide, high, stroke="muted"))
    if cell >= _NUMBERED:
        parts += _numbers(values, scale, left, top, cell)
    width = max(left + wide + 8 + slanted * 0.67, width_of(title, 14), 220 + width_of(unit, 11))
    return Drawing.of(width, top + high + 6, parts, title=title, description=_in_words(values))


def _numbers(values: Array, scale: ColourScale, left: float, top: float, cell: float) -> list[Element]:
    """Return each cell's number, in white or black by what it is drawn on."""
    black = takes_black_text(scale.colours(values))
    found = []
    for (row, column), value in np.ndenumerate(values):
        if not np.isfinite(value):
            continue
        number = text(left + (column + 0.5) * cell, top + (row + 0.5) * cell + 3.5, number_text(round(float(value), 2)),
                      size=_SIZE, anchor="middle")  # fmt: skip
        # Written over the palette's ink: the colours of a scale are the same in light and dark.
        colour = "#000000" if black[row, column] else "#ffffff"
        attributes = {**dict(number.attributes), "fill": colour}
        attributes.pop("class", None)
        found.append(element("text", attributes, *number.children))
    return found


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST // 2]}…{name[1 - _LONGEST // 2 :]}"


def _in_words(values: Array) -> str:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return "no numbers"
    return f"{values.shape[0]} by {values.shape[1]}: {number_text(finite.min())} to {number_text(finite.max())}"
