"""Where the cells of a layer's map are on the image: the centres of their receptive fields, by the exact geometry.

A map of 7x7 cells over 224 pixels is no image of 7x7 stretched to 224: cell 0 of ResNet-50's last stage has its centre
at pixel 0, not at 16, so a resize that aligns corners or halves is off by up to half a cell. Cells are placed at the
centres of their fields as if the image had no borders, gates and normalization left out, and linearly between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from convscope.arrays import Array, Floats
from convscope.geometry.relation import ReachStatus
from convscope.graph.axes import sources_of
from convscope.graph.network_field import spatial_input
from convscope.graph.propagate import Source, propagate
from convscope.graph.reach import AxisReach
from convscope.graph.receptive_field import field_at
from convscope.graph.records import Graph
from convscope.graph.vocabulary import CONVOLUTIONS, COPIES

SAME_NUMBERS = COPIES | {"reshape", "squeeze", "unsqueeze"}  # operations that only lay numbers out anew


@dataclass(frozen=True, slots=True)
class MapLayout:
    """How a value is laid out over the image.

    Args:
        axes: the value's axes of positions, in the order of the image's rows and columns.
        centres: along each of them the centre of every cell, in input pixels, ascending; outside of the image where a
            cell's field reaches further into the padding than into the image.
        exact: whether these are the centres of receptive fields; spread evenly over the image where these are unknown.
    """

    axes: tuple[int, ...]
    centres: tuple[Floats, ...]
    exact: bool

    @property
    def cells(self) -> tuple[int, ...]:
        """Cells along each axis."""
        return tuple(len(along) for along in self.centres)


class MapGeometry:
    """The places of all maps of a network on its first input with positions.

    >>> from torch import nn, randn
    >>> from convscope.capture.capture import capture
    >>> graph = capture(nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.Flatten()), randn(1, 1, 8, 8))
    >>> layout = MapGeometry(graph).layout(graph.nodes[0].outputs[0])
    >>> layout.axes, layout.centres[0].tolist(), layout.exact
    ((2, 3), [0.0, 2.0, 4.0, 6.0], True)
    >>> MapGeometry(graph).layout(graph.outputs[0]) is None
    True
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.image = spatial_input(graph)
        self._sources: list[Source] = [] if self.image is None else sources_of(graph, self.image)
        self._reaches = propagate(graph, sources=self._sources, local=True)
        self._layouts: dict[int, MapLayout | None] = {}

    @property
    def image_axes(self) -> tuple[int, ...]:
        """The input's axes of positions; none where the input has no positions."""
        return tuple(axis for _, axis in self._sources)

    @property
    def size(self) -> tuple[int, ...]:
        """Positions of the input along each axis."""
        return tuple(self.graph.shape(value)[axis] for value, axis in self._sources)

    def layout(self, value: int) -> MapLayout | None:
        """Return how a value lies over the image; None where it has one cell, or no axis for each of the image's."""
        if value not in self._layouts:
            self._layouts[value] = self._found(value)
        return self._layouts[value]

    def _found(self, value: int) -> MapLayout | None:
        shape = self.graph.shape(value)
        reaches = [self._reaches.of(value, source) for source in self._sources]
        axes: list[int] = []
        for reach in reaches:
            if reach is None or reach.pairs or len(reach.axes_along) != 1 or not _alone(reach):
                return None
            axes += reach.axes_along
        # Axis 0 holds the images of the batch.
        if not axes or len(set(axes)) != len(axes) or 0 in axes or prod(shape[axis] for axis in axes) < 2:
            return None
        found = [_centres(reach, axis, shape) for reach, axis in zip(reaches, axes, strict=True) if reach is not None]
        even = [_even(shape[axis], size) for axis, size in zip(axes, self.size, strict=True)]
        centres = tuple(e if f is None else f for f, e in zip(found, even, strict=True))
        return MapLayout(tuple(axes), centres, all(f is not None for f in found))

    def last_map(self, value: int) -> int | None:
        """Return the last map of real numbers on the way to a value, such as the scores; None where there is none.

        Where the value is a map itself, as of a segmentation, it is the map that the last convolution reads.
        """
        wanted, way = {value}, []
        for node in reversed(self.graph.nodes):
            if not wanted.isdisjoint(node.outputs):
                wanted.update(node.inputs)
                way.append(node)
        if self.layout(value) is not None:
            read = (
                node.inputs[0] for node in way if node.op in CONVOLUTIONS and node.inputs[0] not in self.graph.inputs
            )
            last = next((one for one in read if self.layout(one) is not None), None)
            return value if last is None else last
        maps = (output for node in way for output in node.outputs if output in wanted and self._is_real(output))
        return next((self._made(output) for output in maps if self.layout(output) is not None), None)

    def _is_real(self, value: int) -> bool:
        """Return whether a value holds floating-point numbers, of which a gradient is one too."""
        return "float" in self.graph.values[value].spec.dtype

    def _made(self, value: int) -> int:
        """Return the value whose numbers this one lays out anew, as a squeeze does; it is a map as well."""
        producers = {output: node for node in self.graph.nodes for output in node.outputs}
        while (node := producers.get(value)) is not None and node.op in SAME_NUMBERS:
            before = node.inputs[0]
            if before in self.graph.inputs or self.layout(before) is None:
                break
            value = before
        return value


def placed(cells: Array, centres: Sequence[Floats], size: Sequence[int]) -> Floats:
    """Return a map on cells as a map on the image's positions: linear between the centres, constant beyond the last.

    Args:
        cells: a number of each cell, of any number of axes.
        centres: where the cells' centres are along each axis, in pixels, ascending.
        size: pixels along each axis.

    >>> placed(np.array([0.0, 4.0]), [np.array([1.0, 5.0])], [8]).tolist()
    [0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 4.0, 4.0]
    """
    found = np.asarray(cells, np.float64)
    for axis, (along, pixels) in enumerate(zip(centres, size, strict=True)):
        weights = np.stack([np.interp(np.arange(pixels), along, unit) for unit in np.eye(len(along))], axis=1)
        found = np.moveaxis(np.tensordot(weights, found, axes=(1, axis)), 0, axis)
    return found


def _alone(reach: AxisReach) -> bool:
    """Return whether a value's axis holds positions alone, not channels beside them as in a flattened map."""
    if reach.layout is None:
        return True
    (axis,) = reach.axes_along
    return all(part in reach.along or reach.layout.parts[part] == 1 for part in reach.layout.parts_of(axis))


def _centres(reach: AxisReach, axis: int, shape: tuple[int, ...]) -> Floats | None:
    """Return the centre of the field of each position along an axis; None where it is unknown or does not ascend."""
    if reach.status is not ReachStatus.EXACT or reach.endless is None:
        return None
    spans = [
        field_at(reach, tuple(at if a == axis else 0 for a in range(len(shape))), endless=True)
        for at in range(shape[axis])
    ]
    found = np.array([(span[0] + span[1]) / 2 for span in spans if span is not None])
    return found if len(found) == shape[axis] and (np.diff(found) > 0).all() else None


def _even(cells: int, pixels: int) -> Floats:
    return (np.arange(cells) + 0.5) * pixels / cells - 0.5
