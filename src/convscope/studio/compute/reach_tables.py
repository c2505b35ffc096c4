"""Tables with which a page lights up what a cell depends on, or changes, without asking again.

For a value and each value on its way to the input there are, for every row and column of the value's map, the first and
last row and column that the cell reads there. The numbers are integers in one block of bytes; a header says where.
They are exact along each axis (`graph.reach_hulls`); the rectangle of both is the box around what is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from convscope.geometry.relation import ReachStatus
from convscope.geometry.taps import Positions
from convscope.graph.reach_hulls import HullWalk, hulls_back, hulls_on
from convscope.studio.compute.channel_parts import ChannelParts
from convscope.studio.compute.opened_model import OpenedModel, drawn_shape, key_of, map_shape, value_of
from convscope.studio.protocol import Packet, StudioError

AXIS_NAMES = ("x", "y", "z")  # of positions, the last axis first
LARGEST_SMALL = 32_767


def reach_packet(opened: OpenedModel, name: str, *, channel: int | None = None, direction: str = "backward") -> Packet:
    """Return the tables of a value: backward, what each of its cells reads; forward, what each of them changes.

    Args:
        opened: the network.
        name: the value's key; "input" is the image.
        channel: of the cells; unless given the first one backward, any of them forward.
        direction: "backward" or "forward".

    Raises:
        CaptureError: there is no such value; the message has the nearest names.
        StudioError: of kind "range": no such channel or direction.
    """
    value = value_of(opened, name)
    if direction not in ("backward", "forward"):
        raise StudioError(f"direction {direction[:20]!r} is none of backward, forward", "range")
    axes = opened.axes_of(value)
    count = map_shape(opened, value)[0]
    if channel is not None and not 0 <= channel < count:
        raise StudioError(f"{name} has {count} channels, 0 to {count - 1}: {channel} is none of them", "range")
    alike = ChannelParts.of(opened) if direction == "backward" else None
    same = (channel or 0, channel or 0) if alike is None else alike.around(value, channel or 0, count)
    # Without a channel, the tables are those of all channels where these agree, and of a pixel in any of them.
    of_all = channel is None and (direction == "forward" or same == (0, count - 1))
    one = None if of_all or axes.channels is None else (axes.channels, channel or 0)
    walk_of = hulls_back if direction == "backward" else hulls_on
    walks: dict[str, HullWalk] = {}
    for letter, axis in zip(AXIS_NAMES, reversed(axes.positions), strict=False):
        walks[letter] = walk_of(opened.graph, value, axis, channel=one, beside=len(axes.positions) > 1)
    if not walks:
        walks[""] = walk_of(opened.graph, value, None, channel=one)
    block = TableBlock()
    first = next(iter(walks.values()))
    targets = [_target(opened, target, walks, block) for target in _shown(opened, first.values) if target != value]
    width = max((int(np.abs(part).max(initial=0)) for part in block.parts), default=0)
    dtype = np.int16 if width <= LARGEST_SMALL else np.int32
    header = {
        "value": key_of(opened, value),
        "shape": list(drawn_shape(opened, value)),
        "channel": channel,
        "channels_agree": same == (0, count - 1),
        "channels": list(same),
        "direction": direction,
        "dtype": np.dtype(dtype).name,
        "targets": targets,
    }
    body = np.concatenate([np.zeros(0, dtype), *(part.astype(dtype) for part in block.parts)])
    return Packet(header, body.tobytes())


def _shown(opened: OpenedModel, reached: Iterable[int]) -> list[int]:
    """Return the values that have a name on the page: inputs, layers' outputs."""
    outputs = {layer.output for layer in opened.names.layers}
    return [one for one in reached if one in outputs or one in opened.graph.inputs]


class TableBlock:
    """Arrays one after another, equal ones once."""

    def __init__(self) -> None:
        self.parts: list[Positions] = []
        self._known: dict[bytes, int] = {}
        self._size = 0

    def add(self, first: Positions, last: Positions) -> int:
        """Return the offset of first and last positions, one after the other, in elements."""
        together = np.concatenate([first, last])
        key = together.tobytes()
        if key not in self._known:
            self._known[key] = self._size
            self.parts.append(together)
            self._size += together.size
        return self._known[key]


def _target(opened: OpenedModel, target: int, walks: dict[str, HullWalk], block: TableBlock) -> dict[str, Any]:
    axes: dict[str, Any] = {}
    holes = False
    for letter, axis in zip(AXIS_NAMES, reversed(opened.axes_of(target).positions), strict=False):
        found = {of: walk.along(target, axis) for of, walk in walks.items()}
        tables: list[dict[str, Any]] = []
        for of, hulls in found.items():
            if not hulls.constant:
                tables.append({"along": of, "offset": block.add(hulls.first, hulls.last), "count": len(hulls.first)})
                holes = holes or hulls.holes
        if not tables:
            # Each walk knows its own axis: what all of them say is what is read.
            first, last = max(h.first[0] for h in found.values()), min(h.last[0] for h in found.values())
            tables.append({"along": None, "offset": block.add(np.array([first]), np.array([last])), "count": 1})
            holes = holes or all(hulls.holes for hulls in found.values())
        # Where two axes of the value share one of the target's, as tokens do, what both say is a bound.
        holes = holes or len(tables) > 1
        axes[letter] = tables[0] | ({"and": tables[1:]} if tables[1:] else {})
    status = max((walk.status(target) for walk in walks.values()), default=ReachStatus.EXACT)
    return {
        "value": key_of(opened, target),
        "shape": list(drawn_shape(opened, target)),
        "status": status.label,
        "holes": holes,
        "axes": axes,
    }
