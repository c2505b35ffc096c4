"""A dot-and-interval plot: each row's values as small dots, their mean and its interval as a dot on a bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from convscope.report.svg import Colour, Drawing, Element, element, line, paint, text
from convscope.report.svg import text_width as width_of
from convscope.report.ticks import nice_ticks

_ROW = 34
_TOP = 40
_BOTTOM = 46


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """A row: its name, the single values, their mean, its interval's ends (None with one value), the mean as text."""

    name: str
    values: Sequence[float]
    mean: float
    low: float | None
    high: float | None
    label: str
    colour: Colour = "blue"


def interval_plot(
    rows: Sequence[IntervalRow],
    *,
    title: str,
    x_label: str,
    reference: float | None = None,
    limits: tuple[float, float] | None = None,
    width: float = 680,
) -> Drawing:
    """Draw the rows from top to bottom over one axis; `reference` is a value drawn as a vertical line.

    `limits` keeps the axis within what the values can be: an interval may reach beyond, and then ends at the frame.
    """
    ends = [end for row in rows for end in (*row.values, row.mean, row.low, row.high) if end is not None]
    ends += [reference] if reference is not None else []
    lowest, highest = min(ends, default=0.0), max(ends, default=1.0)
    if limits is not None:
        lowest, highest = max(lowest, limits[0]), min(highest, limits[1])
    ticks = nice_ticks(lowest, highest)
    if limits is not None:  # an axis of one number is wider than the number
        ticks = [tick for tick in ticks if limits[0] <= tick <= limits[1]]
    left = 20 + max((width_of(row.name) for row in rows), default=0.0)
    right = 16 + max((width_of(row.label) for row in rows), default=0.0)
    bottom = _TOP + _ROW * len(rows)

    def place(value: float) -> float:
        share = (value - ticks[0]) / (ticks[-1] - ticks[0])
        return left + min(max(share, 0.0), 1.0) * (width - left - right)

    parts: list[Element | None] = [text(0, 16, title, size=14, bold=True)]
    for tick in ticks:
        parts.append(line(place(tick), _TOP - 6, place(tick), bottom))
        parts.append(text(place(tick), bottom + 16, f"{tick:g}", size=11, anchor="middle", colour="muted"))
    if reference is not None:
        parts.append(line(place(reference), _TOP - 6, place(reference), bottom, colour="muted", width=1.5))
    parts.append(text((left + width - right) / 2, bottom + 36, x_label, size=12, anchor="middle", colour="muted"))
    for number, row in enumerate(rows):
        parts += _row(row, _TOP + number * _ROW + _ROW / 2, place, left, width)
    described = "; ".join(f"{row.name}: {row.label}" for row in rows)
    return Drawing.of(width, bottom + _BOTTOM, parts, title=title, description=f"{x_label}. {described}")


def _row(row: IntervalRow, y: float, place: Callable[[float], float], left: float, width: float) -> list[Element]:
    parts = [text(left - 12, y + 4, row.name, anchor="end")]
    if row.low is not None and row.high is not None:
        low, high = place(row.low), place(row.high)
        parts.append(line(low, y, high, y, colour=row.colour, width=2.5))
        parts += [line(end, y - 5, end, y + 5, colour=row.colour, width=2.5) for end in (low, high)]
    for value in row.values:
        parts.append(
            element("circle", {"cx": place(value), "cy": y - 9, "r": 2.5, "fill-opacity": 0.7} | paint("muted"))
        )
    parts.append(element("circle", {"cx": place(row.mean), "cy": y, "r": 5} | paint(row.colour)))
    parts.append(text(width, y + 4, row.label, anchor="end", colour="muted"))
    return parts
