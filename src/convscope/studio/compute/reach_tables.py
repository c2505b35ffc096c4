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
from convscope.graph.reach_hulls import AxisHulls, HullWalk, hulls_back, hulls_on
from convscope.studio.compute.opened_model import OpenedModel, drawn_shape, key_of, map_shape, value_of
from convscope.studio.protocol import Packet, StudioError

AXIS_NAMES = ("x", "y", "z")  # of positions, the last axis first
LARGEST_SMALL = 32_767


def reach_packet(opened: OpenedModel, name: str, *, channel: int | None = None, direction: str = "backward") -> Packet:
    """Return the tables of a value: backward, what each of its cells reads; forward, what each of them changes.

    Args:
        opened: the network.
        name: the value's key; "input" is the image.
        channel: of the cells; any of them unless given.
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
    one = None if channel is None or axes.channels is None else (axes.channels, channel)
    walk_of = hulls_back if direction == "backward" else hulls_on
    walks: dict[str, HullWalk] = {}
    for letter, axis in zip(AXIS_NAMES, reversed(axes.positions), strict=False):
        walks[letter] = walk_of(opened.graph, value, axis, channel=one)
    if not walks:
        walks[""] = walk_of(opened.graph, value, None, channel=one)
    block = _Block()
    first = next(iter(walks.values()))
    targets = [
        _target(opened, target, walks, block) for target in _shown(opened, first.values, value) if target != value
    ]
    width = max((int(np.abs(part).max(initial=0)) for part in block.parts), default=0)
    dtype = np.int16 if width <= LARGEST_SMALL else np.int32
    header = {
        "value": key_of(opened, value),
        "shape": list(drawn_shape(opened, value)),
        "channel": channel,
        "channels_agree": channel is None and _mixes_channels(opened, value, direction),
        "direction": direction,
        "dtype": np.dtype(dtype).name,
        "targets": targets,
    }
    body = np.concatenate([np.zeros(0, dtype), *(part.astype(dtype) for part in block.parts)])
    return Packet(header, body.tobytes())


def _shown(opened: OpenedModel, reached: Iterable[int], value: int) -> list[int]:
    """Return the values that have a name on the page: inputs, layers' outputs."""
    outputs = {layer.output for layer in opened.names.layers}
    return [one for one in reached if one in outputs or one in opened.graph.inputs]


class _Block:
    """Arrays one after another, equal ones once."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray[Any, np.dtype[np.int64]]] = []
        self._known: dict[bytes, int] = {}
        self._size = 0

    def add(self, hulls: AxisHulls) -> int:
        """Return the offset of first and last positions, one after the other, in elements."""
        first, last = (hulls.first[:1], hulls.last[:1]) if hulls.constant else (hulls.first, hulls.last)
        together = np.concatenate([first, last])
        key = together.tobytes()
        if key not in self._known:
            self._known[key] = self._size
            self.parts.append(together)
            self._size += together.size
        return self._known[key]


def _target(opened: OpenedModel, target: int, walks: dict[str, HullWalk], block: _Block) -> dict[str, Any]:
    axes: dict[str, Any] = {}
    holes = False
    for letter, axis in zip(AXIS_NAMES, reversed(opened.axes_of(target).positions), strict=False):
        found = {of: walk.along(target, axis) for of, walk in walks.items()}
        varying = [of for of, hulls in found.items() if not hulls.constant]
        chosen = varying or [next(iter(found))]
        tables = []
        for of in chosen:
            hulls = found[of]
            tables.append({"along": None if hulls.constant else of, "offset": block.add(hulls),
                           "count": 1 if hulls.constant else len(hulls.first)})  # fmt: skip
        holes = holes or (len(chosen) == 1 and found[chosen[0]].holes)
        axes[letter] = tables[0] | ({"and": tables[1:]} if tables[1:] else {})
    status = max((walk.status(target) for walk in walks.values()), default=ReachStatus.EXACT)
    return {
        "value": key_of(opened, target),
        "shape": list(drawn_shape(opened, target)),
        "status": status.label,
        "holes": holes,
        "axes": axes,
    }


def _mixes_channels(opened: OpenedModel, value: int, direction: str) -> bool:
    """Return whether all channels of a value read the same: on every way back all channels are mixed at once."""
    graph = opened.graph
    if direction != "backward":
        return False
    waiting, seen = [value], set[int]()
    while waiting:
        one = waiting.pop()
        producer = graph.values[one].producer
        if one in seen:
            continue
        seen.add(one)
        if producer is None:
            if one in graph.inputs and one != value:
                return False
            continue
        node = graph.nodes[producer]
        if node.paths is None:
            return False
        for path in node.paths:
            if path.output != one:
                continue
            if not path.steps:
                waiting.append(path.source)
            elif not any(_mixes_all(step, opened.axes_of(path.source).channels) for step in path.steps):
                return False
    return True


def _mixes_all(step: object, axis: int | None) -> bool:
    return getattr(step, "groups", 0) == 1 and getattr(step, "axis", -1) == axis
