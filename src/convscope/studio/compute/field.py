"""The exact field of one cell on the input: which pixels it reads, in how many ways, and how much of it each one is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from convscope.errors import GeometryError
from convscope.graph.reach_walk import walk_back
from convscope.interpret.cell_position import cell_position
from convscope.studio.compute.image_run import ImageRun
from convscope.studio.compute.opened_model import OpenedModel, map_shape, value_of
from convscope.studio.protocol import Packet, StudioError

WEIGHTS = ("share", "gradient")


def position_of(opened: OpenedModel, value: int, channel: int, at: Sequence[int]) -> tuple[int, ...]:
    """Return the whole position of a cell of the first sample, by its row and column.

    As the page gives every cell two numbers, a value without rows takes (0, x) too, and of a volume it is the middle
    slice that two numbers are in.

    Raises:
        GeometryError: the cell is outside of the value; the message has its size.
    """
    axes, shape = opened.axes_of(value), opened.graph.shape(value)
    label = opened.names.of_value(value)
    sizes = [shape[axis] for axis in axes.positions]
    at = tuple(at)
    while len(at) > len(sizes) and at[0] == 0:
        at = at[1:]
    if len(at) < len(sizes) and all(size == 1 for size in sizes[: len(sizes) - len(at)]):
        at = (*(0 for _ in range(len(sizes) - len(at))), *at)
    if len(at) == 2 and len(sizes) == 3:
        at = (sizes[0] // 2, *at)
    count = 1 if axes.channels is None else shape[axes.channels]
    if not 0 <= channel < count:
        raise GeometryError(f"{label} has {count} channels, 0 to {count - 1}: {channel} is none of them")
    if len(shape) < 2:
        return cell_position(shape, 0, at or (channel,), layer=label)
    if len(at) != len(sizes) or any(not 0 <= place < size for place, size in zip(at, sizes, strict=True)):
        text = "×".join(map(str, sizes)) or "one number a channel"
        raise GeometryError(f"{label}'s map is {text}: {','.join(map(str, at))} is outside")
    places = {0: 0, **dict(zip(axes.positions, at, strict=True))}
    if axes.channels is not None:
        places[axes.channels] = channel
    return tuple(places.get(axis, 0) for axis in range(len(shape)))


def field_packet(
    run: ImageRun, name: str, channel: int, at: Sequence[int], *, weights: str = "share", of: str = "input"
) -> Packet:
    """Return the exact field of a cell within its box on the input: use counts, 0 where nothing is read, and weights.

    The bytes are the number of ways from each pixel of the box to the cell, float32 (h, w), 0 where it is not read, and
    then its weight, float32 (h, w).

    Args:
        run: the network and the image.
        name: the value's key.
        channel: of the cell.
        at: its row and column.
        weights: "share", of the cell as an average of averages; or "gradient", of the cell's number with respect to
            each pixel, summed over channels, which costs a pass backward.
        of: whose positions are read: the input, or another value before.

    Raises:
        CaptureError: no such value.
        GeometryError: the cell is outside of it.
        StudioError: of kind "range": no such weights.
    """
    if weights not in WEIGHTS:
        raise StudioError(f"weights {weights[:20]!r} are none of {', '.join(WEIGHTS)}", "range")
    opened = run.opened
    graph, value, source = opened.graph, value_of(opened, name), value_of(opened, of)
    position, positions = position_of(opened, value, channel, at), opened.axes_of(source).positions
    ways = walk_back(graph, value, position, measure="paths")
    counts = _on_a_plane(ways.map(source, positions), positions)
    if weights == "share":
        shares = walk_back(graph, value, position, measure="share").map(source, positions)
        weighed = _on_a_plane(shares, positions)
    else:
        weighed = _on_a_plane(_gradient(run, value, position, source), positions)
    mask = counts > 0
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = [0, 0, 0, 0]
    if rows.size:
        box = [int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1]
    y0, x0, y1, x1 = box
    inside, ways_inside, weights_inside = (part[y0:y1, x0:x1] for part in (mask, counts, weighed))
    header: dict[str, Any] = {
        "value": name,
        "c": channel,
        "at": list(at),
        "of": of,
        "shape": list(map_shape(opened, source)),
        "box": box,
        "pixels": int(inside.sum()),
        "holes": bool(inside.size and not inside.all()),
        "status": ways.status(source).label,
        "weights": weights,
        "halvings": ways.halvings,
        "largest": {"count": float(ways_inside.max(initial=0)), "weight": float(np.abs(weights_inside).max(initial=0))},
    }
    # Counts beyond float32 would be infinite: the largest that it has says as much.
    ways_inside = np.minimum(ways_inside, float(np.finfo(np.float32).max))
    return Packet(header, _floats(ways_inside) + _floats(weights_inside))


def _floats(numbers: np.ndarray[Any, Any]) -> bytes:
    return np.ascontiguousarray(numbers, dtype=np.float32).tobytes()


def _on_a_plane(numbers: np.ndarray[Any, Any], positions: Sequence[int]) -> np.ndarray[Any, Any]:
    """Return numbers on positions as rows and columns: a signal is one row, of a volume all slices are summed."""
    if not positions:
        numbers = numbers.reshape(-1)
    if numbers.ndim < 2:
        return numbers.reshape(1, -1)
    return numbers.sum(axis=tuple(range(numbers.ndim - 2))) if numbers.ndim > 2 else numbers


def _gradient(run: ImageRun, value: int, position: tuple[int, ...], source: int) -> np.ndarray[Any, Any]:
    """Return the size of the gradient of a cell's number with respect to each position, over channels."""
    replay = run.subject.replay
    (found,) = replay.gradients(replay.tensor(value)[position], source)
    positions = run.opened.axes_of(source).positions
    others = [axis for axis in range(found.ndim) if positions and axis not in positions]
    sizes: torch.Tensor = found.double().square().sum(dim=others).sqrt() if others else found.double().abs()
    run.forget_gradients()
    return sizes.numpy()
