"""An array of numbers as one sample `(C, *S)` of a network: which of its axes are the channels, and which the map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from convscope.arrays import Array
from convscope.errors import DataError
from convscope.report.units import shape as sizes_text
from convscope.report.usage import settings_text

_MAPS = {1: "L", 2: "H×W", 3: "D×H×W"}


@dataclass(frozen=True, eq=False)
class AxisReading:
    """One way to read an array's axes.

    Args:
        words: the axes in order, "C×H×W".
        sample: the array as `(C, *S)`, a view.
    """

    words: str
    sample: Array


def understood(array: Array, wanted: tuple[int, ...], *, name: str, network: str, pixels: bool = False) -> AxisReading:
    """Return the one reading of an array that has the channels and the sizes of a network's input.

    An array may stand for one sample with or without its batch axis of 1, without its channel axis where there is one
    channel, and of an image with its channels last. With a batch axis the channels always come first.

    Args:
        array: the numbers.
        wanted: the network's input for one sample, `(C, *S)`.
        name: what to call the array in an error.
        network: what to call the network.
        pixels: whether the numbers are pixels, which are brought to the network's sizes and to grey or colour later.

    Raises:
        DataError: no reading fits, or two do.

    >>> understood(np.zeros((28, 28, 3)), (3, 28, 28), name="x.npy", network="net").words
    'H×W×C'
    >>> understood(np.zeros((1, 3, 16, 112, 112)), (3, 16, 112, 112), name="x.npy", network="c3d").words
    'N×C×D×H×W'
    """
    possible = list(_readings(array, len(wanted) - 1))
    readings = [one for one in possible if one.sample.shape[0] == wanted[0]]
    if pixels and not readings:
        readings = [one for one in possible if one.sample.shape[0] in (1, 3)]
    exact = [one for one in readings if one.sample.shape == wanted]
    found = exact if len(exact) == 1 else readings
    given = f"{name} has the shape {sizes_text(array.shape)}"
    if len(found) > 1:
        words = " or ".join(one.words for one in found)
        raise DataError(f"{given}, which can be {words}: save it as 1×C×{_MAPS[len(wanted) - 1]}, channels first")
    if found and (exact or pixels):
        return found[0]
    needed = f"{network} takes {sizes_text(wanted)}"
    if found:
        shown = settings_text(input_shape=tuple(map(int, found[0].sample.shape)))
        raise DataError(f"{given}, and {needed}: cut or pad it to that, or give {shown}")
    if array.ndim and array.shape[0] > 1 and array.shape[1:] == wanted:
        raise DataError(f"{given}, and {needed}: save one sample, without others beside it")
    swapped = " (its channels come first: transpose it)" if sorted(array.shape) == sorted(wanted) else ""
    raise DataError(f"{given}, and {needed}{swapped or ', with or without a batch axis of 1 before it'}")


def _readings(array: Array, dimensions: int) -> Iterator[AxisReading]:
    letters = _MAPS.get(dimensions, "×".join(f"S{axis}" for axis in range(dimensions)))
    if array.ndim == dimensions:
        yield AxisReading(letters, array[None])
    elif array.ndim == dimensions + 1:
        yield AxisReading(f"C×{letters}", array)
        if dimensions == 2:
            yield AxisReading(f"{letters}×C", np.moveaxis(array, -1, 0))
    elif array.ndim == dimensions + 2 and array.shape[0] == 1:
        yield AxisReading(f"N×C×{letters}", array[0])
