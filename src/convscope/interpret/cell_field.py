"""The receptive field of one cell as a record: which positions it reads, and how much comes from each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from convscope.files.checked import Json
from convscope.geometry.relation import ReachStatus
from convscope.graph.axes import ValueAxes
from convscope.graph.reach_walk import Position
from convscope.report import units
from convscope.report.charts import PlotBox, picture
from convscope.report.document import Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.signals import signal_drawing
from convscope.report.slices import chosen, slices_drawing
from convscope.report.svg import Drawing

Span = tuple[int, int]

SHADES = " ░▒▓█"
SLICES = 3  # of a volume, that a terminal shows
_PAPER, _INK = np.array([255, 255, 255]), np.array([10, 106, 176])


@dataclass(frozen=True, eq=False, repr=False)
class CellField(Pictured):
    """Which positions of a source one cell depends on.

    Args:
        network: its name.
        layer: the layer that holds the cell.
        position: the cell in the layer's output, batch included; None along an axis means all of it.
        shape: the output's shape, batch included.
        source: "the image" or, in one and three dimensions, "the input"; or the name of the layer that is read.
        source_shape: its shape, batch included.
        axes: the names of its axes of positions, such as "rows" and "columns".
        output_axes: what the axes of the layer's output are.
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
    axes: tuple[str, ...]
    output_axes: ValueAxes
    spans: tuple[Span | None, ...]
    endless: tuple[Span | None, ...]
    mask: npt.NDArray[np.bool_]
    share: npt.NDArray[np.float64]
    blocks: tuple[tuple[int, int, int], ...]
    status: ReachStatus

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

    def headline(self) -> str:
        """Return the cell, and the size of what it reads."""
        read = f"reads {_sizes(self.spans) or 'one number'} of {self.source}" if self.hull else "reads nothing"
        if self.status is ReachStatus.UNKNOWN:
            read = "unknown"
        return f"{self.layer} of {self.network}, {self._where()}: {read}"

    def to_dict(self) -> dict[str, Json]:
        """Return the numbers as JSON's types.

        Keys:
            network: its name.
            layer: the layer that holds the cell.
            position: of the cell, batch included; None along an axis for all of it.
            source: what is read: the input, or an earlier layer.
            source_shape: its shape, batch included.
            spans: first and last position per axis; None where nothing is read.
            spans_without_borders: the same as if the source had no borders.
            positions_read: how many.
            positions_in_hull: how many there are in the box around them.
            positions_for_half: the fewest from which half of a plain average comes.
            channel_blocks: runs of channels whose fields differ: first, last, size.
            status: exact, or how far to trust it.
            mask: which positions are read, as rows of 0 and 1.
        """
        return json_dict({
            "network": self.network,
            "layer": self.layer,
            "position": self.position,
            "source": self.source,
            "source_shape": self.source_shape,
            "spans": self.spans,
            "spans_without_borders": self.endless,
            "positions_read": self.read,
            "positions_in_hull": self.hull,
            "positions_for_half": self.half,
            "channel_blocks": self.blocks,
            "status": self.status.label,
            "mask": self.mask.astype(int),
        })  # fmt: skip

    def figure(self) -> Drawing:
        """Draw the source, each position shaded by its share and framed if it is read: axis, image, or slices."""
        title = f"what {self.layer}, {self._where()}, sees of {self.source}"
        are = "is" if self.read == 1 else "are"
        read = f"{units.plural(self.read, 'position')} {are} read"
        description = f"{read}; half of a plain average comes from {self.half:,} of them"
        spans = [span for span in self.spans if span is not None]
        whole = len(spans) == len(self.spans)
        if self.share.ndim == 1:
            nothing = np.zeros_like(self.share)
            signals = [(f"share of {self.source}", nothing, self.share)]
            return signal_drawing(signals, span=spans[0] if whole else None, title=title, description=description)
        largest = self.share.max()
        strength = np.sqrt(self.share / largest) if largest > 0 else np.zeros_like(self.share)
        strength = np.where(self.share > 0, 0.12 + 0.88 * strength, 0.0)[..., None]
        image = np.round(_PAPER + strength * (_INK - _PAPER)).astype(np.uint8)
        boxes = []
        if whole:
            (top, bottom), (left, right) = spans[-2:]
            boxes = [PlotBox(top, left, bottom + 1, right + 1, f"{bottom - top + 1}×{right - left + 1}")]
        if self.share.ndim == 2:
            return picture(image, title=title, description=description, boxes=boxes, width=480)
        indices = chosen(*(spans[0] if whole else (0, len(image) - 1)))
        # The size stands on the first slice; it is the same on the others.
        framed = {i: [replace(box, label=box.label if i == indices[0] else "") for box in boxes] for i in indices}
        return slices_drawing(
            [image[i] for i in indices], indices, boxes=framed, title=title, description=description, axis=self.axes[0]
        )

    def document(self) -> Document:
        """Return what is shown: which positions are read, and how much of the value comes from each."""
        shades = "\n".join(self.shades())
        figure = Figure(
            self.figure, "Darker: a larger share of a plain average. Framed: the box of what is read.", shades
        )
        blocks = (Facts(tuple(self._facts())), *((figure,) if shades else ()))
        return Document(f"{self.layer} of {self.network}, {self._where()}", blocks, footer="Made by convscope field.")

    def _where(self) -> str:
        where, channel = self.output_axes.cell(self.position), self.output_axes.channel(self.position)
        if not where:
            return f"{'all units' if channel is None else f'unit {channel}'} of {units.shape(self.shape[1:])}"
        cell = f"({', '.join(map(str, where))})" + ("" if channel is None else f" of channel {channel}")
        return f"cell {cell} of {units.shape(self.shape[1:])}"

    def _spans(self, spans: Sequence[Span | None]) -> str:
        found = [f"{name} {span[0]} to {span[1]}" for name, span in zip(self.axes, spans, strict=True) if span]
        return f"{', '.join(found)} ({_sizes(spans)})"

    def _facts(self) -> Iterator[Fact]:
        if self.status is ReachStatus.UNKNOWN:
            yield Fact(
                "status", "unknown", detail="unknown: an operation on the way is not known, so neither is its reach"
            )
            return
        if self.hull == 0:
            yield Fact("reads", "nothing", detail=f"nothing of {self.source}")
            return
        spans: Json = [list(span) if span else None for span in self.spans]
        yield Fact("reads", _sizes(self.spans), spans,
                   f"{self._spans(self.spans)} of {self.source}, {units.shape(self.source_shape[1:])}")  # fmt: skip
        if any(self.endless) and self.endless != self.spans:
            yield Fact("no borders", _sizes(self.endless), None, self._spans(self.endless))
        holes = (
            "every one is read"
            if self.read == self.hull
            else f"{self.read:,} of them {'is' if self.read == 1 else 'are'} read: it has holes"
        )
        yield Fact("positions", units.exact(self.read), self.read, f"{self.hull:,} in the box; {holes}")
        half = f"comes from {units.plural(self.half, 'position')}, if all weights were equal"
        yield Fact("half of it", units.plural(self.half, "position"), self.half, half)
        if len(self.blocks) > 1:
            for first, last, size in self.blocks[:8]:
                yield Fact(
                    "channels", f"{first} to {last}: {size}", [first, last, size], f"{first} to {last} see {size}"
                )
            if len(self.blocks) > 8:
                more = units.plural(len(self.blocks) - 8, "more run", "more runs")
                yield Fact("", f"and {more} of channels")
        yield Fact("status", self.status.label)

    def shades(self, *, widest: int = 48) -> list[str]:
        """Return the share as rows of shaded blocks for the terminal; for a volume, a few slices."""
        largest = float(self.share.max())
        if largest <= 0:
            return []
        if self.share.ndim < 3:
            cells = _coarse(np.atleast_2d(self.share), widest)
            return _shaded(cells, cells.max())
        read = np.flatnonzero(self.share.reshape(len(self.share), -1).any(axis=1))
        planes = self.share.sum(axis=tuple(range(1, self.share.ndim - 2)))  # of more axes than a volume's three
        slices = {index: _coarse(planes[index], widest) for index in chosen(int(read[0]), int(read[-1]), SLICES)}
        darkest = max(float(cells.max()) for cells in slices.values())
        return [row for index, cells in slices.items() for row in (f"{self.axes[0]} {index}", *_shaded(cells, darkest))]


def _coarse(plane: npt.NDArray[np.float64], widest: int) -> npt.NDArray[np.float64]:
    """Return a plane summed over the blocks of each character, each twice as high as it is wide."""
    step = max(1, -(-plane.shape[1] // widest))
    rows, columns = -(-plane.shape[0] // (2 * step)), -(-plane.shape[1] // step)
    padded = np.zeros((rows * 2 * step, columns * step))
    padded[: plane.shape[0], : plane.shape[1]] = plane
    cells: npt.NDArray[np.float64] = padded.reshape(rows, 2 * step, columns, step).sum(axis=(1, 3))
    return cells


def _shaded(cells: npt.NDArray[np.float64], darkest: float) -> list[str]:
    level = np.ceil(np.sqrt(cells / darkest) * (len(SHADES) - 1)).astype(int)
    return ["".join(SHADES[i] for i in row) for row in level]


def _sizes(spans: Sequence[Span | None]) -> str:
    return "×".join(str(span[1] - span[0] + 1) for span in spans if span)
