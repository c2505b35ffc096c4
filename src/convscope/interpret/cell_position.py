"""A cell as the user names it, by channel and place, checked against the shape of its layer's output."""

from __future__ import annotations

from math import prod
from typing import TypeVar

from convscope.errors import GeometryError
from convscope.geometry.axis_names import padded_position
from convscope.graph.axes import ValueAxes, plain_axes
from convscope.report import units

ChannelOrAll = TypeVar("ChannelOrAll", int, int | None)


def cell_position(
    shape: tuple[int, ...],
    channel: ChannelOrAll,
    at: tuple[int, ...],
    *,
    layer: str,
    axes: ValueAxes | None = None,
) -> tuple[int | ChannelOrAll, ...]:
    """Return the whole position of a cell of the first sample; channel None is all.

    Args:
        shape: of the value that holds the cell.
        channel: which one.
        at: the place, one number for each axis of positions.
        layer: the value's name in messages.
        axes: what the value's axes are; `(N, C, *S)` unless given.

    Raises:
        GeometryError: the cell is outside the map, or has another number of coordinates; the message has the size.

    >>> cell_position((1, 64, 112, 112), 3, (10, 20), layer="conv1")
    (0, 3, 10, 20)
    >>> cell_position((1, 128, 8000), 3, (10, 20), layer="conv1")
    Traceback (most recent call last):
    ...
    convscope.errors.GeometryError: conv1's map is 8000: say where with 1 number, X, from 0 to 7999; got 2
    """
    axes = axes or plain_axes(len(shape))
    channels = 1 if axes.channels is None else shape[axes.channels]
    if channel is not None and len(shape) < 2:
        raise GeometryError(f"{layer} gives {shape}: there is no channel to choose")
    if channel is not None and not 0 <= channel < channels:
        known = "0" if channels == 1 else f"0 to {channels - 1}"
        raise GeometryError(f"{layer} has {units.plural(channels, 'channel')}, {known}: channel {channel} is outside")
    sizes = tuple(shape[axis] for axis in axes.positions)
    at = padded_position(at, sizes)
    if len(at) != len(sizes):
        if not sizes:
            raise GeometryError(f"{layer} has {units.plural(channels, 'unit')} and no map: leave the place out")
        if at or prod(sizes) != 1:
            last = ",".join(str(size - 1) for size in sizes)
            first = ",".join("0" for _ in sizes)
            raise GeometryError(
                f"{layer}'s map is {units.shape(sizes)}: say where with {units.plural(len(sizes), 'number')}, "
                f"{axes.letters}, from {first} to {last}; got {len(at)}"
            )
        at = (0,) * len(sizes)
    if any(not 0 <= place < size for place, size in zip(at, sizes, strict=True)):
        last = ",".join(str(size - 1) for size in sizes)
        raise GeometryError(
            f"{layer}'s map is {units.shape(sizes)}: {','.join(map(str, at))} is outside; the last cell is {last}"
        )
    places = dict(zip(axes.positions, at, strict=True))
    return tuple(channel if axis == axes.channels else places.get(axis, 0) for axis in range(len(shape)))
