"""A volume as drawings of its slices, one for each index along its depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from convscope.report.charts import PlotBox, picture
from convscope.report.svg import Drawing, Element, group, rectangle, text

MOST = 12  # slices that are drawn
_WIDTH, _ACROSS, _GAP, _LABEL = 150.0, 4, 10.0, 18.0


def chosen(first: int, last: int, most: int = MOST) -> list[int]:
    """Return the indices from first to last, or `most` of them spread evenly with both ends among them.

    >>> chosen(2, 5), chosen(0, 100, 5)
    ([2, 3, 4, 5], [0, 25, 50, 75, 100])
    """
    if last - first < most:
        return list(range(first, last + 1))
    return [round(first + i * (last - first) / (most - 1)) for i in range(most)]


def slices_drawing(
    planes: Sequence[npt.NDArray[np.uint8]],
    indices: Sequence[int],
    *,
    boxes: Mapping[int, Sequence[PlotBox]],
    title: str,
    description: str,
    axis: str,
) -> Drawing:
    """Draw slices of a volume side by side, each with its index along its axis above it.

    Args:
        planes: of each slice the pixels, `(H, W)` or `(H, W, 3)`, all of one size.
        indices: where each is along the axis.
        boxes: by index, what to frame on it.
        title: the text for screen readers.
        description: likewise.
        axis: the name of the axis that they lie along, such as "depth".
    """
    across = min(_ACROSS, len(planes))
    high = _WIDTH * planes[0].shape[0] / planes[0].shape[1]
    parts: list[Element | None] = []
    for number, (plane, index) in enumerate(zip(planes, indices, strict=True)):
        row, column = divmod(number, across)
        drawn = picture(plane, title=title, description="", boxes=boxes.get(index, ()), width=_WIDTH)
        x, y = column * (_WIDTH + _GAP), row * (high + _LABEL + _GAP)
        parts.append(text(x, y + 12, f"{axis} {index}", size=11, colour="muted"))
        parts.append(group(*drawn.children, rectangle(0, 0, _WIDTH, high, stroke="muted"), x=x, y=y + _LABEL))
    rows = -(-len(planes) // across)
    return Drawing.of(
        across * (_WIDTH + _GAP), rows * (high + _LABEL + _GAP), parts, title=title, description=description
    )
