"""The box of the image that a cell of a map reads, by the exact geometry; a part of it may lie outside of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convscope.arrays import Booleans, Integers, Rgb
from convscope.geometry.relation import ReachStatus
from convscope.graph.axes import sources_of
from convscope.graph.layer_names import LayerNames
from convscope.graph.network_field import spatial_input
from convscope.graph.propagate import Source, propagate
from convscope.graph.receptive_field import field_at
from convscope.interpret.features.observed import AxesOfMaps
from convscope.report.colour_maps import enlarged, hatched


@dataclass(frozen=True, slots=True)
class CellBox:
    """What a cell reads.

    Args:
        spans: first and last position along each axis of the image, rows before columns; outside of the image where
            the cell reads padding. All of an axis where every position of it is read.
        exact: whether this is the cell's receptive field; all of the image where it is not known.
    """

    spans: tuple[tuple[int, int], ...]
    exact: bool

    @property
    def size_text(self) -> str:
        """Its size, such as "11×11"."""
        return "×".join(str(last - first + 1) for first, last in self.spans)

    def text(self, axes: Sequence[str] = ("rows", "columns")) -> str:
        """Return the box in words.

        >>> CellBox(((-3, 7), (5, 15)), True).text()
        'rows -3 to 7, columns 5 to 15 (11×11)'
        """
        named = axes if len(axes) == len(self.spans) else [f"axis {number}" for number in range(len(self.spans))]
        ends = ", ".join(f"{name} {first} to {last}" for name, (first, last) in zip(named, self.spans, strict=True))
        return f"{ends} ({self.size_text})"


class CellBoxes:
    """The boxes of all cells of a network on its first input with positions; gates and normalization are left out.

    >>> from torch import nn, randn
    >>> from convscope.capture.capture import capture
    >>> graph = capture(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.MaxPool2d(2)), randn(1, 1, 8, 8))
    >>> CellBoxes(LayerNames(graph)).box(graph.outputs[0], (0, 3))
    CellBox(spans=((-1, 2), (5, 8)), exact=True)
    """

    def __init__(self, names: LayerNames) -> None:
        self.graph = graph = names.graph
        self._axes = AxesOfMaps(names)
        image = spatial_input(graph)
        self._sources: list[Source] = [] if image is None else sources_of(graph, image)
        self._reaches = propagate(graph, sources=self._sources, local=True) if self._sources else None

    @property
    def image_size(self) -> tuple[int, ...]:
        """Positions of the input along each axis."""
        return tuple(self.graph.shape(value)[axis] for value, axis in self._sources)

    def box(self, value: int, place: Sequence[int], channel: int = 0) -> CellBox | None:
        """Return what a cell reads; None where the network has no input with positions, or it reads nothing.

        Args:
            value: index into `Graph.values`.
            place: where the cell is, one number for each axis of positions.
            channel: of the cell; those of an Inception block have fields of their own.
        """
        if self._reaches is None:
            return None
        position = self._position(value, place, channel)
        spans: list[tuple[int, int]] = []
        exact = True
        for source, size in zip(self._sources, self.image_size, strict=True):
            reach = self._reaches.of(value, source)
            if reach is None:
                return None
            if reach.status is ReachStatus.UNKNOWN:
                spans.append((0, size - 1))
                exact = False
                continue
            span = field_at(reach, position, endless=True)
            if span is None:
                return None
            spans.append(span)
            exact = exact and reach.status is not ReachStatus.DATA_DEPENDENT
        return CellBox(tuple(spans), exact)

    def _position(self, value: int, place: Sequence[int], channel: int) -> tuple[int, ...]:
        axes = self._axes.of(value)
        where = dict(zip(axes.positions, place, strict=False))
        if axes.channels is not None:
            where[axes.channels] = channel
        return tuple(where.get(axis, 0) for axis in range(len(self.graph.shape(value))))


def near_image(box: CellBox, sizes: Sequence[int]) -> CellBox:
    """Return the part of a box that is drawn: of what lies outside of the image a quarter of its side at most.

    A deep cell may read twenty times as much padding as image, which would be too small to see.

    Args:
        box: of as many axes as `sizes`.
        sizes: of the image along each.

    >>> near_image(CellBox(((-200, 234), (3, 9)), True), (32, 32)).spans
    ((-8, 39), (3, 9))
    """
    spans = []
    for (first, last), size in zip(box.spans, sizes, strict=True):
        margin = -(-size // 4)
        spans.append((max(first, -margin), min(last, size - 1 + margin)))
    return CellBox(tuple(spans), box.exact)


def cropped(pixels: Rgb, box: CellBox, *, least: int = 0) -> Rgb:
    """Return the part of an image (H, W, C) in a box, (h, w, 3); what lies outside of the image is hatched.

    Args:
        pixels: the image, of 1 or 3 channels.
        box: of two axes.
        least: enlarge whole pixels until the longer side has as many.

    >>> cropped(np.zeros((4, 4, 1), np.uint8), CellBox(((-2, 1), (2, 5)), True)).shape
    (4, 4, 3)
    """
    (top, bottom), (left, right) = box.spans
    rows, columns = np.arange(top, bottom + 1), np.arange(left, right + 1)
    inside: Booleans = np.logical_and.outer(_within(rows, pixels.shape[0]), _within(columns, pixels.shape[1]))
    taken = pixels[rows.clip(0, pixels.shape[0] - 1)][:, columns.clip(0, pixels.shape[1] - 1)]
    if taken.shape[2] == 1:
        taken = taken.repeat(3, axis=2)
    return hatched(enlarged(taken, least), ~enlarged(inside, least))


def _within(places: Integers, size: int) -> Booleans:
    found: Booleans = (places >= 0) & (places < size)
    return found
