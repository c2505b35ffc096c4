"""The receptive field of one cell, as a picture and in numbers; and what one pixel can change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from convscope.errors import CaptureError, GeometryError, did_you_mean
from convscope.geometry.relation import Status
from convscope.graph.field import Position, walk_back, walk_on
from convscope.graph.json_form import Json
from convscope.graph.propagate import Source, propagate
from convscope.graph.receptive_field import channel_blocks, field_at
from convscope.graph.summary import Layer
from convscope.look.inspection.record import Inspection
from convscope.report import units
from convscope.report.charts import Box, picture
from convscope.report.svg import Drawing

Span = tuple[int, int]

SHADES = " ░▒▓█"
_PAPER, _INK = np.array([255, 255, 255]), np.array([10, 106, 176])


@dataclass(frozen=True, eq=False)
class CellField:
    """Which positions of a source one cell depends on.

    Args:
        network: its name.
        layer: the layer that holds the cell.
        position: the cell in the layer's output, batch included; None along an axis stands for all of it.
        shape: the output's shape, batch included.
        source: "the image", or the name of the layer that is read.
        source_shape: its shape, batch included.
        spans: first and last position per spatial axis, inside the source; None where it depends on nothing.
        endless: the same as if the source had no borders; None where that has no meaning.
        mask: which spatial positions are read, channels together.
        share: how much of the cell's value comes from each, if every operation took a plain average.
        blocks: runs of channels whose fields differ, as (first, last, size along the last axis).
        status: how far to trust this.
    """

    network: str
    layer: str
    position: Position
    shape: tuple[int, ...]
    source: str
    source_shape: tuple[int, ...]
    spans: tuple[Span | None, ...]
    endless: tuple[Span | None, ...]
    mask: npt.NDArray[np.bool_]
    share: npt.NDArray[np.float64]
    blocks: tuple[tuple[int, int, int], ...]
    status: Status

    @property
    def read(self) -> int:
        """Positions that are read."""
        return int(self.mask.sum())

    @property
    def hull(self) -> int:
        """Positions in the box around them."""
        sizes = [last - first + 1 for span in self.spans if span for first, last in [span]]
        return int(np.prod(sizes)) if len(sizes) == len(self.spans) else 0

    @cached_property
    def half(self) -> int:
        """The fewest positions from which half of a plain average comes: how small the effective field is."""
        ordered = np.sort(self.share.ravel())[::-1]
        return int(np.searchsorted(np.cumsum(ordered), 0.5 * ordered.sum()) + 1) if ordered.sum() > 0 else 0

    def to_dict(self) -> dict[str, Json]:
        """The numbers as JSON: spans per axis, counts, status; the mask as rows of 0 and 1."""
        spans: list[Json] = [list(span) if span else None for span in self.spans]
        endless: list[Json] = [list(span) if span else None for span in self.endless]
        mask: Json = self.mask.astype(int).tolist()
        return {
            "network": self.network,
            "layer": self.layer,
            "position": list(self.position),
            "source": self.source,
            "source_shape": list(self.source_shape),
            "spans": spans,
            "spans_without_borders": endless,
            "positions_read": self.read,
            "positions_in_hull": self.hull,
            "positions_for_half": self.half,
            "channel_blocks": [list(block) for block in self.blocks],
            "status": self.status.label,
            "mask": mask,
        }

    def drawing(self) -> Drawing:
        """The source's plane, each position as dark as its share, with the box around what is read."""
        share = self.share if self.share.ndim > 1 else self.share[None]
        while share.ndim > 2:
            share = share.sum(axis=0)
        strength = np.sqrt(share / share.max())[..., None] if share.max() > 0 else np.zeros((*share.shape, 1))
        strength = np.where(share[..., None] > 0, 0.12 + 0.88 * strength, 0.0)
        image = np.round(_PAPER + strength * (_INK - _PAPER)).astype(np.uint8)
        boxes: Sequence[Box] = ()
        if len(self.spans) == 2 and self.spans[0] and self.spans[1]:
            (top, bottom), (left, right) = self.spans[0], self.spans[1]
            boxes = [Box(top, left, bottom + 1, right + 1, f"{bottom - top + 1}×{right - left + 1}")]
        title = f"what {self.layer} at {_cell(self.position)} sees of {self.source}"
        are = "is" if self.read == 1 else "are"
        read = f"{units.plural(self.read, 'position')} {are} read"
        description = f"{read}; half of a plain average comes from {self.half:,} of them"
        return picture(image, title=title, description=description, boxes=boxes, width=480)

    def _repr_html_(self) -> str:
        return self.drawing().document()

    def __str__(self) -> str:
        return "\n".join([f"{self.layer} of {self.network}, {self._where()}", "", *self._facts(), "", *self.shades()])

    def _where(self) -> str:
        return f"cell {_cell(self.position)} of {units.shape(self.shape[1:])}"

    def _facts(self) -> list[str]:
        if self.status is Status.UNKNOWN:
            return ["unknown: an operation on the way is not known, so what it reads can't be said"]
        if self.hull == 0:
            return [f"reads nothing of {self.source}"]
        lines = [f"reads        {_spans(self.spans)} of {self.source}, {units.shape(self.source_shape[1:])}"]
        if any(self.endless) and self.endless != self.spans:
            lines.append(f"no borders   {_spans(self.endless)}")
        holes = (
            "every one is read"
            if self.read == self.hull
            else f"{self.read:,} of them {'is' if self.read == 1 else 'are'} read: it has holes"
        )
        lines.append(f"positions    {self.hull:,} in the box; {holes}")
        lines.append(f"half of it   comes from {units.plural(self.half, 'position')}, if all weights were equal")
        if len(self.blocks) > 1:
            lines += [f"channels     {first} to {last} see {size}" for first, last, size in self.blocks[:8]]
            if len(self.blocks) > 8:
                lines.append(
                    f"             and {units.plural(len(self.blocks) - 8, 'more run', 'more runs')} of channels"
                )
        lines.append(f"status       {self.status.label}")
        return lines

    def shades(self, *, widest: int = 48) -> list[str]:
        """The share as rows of shaded blocks, no wider than a terminal."""
        plane = self.share if self.share.ndim == 2 else self.share.reshape(-1, self.share.shape[-1])
        step = max(1, -(-plane.shape[1] // widest))
        rows, columns = -(-plane.shape[0] // (2 * step)), -(-plane.shape[1] // step)
        padded = np.zeros((rows * 2 * step, columns * step))
        padded[: plane.shape[0], : plane.shape[1]] = plane
        cells = padded.reshape(rows, 2 * step, columns, step).sum(axis=(1, 3))
        if cells.max() <= 0:
            return []
        level = np.ceil(np.sqrt(cells / cells.max()) * (len(SHADES) - 1)).astype(int)
        return ["".join(SHADES[i] for i in row) for row in level]


def cell_field(
    inspection: Inspection,
    layer: str,
    at: tuple[int, ...] | None = None,
    *,
    channel: int | None = None,
    source: str | None = None,
) -> CellField:
    """The receptive field of one cell of a layer's output.

    Args:
        inspection: what `convscope.inspect` returned.
        layer: name of the layer, or of a module, whose output it then is.
        at: the cell's spatial position, such as (row, column); the middle one unless given.
        channel: one channel; all of them together unless given.
        source: name of an earlier layer to ask about instead of the image.

    Raises:
        CaptureError: no such layer, or the network has no image-like input.
        GeometryError: the cell is outside the map.
    """
    graph = inspection.graph
    held = _layer(inspection, layer)
    value, name = _source(inspection, source)
    shape = graph.shape(held.output)
    position = _position(held, shape, at, channel)
    reads = walk_back(graph, held.output, position)
    share = walk_back(graph, held.output, position, measure="share").map(value)
    axes: list[Source] = [(value, axis) for axis in range(2, len(graph.shape(value)))]
    reaches = propagate(graph, sources=axes)
    spans: list[Span | None] = []
    endless: list[Span | None] = []
    blocks: tuple[tuple[int, int, int], ...] = ()
    for axis in axes:
        reach = reaches.of(held.output, axis)
        spans.append(_hull(reads.mask(value), axis[1] - 2))
        # Channels with different fields: the ends without borders are those of the first channel asked for.
        whole = tuple(p or 0 for p in position)
        endless.append(field_at(reach, whole, endless=True) if reach and reach.endless else None)
        if reach is not None and len(shape) > 1 and channel is None:
            blocks = tuple((b.first, b.last, b.size) for b in channel_blocks(reach, shape[1]))
    return CellField(
        network=graph.name,
        layer=layer,
        position=position,
        shape=shape,
        source=name,
        source_shape=graph.shape(value),
        spans=tuple(spans),
        endless=tuple(endless) if len(blocks) <= 1 else (None,) * len(endless),
        mask=reads.mask(value),
        share=share,
        blocks=blocks,
        status=reads.status(value),
    )


def projective_field(inspection: Inspection, layer: str, pixel: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Which positions of a layer's output one pixel of the image can change: (H, W) of (N, C, H, W).

    Raises:
        CaptureError: no such layer, or the network has no image-like input.
        GeometryError: the pixel is outside the image.
    """
    value, _ = _source(inspection, None)
    sizes = inspection.graph.shape(value)[2:]
    if len(pixel) != len(sizes) or any(not 0 <= p < size for p, size in zip(pixel, sizes, strict=True)):
        last = ",".join(str(size - 1) for size in sizes)
        raise GeometryError(
            f"pixel {','.join(map(str, pixel))} is outside the image of {units.shape(sizes)}: the last is {last}"
        )
    walk = walk_on(inspection.graph, value, (0, None, *pixel))
    return walk.mask(_layer(inspection, layer).output)


def _layer(inspection: Inspection, name: str) -> Layer:
    """The layer of this name; a module of several layers stands for the last of them."""
    names = [layer.name for layer in inspection.layers]
    if name in names:
        return inspection.layer(name)
    inside = [layer for layer in inspection.layers if layer.module == name or layer.module.startswith(f"{name}.")]
    if inside:
        return inside[-1]
    modules = [module.path for module in inspection.graph.modules if module.path and module.calls]
    hint = (
        did_you_mean(name, dict.fromkeys([*modules, *names]))
        or f" Its layers: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}."
    )
    raise CaptureError(f"{inspection.graph.name} has no layer {name!r}.{hint}")


def _source(inspection: Inspection, layer: str | None) -> tuple[int, str]:
    if layer is not None:
        return _layer(inspection, layer).output, layer
    if inspection.source is None:
        raise CaptureError(f"{inspection.graph.name} has no input with rows and columns to look at")
    return inspection.source, "the image"


def _position(layer: Layer, shape: tuple[int, ...], at: tuple[int, ...] | None, channel: int | None) -> Position:
    spatial = shape[2:]
    if at is None:
        at = tuple(size // 2 for size in spatial)
    size = units.shape(shape[1:])
    if len(at) != len(spatial) or any(not 0 <= p < limit for p, limit in zip(at, spatial, strict=True)):
        last = ", ".join(str(limit - 1) for limit in spatial)
        raise GeometryError(
            f"cell {','.join(map(str, at))} is outside {layer.name}, whose output is {size}: "
            + (f"give a position up to {last}" if spatial else "it has no rows and columns, so leave --at out")
        )
    if channel is not None and not 0 <= channel < shape[1]:
        raise GeometryError(f"channel {channel} is outside {layer.name}, whose output is {size}: 0 to {shape[1] - 1}")
    return (0, channel, *at)


def _hull(mask: npt.NDArray[np.bool_], axis: int) -> Span | None:
    other = tuple(a for a in range(mask.ndim) if a != axis)
    read = np.flatnonzero(mask.any(axis=other))
    return (int(read[0]), int(read[-1])) if read.size else None


def _cell(position: Position) -> str:
    where = ", ".join(map(str, position[2:]))
    return f"({where})" if position[1] is None else f"({where}) of channel {position[1]}"


def _spans(spans: Sequence[Span | None]) -> str:
    words = {1: ("positions",), 2: ("rows", "columns"), 3: ("planes", "rows", "columns")}[len(spans)]
    told = [f"{word} {span[0]} to {span[1]}" for word, span in zip(words, spans, strict=True) if span]
    sizes = "×".join(str(span[1] - span[0] + 1) for span in spans if span)
    return f"{', '.join(told)} ({sizes})"
