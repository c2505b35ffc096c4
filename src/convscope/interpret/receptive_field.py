"""The receptive field of one cell, and what one pixel can change."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from convscope.api.public import public
from convscope.capture.inputs import Inputs
from convscope.capture.load import ModelLike
from convscope.errors import CaptureError
from convscope.graph.layer_axes import LayerAxes
from convscope.graph.layer_names import LayerNames
from convscope.graph.propagate import propagate
from convscope.graph.reach_walk import walk_back, walk_on
from convscope.graph.receptive_field import channel_blocks, field_at
from convscope.interpret.cell_field import CellField, Span
from convscope.interpret.cell_position import cell_position
from convscope.interpret.inspection.record import Inspection, inspected


@public
def field(
    model: Inspection | ModelLike,
    layer: str,
    at: tuple[int, ...] | None = None,
    *,
    channel: int | None = None,
    source: str | None = None,
    input_shape: Inputs | None = None,
) -> CellField:
    """Return the receptive field of one cell of a layer's output.

    Args:
        model: what `convscope.inspect` returned, or anything that it takes.
        layer: name of a layer, of an operation, or of a module, whose last layer it then is.
        at: the cell's position, (position,), (row, column) or (depth, row, column); the middle one unless given.
        channel: one channel; all of them together unless given.
        source: name of an earlier layer, or of an input, to ask about instead of the first input with positions.
        input_shape: the shape of one sample; the model's own unless given.

    Raises:
        CaptureError: no such model or layer, a forward pass that fails, or the network has no image-like input.
        GeometryError: the cell is outside the map.

    >>> import convscope
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1))
    >>> convscope.field(network, "2", (5, 5), input_shape=(3, 32, 32)).spans
    ((7, 14), (7, 14))
    """
    inspection = inspected(model, input_shape)
    graph = inspection.graph
    names = LayerNames(graph)
    named = LayerAxes(names)
    output = names.find(layer)
    value, name = _source(inspection, source)
    shape = graph.shape(output)
    laid, seen = named.of(output), named.of(value)
    middle = tuple(shape[axis] // 2 for axis in laid.positions)
    position = cell_position(shape, channel, middle if at is None else at, layer=layer, axes=laid)
    reads = walk_back(graph, output, position)
    mask = reads.mask(value, seen.positions)
    share = walk_back(graph, output, position, measure="share").map(value, seen.positions)
    axes = [(value, axis) for axis in seen.positions]
    reaches = propagate(graph, sources=axes)
    spans: list[Span | None] = []
    endless: list[Span | None] = []
    blocks: tuple[tuple[int, int, int], ...] = ()
    for number, axis in enumerate(axes):
        reach = reaches.of(output, axis)
        spans.append(_hull(mask, number))
        # Channels with different fields: the ends without borders are those of the first channel asked for.
        whole = tuple(p or 0 for p in position)
        endless.append(field_at(reach, whole, endless=True) if reach and reach.endless else None)
        if reach is not None and laid.channels is not None and channel is None:
            found = channel_blocks(reach, shape[laid.channels], axis=laid.channels)
            blocks = tuple((b.first, b.last, b.size) for b in found)
    return CellField(
        network=graph.name,
        layer=layer,
        position=position,
        shape=shape,
        source=name,
        source_shape=graph.shape(value),
        axes=seen.shown,
        output_axes=laid,
        spans=tuple(spans),
        endless=tuple(endless) if len(blocks) <= 1 else (None,) * len(endless),
        mask=mask,
        share=share,
        blocks=blocks,
        status=reads.status(value),
    )


def projective_field(inspection: Inspection, layer: str, pixel: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return the positions of a layer's output that one position of the input can change: (H, W) of (N, C, H, W).

    Raises:
        CaptureError: no such layer, or the network has no image-like input.
        GeometryError: the position is outside the input.
    """
    value, source = _source(inspection, None)
    graph = inspection.graph
    names = LayerNames(graph)
    named = LayerAxes(names)
    output = names.find(layer)
    position = cell_position(graph.shape(value), None, pixel, layer=source, axes=named.of(value))
    return walk_on(graph, value, position).mask(output, named.of(output).positions)


def _source(inspection: Inspection, layer: str | None) -> tuple[int, str]:
    if layer is not None:
        return LayerNames(inspection.graph).find_source(layer), layer
    if inspection.source is None:
        raise CaptureError(f"{inspection.graph.name} has no input with positions to look at: none of 3 axes or more")
    return inspection.source, "the image" if len(inspection.graph.shape(inspection.source)) == 4 else "the input"


def _hull(mask: npt.NDArray[np.bool_], axis: int) -> Span | None:
    other = tuple(a for a in range(mask.ndim) if a != axis)
    read = np.flatnonzero(mask.any(axis=other))
    return (int(read[0]), int(read[-1])) if read.size else None
