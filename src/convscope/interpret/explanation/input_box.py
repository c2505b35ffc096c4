"""Where in the input a cell came from: the box in numbers, in words, and drawn on an image, a signal or a volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.arrays import Array
from convscope.interpret.explanation.given import drawn
from convscope.report.charts import PlotBox, picture
from convscope.report.signals import signal_drawing
from convscope.report.slices import chosen, slices_drawing
from convscope.report.svg import Drawing
from convscope.report.units import shape

PICTURE = 380.0  # width of the image on the page
SIGNALS = 3  # channels of a signal that are drawn


@dataclass(frozen=True)
class PixelBox:
    """Where in the input a cell came from: first and last pixel per spatial axis, and the share of the box it reads.

    Args:
        first: per axis.
        last: per axis, inclusive.
        filled: pixels that are read over pixels of the box; less than 1 where the field has holes.
        status: "exact", or why it is a bound only.
        axes: the names of the axes, such as "rows" and "columns".
    """

    first: tuple[int, ...]
    last: tuple[int, ...]
    filled: float
    status: str
    axes: tuple[str, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels per axis."""
        return tuple(b - a + 1 for a, b in zip(self.first, self.last, strict=True))

    def __str__(self) -> str:
        spans = ", ".join(f"{name} {a}–{b}" for name, a, b in zip(self.axes, self.first, self.last, strict=True))
        holes = "" if self.filled == 1 else f", {self.filled:.0%} of it"
        exact = "" if self.status == "exact" else f" ({self.status})"
        return f"input {spans} ({shape(self.sizes)}{holes}){exact}"


def input_drawing(box: PixelBox, sample: Array, pixels: Array | None) -> Drawing | None:
    """Draw the input with the box that a cell came from; None where it can't be drawn.

    Args:
        box: the box.
        sample: the network's input, `(C, L)`, `(C, H, W)` or `(C, D, H, W)`.
        pixels: the image that it was made of, uint8 `(H, W, C)`, where it was one.
    """
    description = f"The box that the cell came from: {box}."
    if len(box.first) == 1:
        waves = np.where(np.isfinite(sample), sample, 0.0)[:SIGNALS]  # a curve has no place for the others
        many = len(waves) > 1
        signals = [(f"input, channel {i}" if many else "input", wave, wave) for i, wave in enumerate(waves)]
        return signal_drawing(signals, span=(box.first[0], box.last[0]), title="The input", description=description)
    (top, left), (bottom, right) = box.first[-2:], box.last[-2:]
    frame = PlotBox(top, left, bottom + 1, right + 1)
    if len(box.first) == 3:
        planes = _planes(sample)
        indices = chosen(box.first[0], box.last[0])
        framed = {index: [frame] for index in indices}
        return slices_drawing(
            [planes[i] for i in indices],
            indices,
            boxes=framed,
            title="The input",
            description=description,
            axis=box.axes[0],
        )
    if pixels is None or len(box.first) != 2:
        return None
    image = np.ascontiguousarray(pixels if pixels.shape[2] != 1 else pixels[:, :, 0])
    return picture(image, title="The input image", description=description, boxes=[frame], width=PICTURE)


def _planes(volume: Array) -> Array:
    """Return a volume `(C, D, H, W)` as pixels `(D, H, W, 1 or 3)` on one scale; other channel counts are averaged."""
    channels, depth, rows, columns = volume.shape
    shown = volume if channels in (1, 3) else volume.mean(axis=0, keepdims=True)
    pixels = drawn(shown.reshape(len(shown), depth * rows, columns))
    assert pixels is not None
    return pixels.reshape(depth, rows, columns, len(shown))
