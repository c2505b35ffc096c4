"""Which neighbouring channels of a value have the same fields: all of a convolution, each part of a concatenation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.geometry.relation import Concat, Expand, Mix, Permute, RelationStep, Taps, shape_after
from convscope.graph.records import Graph, Path
from convscope.studio.compute.opened_model import OpenedModel

Bounds = frozenset[int] | None
"""Channels at which another part begins; None where each channel may have a field of its own."""


@dataclass(frozen=True, eq=False)
class ChannelParts:
    """The parts of all values of a network.

    Args:
        bounds: by value; a value that is missing has one part.
    """

    bounds: dict[int, Bounds]

    @classmethod
    def of(cls, opened: OpenedModel) -> ChannelParts:
        """Return the parts of a network, which are found once."""
        if "channel parts" not in opened.worked_out:
            opened.worked_out["channel parts"] = cls(_found(opened.graph, opened))
        known = opened.worked_out["channel parts"]
        assert isinstance(known, ChannelParts)
        return known

    def around(self, value: int, channel: int, count: int) -> tuple[int, int]:
        """Return the first and last channel of the part that a channel is in."""
        bounds = self.bounds.get(value, frozenset())
        if bounds is None:
            return channel, channel
        first = max((bound for bound in bounds if bound <= channel), default=0)
        return first, min((bound for bound in bounds if bound > channel), default=count) - 1


def _found(graph: Graph, opened: OpenedModel) -> dict[int, Bounds]:
    bounds: dict[int, Bounds] = {}
    for node in graph.nodes:
        for output in node.outputs:
            paths = [path for path in node.paths or () if path.output == output]
            found: Bounds = frozenset() if node.paths is not None else None
            for path in paths:
                there = _moved(graph, opened, path, bounds.get(path.source, frozenset()))
                found = None if found is None or there is None else found | there
            bounds[output] = found
    return bounds


def _moved(graph: Graph, opened: OpenedModel, path: Path, bounds: Bounds) -> Bounds:
    """Return the bounds at an operation's output, of what it reads of one input."""
    axis, shape = opened.axes_of(path.source).channels, graph.shape(path.source)
    for step in path.steps:
        if axis is None or bounds is None:
            return None
        bounds, axis = _after(step, axis, shape, bounds)
        shape = shape_after(step, shape)
    return bounds if axis == opened.axes_of(path.output).channels else None


def _after(step: RelationStep, axis: int, shape: tuple[int, ...], bounds: frozenset[int]) -> tuple[Bounds, int | None]:
    match step:
        case Mix(of, size, groups) if of == axis:
            if groups == size == shape[axis]:
                return bounds, axis
            return frozenset(range(size // groups, size, size // groups)), axis
        case Taps(of, table) if of == axis:
            taken = table.clipped[:, 0]
            if table.clipped.shape[1] > 1 or (taken >= table.input_size).any():
                return None, axis
            parts = np.searchsorted(sorted(bounds), taken, side="right")
            return frozenset((np.flatnonzero(np.diff(parts)) + 1).tolist()), axis
        case Concat(of, offset, length, size) if of == axis:
            moved = {offset, offset + length, *(bound + offset for bound in bounds)}
            return frozenset(moved - {0, size}), axis
        case Taps() | Mix() | Concat():
            return bounds, axis
        case Expand(new) if len(new) == len(shape) and new[axis] == shape[axis]:
            return bounds, axis
        case Permute(order):
            return bounds, order.index(axis)
        case _:
            return None, None
