"""The input with the box that a cell came from: on an image, on a signal, or on the slices of a volume."""

from __future__ import annotations

import numpy as np

from convscope.arrays import Array
from convscope.interpret.explanation.given import drawn
from convscope.interpret.explanation.record import Explanation
from convscope.interpret.explanation.text import box_text
from convscope.report.charts import PlotBox, picture
from convscope.report.signals import signal_drawing
from convscope.report.slices import chosen, slices_drawing
from convscope.report.svg import Drawing

PICTURE = 380.0  # width of the image on the page
SIGNALS = 3  # channels of a signal that are drawn


def input_drawing(explanation: Explanation) -> Drawing | None:
    """Return the input with the box that the cell came from; None where it can't be drawn or no position was read."""
    box, pixels = explanation.box, explanation.lens.pixels
    if box is None:
        return None
    description = f"The box that the cell came from: {box_text(explanation)}."
    if len(box.first) == 1:
        sample = explanation.lens.numbers(explanation.lens.graph.inputs[0])[0][:SIGNALS]
        sample = np.where(np.isfinite(sample), sample, 0.0)  # a curve has no place for the others
        many = len(sample) > 1
        signals = [(f"input, channel {i}" if many else "input", wave, wave) for i, wave in enumerate(sample)]
        return signal_drawing(signals, span=(box.first[0], box.last[0]), title="The input", description=description)
    (top, left), (bottom, right) = box.first[-2:], box.last[-2:]
    frame = PlotBox(top, left, bottom + 1, right + 1)
    if len(box.first) == 3:
        planes = _planes(explanation.lens.numbers(explanation.lens.graph.inputs[0])[0])
        indices = chosen(box.first[0], box.last[0])
        framed = {index: [frame] for index in indices}
        return slices_drawing(
            [planes[i] for i in indices], indices, boxes=framed, title="The input", description=description
        )
    if pixels is None or len(box.first) != 2:
        return None
    return picture(
        np.ascontiguousarray(pixels if pixels.shape[2] != 1 else pixels[:, :, 0]),
        title="The input image",
        description=description,
        boxes=[frame],
        width=PICTURE,
    )


def _planes(volume: Array) -> Array:
    """A volume `(C, D, H, W)` as pixels `(D, H, W, 1 or 3)`, all of one scale; other channels than 1 or 3 averaged."""
    channels, depth, rows, columns = volume.shape
    shown = volume if channels in (1, 3) else volume.mean(axis=0, keepdims=True)
    pixels = drawn(shown.reshape(len(shown), depth * rows, columns))
    assert pixels is not None
    return pixels.reshape(depth, rows, columns, len(shown))
