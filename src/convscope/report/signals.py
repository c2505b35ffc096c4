"""One-dimensional signals as drawings: the whole axis, and the part of it that matters, enlarged below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convscope.arrays import Array
from convscope.report.svg import Drawing, Element, element, line, paint, rectangle, text

WIDTH = 640.0
HEIGHT = 70.0  # of one panel
_LABEL, _SCALE = 18.0, 16.0  # above and below a panel
_BINS = 480
_ENLARGED_BELOW = 1 / 3  # share of the axis from which the part is large enough to see
_MARGIN = 0.15  # on each side of the enlarged part, of its length


def signal_drawing(
    signals: Sequence[tuple[str, Array, Array]], *, span: tuple[int, int] | None, title: str, description: str
) -> Drawing:
    """Draw signals over their positions, the span framed, and once more enlarged where it is small.

    Args:
        signals: of each a name, and the lowest and the highest number at every position `(L,)`; of a waveform both are
            the waveform, of a share of something the lowest is 0.
        span: first and last position of the part that matters.
        title: the text for screen readers.
        description: likewise.

    >>> wave = np.sin(np.arange(100))
    >>> signal_drawing([("input", wave, wave)], span=(10, 19), title="a wave", description="").height
    208.0
    """
    length = len(signals[0][1])
    windows = [(0, length)]
    if span is not None and (span[1] - span[0] + 1) / length < _ENLARGED_BELOW:
        margin = max(1, round(_MARGIN * (span[1] - span[0] + 1)))
        windows.append((max(0, span[0] - margin), min(length, span[1] + 1 + margin)))
    parts: list[Element | None] = []
    y = 0.0
    for name, low, high in signals:
        for first, stop in windows:
            lows, highs = low[first:stop], high[first:stop]
            largest = float(max(np.abs(lows).max(), np.abs(highs).max())) or 1.0
            bottom = min(0.0, float(lows.min())) / largest
            place = "" if (first, stop) == (0, length) else f", positions {first} to {stop - 1}"
            remark = f"{name}{place}, {'±' if bottom < 0 else 'up to '}{largest:.3g}"
            parts.append(text(0, y + 12, remark, size=11, colour="muted"))
            top = y + _LABEL
            parts += _panel(lows / largest, highs / largest, top, bottom)
            parts += _frame(span, first, stop, top)
            parts.append(text(0, top + HEIGHT + 12, str(first), size=10, colour="muted"))
            parts.append(text(WIDTH, top + HEIGHT + 12, str(stop - 1), size=10, anchor="end", colour="muted"))
            y += _LABEL + HEIGHT + _SCALE
    return Drawing.of(WIDTH, y, parts, title=title, description=description)


def _panel(low: Array, high: Array, top: float, bottom: float) -> list[Element]:
    """Draw the range of each bin, lowest to highest number, as one outline; `bottom` is the least number shown."""
    bins = min(len(low), _BINS)
    edges = np.linspace(0, len(low), bins + 1).astype(int)
    lows, highs = np.minimum.reduceat(low, edges[:-1]), np.maximum.reduceat(high, edges[:-1])

    def height_of(number: float) -> float:
        return top + HEIGHT * (1 - (number - bottom) / (1 - bottom))

    xs = (np.arange(bins) + 0.5) / bins * WIDTH
    zero = height_of(0.0)
    parts = [rectangle(0, top, WIDTH, HEIGHT, fill="panel", stroke="faint"), line(0, zero, WIDTH, zero)]
    if bins < len(low) or (low != high).any():
        width = WIDTH / bins
        steps = [(x - width / 2, x + width / 2) for x in xs]
        upper = [f"{x:.1f},{height_of(n):.1f}" for (a, b), n in zip(steps, highs, strict=True) for x in (a, b)]
        lower = [f"{x:.1f},{height_of(n):.1f}" for (a, b), n in zip(steps, lows, strict=True) for x in (a, b)]
        points = " ".join([*upper, *reversed(lower)])
        return [*parts, element("polygon", {"points": points} | paint("blue", "blue", width=0.7))]
    points = " ".join(f"{x:.1f},{height_of(n):.1f}" for x, n in zip(xs, lows, strict=True))
    return [*parts, element("polyline", {"points": points} | paint("none", "blue", width=1.3))]


def _frame(span: tuple[int, int] | None, first: int, stop: int, top: float) -> list[Element]:
    if span is None:
        return []
    left, right = (WIDTH * (place - first) / (stop - first) for place in (span[0], span[1] + 1))
    wide = max(right - left, 1.5)
    return [rectangle(left, top, wide, HEIGHT, fill="orange", stroke="orange", stroke_width=1.5, opacity=0.15)]
