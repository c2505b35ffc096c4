"""The layers whose fields are measured: those with a map of positions, and the cell in its middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convscope.errors import CaptureError, GeometryError
from convscope.geometry.relation import ReachStatus
from convscope.graph.axes import sources_of, value_axes
from convscope.graph.layer_names import LayerNames
from convscope.graph.network_field import spatial_input
from convscope.graph.propagate import Reaches, propagate
from convscope.graph.reach import AxisReach
from convscope.graph.reach_walk import Position
from convscope.graph.receptive_field import channel_blocks, field_at
from convscope.graph.records import Graph
from convscope.interpret.cell_field import Span
from convscope.interpret.features.observed import AxesOfMaps
from convscope.report import units
from convscope.report.printable import few

# Layers that are measured unless some are named.
SHOWN = 8
_IMAGE_AXES = 2


@dataclass(frozen=True, slots=True)
class MappedLayer:
    """A layer with a map, and the cell in the middle of it.

    Args:
        name: the layer's.
        value: its output, as an index into `Graph.values`.
        shape: of the output, batch included.
        cell: the position of the middle cell, all channels of the first sample: None along their axis.
        spans: first and last pixel of its field along rows and columns, inside the image, apart from gates and
            normalization (`graph.local_field`).
        endless: the same as if the image had no borders; None where that has no meaning.
    """

    name: str
    value: int
    shape: tuple[int, ...]
    cell: Position
    spans: tuple[Span, Span]
    endless: tuple[Span, Span] | None

    @property
    def side(self) -> int:
        """The longer side of the field as if the image had no borders, or inside it where that has no meaning."""
        return max(last - first + 1 for first, last in self.endless or self.spans)

    @property
    def centre(self) -> tuple[float, float]:
        """The row and column in the middle of the field."""
        (top, bottom), (left, right) = self.endless or self.spans
        return (top + bottom) / 2, (left + right) / 2


class MappedLayers:
    """The layers of a network that have a map over its image.

    Args:
        graph: a captured network.

    Raises:
        CaptureError: the network takes no image.
    """

    def __init__(self, graph: Graph, names: LayerNames | None = None) -> None:
        image = spatial_input(graph)
        if image is None or len(value_axes(graph, image).positions) != _IMAGE_AXES:
            raise CaptureError(f"{graph.name} takes no images: its input has no rows and columns, so no such fields")
        self.graph, self.image = graph, image
        self.names = names or LayerNames(graph)
        self._axes = sources_of(graph, image)
        self._axes_of_maps = AxesOfMaps(self.names)
        self._reaches: Reaches = propagate(graph, sources=self._axes, local=True)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        rows, columns = (self.graph.shape(value)[axis] for value, axis in self._axes)
        return rows, columns

    def named(self, name: str) -> MappedLayer:
        """Return a layer by its name.

        Raises:
            CaptureError: there is none; the message has the nearest names.
            GeometryError: its output is no map of the image.
        """
        found = self._mapped(name, self.names.find(name))
        if found is None:
            shape = self.graph.shape(self.names.find(name))
            raise GeometryError(
                f"{name} gives {units.shape(shape[1:])}, no map of the image: name a layer before it, such as "
                f"{few([layer.name for layer in self.chosen(3)], 3)}"
            )
        return found

    def chosen(self, count: int = SHOWN) -> list[MappedLayer]:
        """Return the layers at which the field grows; of more than `count`, some with sizes at even ratios."""
        growing: list[MappedLayer] = []
        for layer in self.names.layers:
            found = self._mapped(layer.name, layer.output)
            if found is not None and found.side > (growing[-1].side if growing else 1):
                growing.append(found)
        if len(growing) <= count:
            return growing
        first, last = growing[0].side, growing[-1].side
        wanted = [first * (last / first) ** (place / (count - 1)) for place in range(count)]
        nearest = [min(growing, key=lambda g, w=side: abs(g.side - w)) for side in wanted]  # type: ignore[misc]
        return list(dict.fromkeys(nearest))

    def asked(self, names: Sequence[str] | None) -> list[MappedLayer]:
        """Return the layers of these names, or those at which the field grows.

        Raises:
            CaptureError: no such layer, or none has a map.
            GeometryError: a layer without a map.
        """
        found = self.chosen() if names is None else [self.named(name) for name in names]
        if not found:
            raise CaptureError(f"{self.graph.name} has no layer with a map whose field is larger than a pixel")
        return found

    def _mapped(self, name: str, value: int) -> MappedLayer | None:
        """Return a layer if its output has rows and columns of which each cell has a field of its own."""
        shape, laid = self.graph.shape(value), self._axes_of_maps.of(value)
        if len(laid.positions) != _IMAGE_AXES or laid.channels is None or 0 in shape:
            return None
        cell = tuple(
            None if axis == laid.channels else size // 2 if axis in laid.positions else 0
            for axis, size in enumerate(shape)
        )
        spans: list[Span] = []
        endless: list[Span] = []
        for source in self._axes:
            reach = self._reaches.of(value, source)
            if reach is None or reach.status is not ReachStatus.EXACT or len(reach.axes_along) != 1:
                return None
            if laid.channels in reach.axes_along:  # of an order of axes that is not known
                return None
            inside = _span(reach, cell, laid.channels, shape[laid.channels], endless=False)
            if inside is None:
                return None
            spans.append(inside)
            beyond = reach.endless and _span(reach, cell, laid.channels, shape[laid.channels], endless=True)
            endless += [beyond] if beyond else []
        both = (endless[0], endless[1]) if len(endless) == _IMAGE_AXES else None
        return MappedLayer(name, value, shape, cell, (spans[0], spans[1]), both)


def _span(reach: AxisReach, cell: Position, axis: int, channels: int, *, endless: bool) -> Span | None:
    """Return the first and last pixel along an axis of the image that any channel of a cell depends on."""
    found = []
    for block in channel_blocks(reach, channels, axis=axis):
        at = tuple(block.first if place == axis else position or 0 for place, position in enumerate(cell))
        found.append(field_at(reach, at, endless=endless))
    there = [span for span in found if span is not None]
    return (min(first for first, _ in there), max(last for _, last in there)) if there else None
