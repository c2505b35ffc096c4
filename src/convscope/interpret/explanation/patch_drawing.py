"""Patches of numbers as drawings: matrices in two dimensions, rows in one; colour says sign and size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from convscope.arrays import Array
from convscope.interpret.explanation.patch_text import decimals
from convscope.report.svg import (
    FILL_UNDER_INK,
    Colour,
    Drawing,
    Element,
    element,
    group,
    line,
    rectangle,
    text,
    text_width,
)

CELL = (54.0, 30.0)
NARROW = (38.0, 24.0)
WIDE_FROM = 8  # columns from which cells are narrow
LABEL = 22.0
MOST_DECIMALS = 4  # what a cell has room for
SIGN = 34.0
ACROSS = 12  # numbers of a signal in a row


def matrix(
    values: Array,
    *,
    title: str = "",
    inside: Array | None = None,
    marked: tuple[int, int] | None = None,
    largest: float | None = None,
    digits: int = 3,
    wide: bool | None = None,
) -> tuple[Element, float, float]:
    """Return a matrix `(rows, columns)` with its title above, and its width and height.

    Args:
        values: numbers; blue above zero, orange below, the stronger the larger.
        title: the heading.
        inside: False for padding, which is drawn empty and dashed.
        marked: the cell to frame.
        largest: the number that gets the full colour; the largest here unless given.
        digits: significant digits of the largest number.
        wide: whether cells have room for them; decided by the number of columns unless given.
    """
    rows, columns = values.shape
    narrow = columns >= WIDE_FROM if wide is None else not wide
    width, height = NARROW if narrow else CELL
    shown = values if inside is None else values[inside]
    places = decimals(shown, digits - 1 if narrow else digits) if shown.size else None
    scale = largest or largest_of(values) or 1.0
    parts: list[Element | None] = [text(0, 14, title, size=12, colour="muted")] if title else []
    for i in range(rows):
        for j in range(columns):
            x, y = j * width, LABEL + i * height
            if inside is not None and not inside[i, j]:
                parts.append(_padding(x, y, width, height))
                continue
            number = float(values[i, j])
            hue: Colour = "blue" if number > 0 else "orange"
            strength = min(1.0, abs(number) / scale) if math.isfinite(number) else 1.0
            opacity = round(0.05 + (FILL_UNDER_INK - 0.05) * strength, 3) if number else 0.0
            tip = f"{number:.7g}"
            parts.append(rectangle(x, y, width, height, fill=hue, stroke="faint", opacity=opacity, tip=tip))
            size = 9 if narrow else 12
            parts.append(
                text(x + width / 2, y + height / 2 + size * 0.36, _written(number, places), size=size, anchor="middle")
            )
    if marked is not None:
        i, j = marked
        parts.append(
            rectangle(j * width + 1, LABEL + i * height + 1, width - 2, height - 2, stroke="green", stroke_width=2.5)
        )
    return group(*parts), max(columns * width, 7.0 * len(title)), LABEL + rows * height


def largest_of(values: Array) -> float:
    """Return the largest size of the numbers that are finite; 0 where there are none."""
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def _written(number: float, places: int | None) -> str:
    if not number:
        return "0"
    if places is not None and places > MOST_DECIMALS + 1:
        return f"{number:.0e}".replace("-", "−")
    written = f"{number:.0f}" if places is None else f"{number:.{min(places, MOST_DECIMALS)}f}"
    return written.replace("-", "−")


def row_of_matrices(
    parts: Sequence[tuple[Element, float, float]],
    signs: Sequence[str],
    *,
    title: str,
    description: str,
    after: str = "",
) -> Drawing:
    """Matrices side by side with signs between them, and a remark after the last."""
    height = max(h for _, _, h in parts)
    placed: list[Element | None] = []
    x = 1.0
    for index, (drawn, width, own) in enumerate(parts):
        placed.append(group(drawn, x=x, y=(height - own) / 2))
        x += width
        if index < len(signs):
            middle = LABEL + (height - LABEL) / 2
            placed.append(text(x + SIGN / 2, middle + 6, signs[index], size=18, anchor="middle", colour="muted"))
            x += SIGN
    if after:
        placed.append(text(x + 16, LABEL + (height - LABEL) / 2 + 5, after, size=14, bold=True))
        x += 20 + 1.1 * text_width(after, 14)
    return Drawing.of(x + 2, height + 2, placed, title=title, description=description)


def column_of_matrices(
    parts: Sequence[tuple[Element, float, float]], *, title: str, description: str, after: str = ""
) -> Drawing:
    """Return matrices one under the other, and a remark below the last."""
    placed: list[Element | None] = []
    y = 0.0
    for drawn, _, height in parts:
        placed.append(group(drawn, x=1, y=y))
        y += height + 6
    if after:
        placed.append(text(1, y + 14, after, size=14, bold=True))
        y += 20
    width = max(width for _, width, _ in parts)
    return Drawing.of(max(width, 1.1 * text_width(after, 14)) + 4, y, placed, title=title, description=description)


def products_drawing(
    title: str, patch: Array, kernel: Array, products: Array, inside: Array, adds: str, description: str
) -> Drawing:
    """Draw patch × kernel = products, of two dimensions."""
    parts = [
        matrix(patch, title=title, inside=inside),
        matrix(kernel, title="kernel"),
        matrix(products, title="products", inside=inside),
    ]
    return row_of_matrices(parts, ("×", "="), after=adds, title=title.capitalize(), description=description)


def rows_drawing(
    rows: Sequence[tuple[str, Array, Array | None]],
    positions: Sequence[int | None],
    marked: int | None,
    after: str,
    description: str,
) -> Drawing:
    """Draw rows of numbers one under the other, in pieces of `ACROSS` columns that say their positions."""
    parts = []
    for start in range(0, len(positions), ACROSS):
        stop = min(start + ACROSS, len(positions))
        read = [place for place in positions[start:stop] if place is not None]
        where = f"positions {read[0]} to {read[-1]}" if read else "in the padding"
        for number, (title, values, inside) in enumerate(rows):
            here = None if marked is None or not start <= marked < stop else (0, marked - start)
            parts.append(matrix(
                values[None, start:stop], title=f"{title}, {where}" if number == 0 else title,
                inside=None if inside is None else inside[None, start:stop], marked=here,
                largest=largest_of(values) or None, wide=True,
            ))  # fmt: skip
    return column_of_matrices(parts, title=rows[0][0].capitalize(), description=description, after=after)


def _padding(x: float, y: float, width: float, height: float) -> Element:
    inner = element(
        "g", {"stroke-dasharray": "3 3"}, rectangle(x + 1.5, y + 1.5, width - 3, height - 3, stroke="grey", radius=3)
    )
    return group(inner, line(x + width * 0.42, y + height / 2, x + width * 0.58, y + height / 2, colour="grey"))
