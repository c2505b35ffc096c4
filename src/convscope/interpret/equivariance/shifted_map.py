"""The maps of a network that are compared under a shift: their strides, and the cells that no border can reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from convscope.arrays import Booleans, Integers
from convscope.errors import CaptureError
from convscope.geometry.relation import ReachStatus
from convscope.graph.layer_groups import LayerNodes
from convscope.graph.layer_names import LayerNames
from convscope.graph.layouts import one_part, written_out
from convscope.graph.propagate import Reaches, Source, propagate
from convscope.graph.reach import AxisReach
from convscope.graph.receptive_field import summarise
from convscope.graph.records import Graph
from convscope.interpret.features.observed import AxesOfMaps
from convscope.interpret.map_geometry import MapGeometry

# Beyond every pixel: the field of a cell that a border may have cut.
_FAR = 1 << 60


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class ShiftedMap:
    """A layer's map, and how it moves with the image.

    Args:
        name: the layer's.
        op: its operation, such as "convolution".
        value: the layer's output, as an index into `Graph.values`.
        axes: the map's axes, in the order of the image's.
        cells: how many there are along each.
        strides: pixels from one cell to the next along each: the product of the strides up to the layer.
        first: along each axis the first pixel of every cell's field, as if the image had no borders; None where the
            field is not known.
        last: the last pixel of it.
        inputs: the measured layers that it reads, directly or through layers that are not measured; "" is the image.
    """

    name: str
    op: str
    value: int
    axes: tuple[int, ...]
    cells: tuple[int, ...]
    strides: tuple[Fraction, ...]
    first: tuple[Integers | None, ...]
    last: tuple[Integers | None, ...]
    inputs: tuple[str, ...] = ()

    def moved(self, axis: int, pixels: int | Fraction) -> tuple[int, bool]:
        """Return the whole cells nearest to a shift of the image, and whether it is a shift of part of a cell."""
        exact = Fraction(pixels) / self.strides[axis]
        return math.floor(exact + Fraction(1, 2)), exact.denominator != 1

    def inside(self, axis: int, pixels: int, size: int) -> Booleans:
        """Return which cells of the shifted image's map no border can reach, nor the original's that they equal.

        Along the axis of the shift alone: the borders beside it move with no cell.

        Args:
            axis: of the shift.
            pixels: of the shift, above 0: as many of the shifted image come from its other end.
            size: pixels of the image along the axis.
        """
        first, last = self.first[axis], self.last[axis]
        if first is None or last is None:
            return np.zeros(self.cells[axis], np.bool_)
        cells, _ = self.moved(axis, pixels)
        before = np.arange(self.cells[axis]) - cells
        known = (before >= 0) & (before < self.cells[axis])
        source = np.where(known, before, 0)
        shifted = (first >= pixels) & (last < size)
        return np.asarray(shifted & known & (first[source] >= 0) & (last[source] < size), np.bool_)


class ShiftedMaps:
    """The maps of a network's layers that move with its image.

    Args:
        names: of the layers of a captured network.

    Raises:
        CaptureError: the network's input has no positions.
    """

    def __init__(self, names: LayerNames) -> None:
        self.graph: Graph = names.graph
        self.names = names
        self._geometry, self._axes = MapGeometry(self.graph), AxesOfMaps(names)
        if self._geometry.image is None:
            raise CaptureError(f"{self.graph.name} takes no image: its input has no positions to shift")
        self.image: int = self._geometry.image
        sources = [(self.image, axis) for axis in self._geometry.image_axes]
        self._local = propagate(self.graph, sources=sources, local=True)
        # A gate or a statistic over positions carries borders to every cell, so these fields include them.
        self._whole = propagate(self.graph, sources=sources)
        self._sources: list[Source] = sources

    @property
    def axes(self) -> tuple[int, ...]:
        """The image's axes of positions."""
        return self._geometry.image_axes

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels of the image along each axis."""
        return self._geometry.size

    def of(self, layers: Sequence[str] | None = None) -> tuple[tuple[ShiftedMap, ...], tuple[str, ...]]:
        """Return the maps in the order in which they run, and the names of layers that are left out.

        Those have maps without a single stride, or not one of each image.

        Args:
            layers: by name; all layers with a map unless given.

        Raises:
            CaptureError: there is no such layer, or none has a map.
        """
        asked = None if layers is None else {self.names.find(name) for name in layers}
        found: dict[int, ShiftedMap] = {}
        left_out: list[str] = []
        for layer in self.names.layers:
            layout = self._geometry.layout(layer.output)
            if layout is None or (asked is not None and layer.output not in asked) or layer.output in found:
                continue
            strides = [self._stride(layer.output, source) for source in self._sources]
            # Of maps that are not by image, as of frames taken for images, it is not known which belongs to which.
            if any(not stride for stride in strides) or not self._axes.by_image(layer.output):
                left_out.append(layer.name)
                continue
            fields = [
                _fields(self._whole, layer.output, source, axis, size)
                for source, axis, size in zip(self._sources, layout.axes, self.size, strict=True)
            ]
            found[layer.output] = ShiftedMap(
                name=layer.name,
                op=layer.op,
                value=layer.output,
                axes=layout.axes,
                cells=layout.cells,
                strides=tuple(stride for stride in strides if stride),
                first=tuple(None if field is None else field[0] for field in fields),
                last=tuple(None if field is None else field[1] for field in fields),
                inputs=self._inputs(layer, found),
            )
        if not found:
            few = "" if layers is None else f" among {', '.join(layers)}"
            raise CaptureError(f"{self.graph.name} has no layer with a map that moves with the image{few}")
        return tuple(found.values()), tuple(left_out)

    def _stride(self, value: int, source: Source) -> Fraction | None:
        field = summarise(self._local.of(value, source), tuple(self._local.axes_of(value).values()))
        return None if field is None else field.stride

    def _inputs(self, layer: LayerNodes, measured: dict[int, ShiftedMap]) -> tuple[str, ...]:
        """Return the measured layers that a layer reads, the nearest on each way back."""
        own = {output for node in layer.nodes for output in node.outputs}
        waiting = [value for node in layer.nodes for value in node.inputs if value not in own]
        seen: set[int] = set()
        found: list[str] = []
        while waiting:
            value = waiting.pop()
            if value in seen:
                continue
            seen.add(value)
            if value in measured:
                found.append(measured[value].name)
            elif value == self.image:
                found.append("")
            elif (producer := self.graph.values[value].producer) is not None:
                waiting.extend(self.graph.nodes[producer].inputs)
        return tuple(dict.fromkeys(found))


def _fields(reaches: Reaches, value: int, source: Source, axis: int, size: int) -> tuple[Integers, Integers] | None:
    """Return the first and last pixel that any channel of each cell along an axis reads; None where unknown.

    Where an operation has no fields beyond the borders, a field that ends at one counts as cut by it.
    """
    reach = reaches.of(value, source)
    if reach is None or reach.status is not ReachStatus.EXACT or axis not in reach.axes_along:
        return None
    cells = reaches.graph.shape(value)[axis]
    along, part = one_part(reach, axis)
    along = written_out(along, part)
    first, last = _ends(along, part, cells)
    if along.endless is None:
        first, last = np.where(first <= 0, -_FAR, first), np.where(last >= size - 1, _FAR, last)
    return first, last


def _ends(reach: AxisReach, part: int, cells: int) -> tuple[Integers, Integers]:
    lo, hi = reach.endless or reach.clipped
    other = tuple(a for a in range(lo.ndim) if a != part)
    return (
        np.broadcast_to(lo.min(axis=other), cells).astype(np.int64),
        np.broadcast_to(hi.max(axis=other), cells).astype(np.int64),
    )
