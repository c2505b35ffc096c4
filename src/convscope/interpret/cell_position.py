"""A cell as the user names it, by channel and place, checked against the shape of its layer's output."""

from __future__ import annotations

from math import prod
from typing import TypeVar

from convscope.errors import GeometryError
from convscope.geometry.axis_names import padded_position
from convscope.graph.axes import BATCH, ValueAxes, plain_axes
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

    With one number more, `at` begins with the place along the first axis, which of a detector's values is a box. Of a
    value with that axis alone it is the whole position.

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
    >>> cell_position((300,), 0, (7,), layer="scores"), cell_position((300, 4), 2, (7,), layer="boxes")
    ((7,), (7, 2))
    >>> cell_position((1, 128, 8000), 3, (10, 20), layer="conv1")
    Traceback (most recent call last):
    ...
    convscope.errors.GeometryError: conv1's map is 8000: say where with 1 number, X, from 0 to 7999; got 2
    """
    axes = axes or plain_axes(len(shape))
    if 0 in shape:
        raise GeometryError(f"{layer} gives {units.shape(shape)} here, and no number")
    if channel is not None and len(shape) < 2:
        return _without_channels(shape, channel, at, layer=layer)
    channels = 1 if axes.channels is None else shape[axes.channels]
    if channel is not None and not 0 <= channel < channels:
        known = "0" if channels == 1 else f"0 to {channels - 1}"
        raise GeometryError(f"{layer} has {units.plural(channels, 'channel')}, {known}: channel {channel} is outside")
    sizes = tuple(shape[axis] for axis in axes.positions)
    sample = 0
    if channel is not None and axes.names[0] == BATCH and shape[0] > 1 and len(at) == len(sizes) + 1:
        sample, at = _checked(at[0], shape[0], layer=layer), at[1:]
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
    places = {0: sample, **dict(zip(axes.positions, at, strict=True))}
    return tuple(channel if axis == axes.channels else places.get(axis, 0) for axis in range(len(shape)))


def _without_channels(shape: tuple[int, ...], channel: int, at: tuple[int, ...], *, layer: str) -> tuple[int, ...]:
    if channel != 0:
        raise GeometryError(f"{layer} gives {units.shape(shape) or 'a single number'}, without channels: leave it out")
    if len(at) > len(shape) or (len(at) < len(shape) and prod(shape) != 1):
        where = f"with one number, from 0 to {shape[0] - 1}" if shape else "with none"
        raise GeometryError(
            f"{layer} gives {units.shape(shape) or 'a single number'}: say where {where}; got {len(at)}"
        )
    return tuple(_checked(place, size, layer=layer) for place, size in zip(at or (0,) * len(shape), shape, strict=True))


def _checked(place: int, size: int, *, layer: str) -> int:
    if not 0 <= place < size:
        raise GeometryError(f"{layer} has {size:,} along its first axis: {place} is outside, the last is {size - 1}")
    return place
