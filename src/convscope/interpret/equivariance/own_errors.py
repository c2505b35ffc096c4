"""Measure the error of each layer alone: the maps that it reads are exact shifts, whatever the layers before it did.

One forward pass of an image and a few shifted copies. When a layer is done, its error is taken, and its maps of the
copies are put right: they become the image's own map, rolled by the same number of cells. So the layers after it read
exact shifts again, and an error is always the layer's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import torch
from torch import Tensor

from convscope.arrays import Booleans
from convscope.interpret.equivariance.layer_errors import OwnError
from convscope.interpret.equivariance.row_errors import RowErrors
from convscope.interpret.equivariance.shifted_map import ShiftedMap, ShiftedMaps
from convscope.interpret.execution.streaming import stream_plan, values_as_they_come
from convscope.interpret.replay.replays import Replays

_IMAGE = ""


def own_errors(
    replays: Replays, images: Tensor, maps: Sequence[ShiftedMap], shifted: ShiftedMaps
) -> dict[str, tuple[OwnError, ...]]:
    """Return the own errors of each layer, by name: none of those that read maps of different strides.

    Shifts are by 1 cell of the maps that a layer reads, and by as many as one cell of any layer's map is made of: at
    the second every layer with that stride has a whole cell, and its error is the border's; at the first it has part
    of one, and its error where no border reaches is that of subsampling.

    Args:
        replays: the network, in double precision.
        images: its input, (N, C, *S).
        maps: the layers' maps, in the order in which they run.
        shifted: the network's image.
    """
    pixels_of_a_cell = {_IMAGE: (Fraction(1),) * len(shifted.axes)} | {found.name: found.strides for found in maps}
    read = {found.name: _strides_read(found, pixels_of_a_cell) for found in maps}
    shifts = [(axis, cells) for axis in range(len(shifted.axes)) for cells in _cells(maps, read)]
    batch = torch.cat([images, *(images.roll(cells, shifted.axes[axis]) for axis, cells in shifts)])
    # A network that takes no batches runs on all of them side by side, operation by operation.
    inputs = (batch,) if replays.takes([batch]) else torch.split(batch, 1)
    graph, names = replays.graph_on(inputs[0])
    by_value = {names.find_source(found.name): found for found in maps}
    executors = [replays.executor(each) for each in inputs]
    plan = stream_plan(graph, tuple(by_value))
    errors: dict[str, tuple[OwnError, ...]] = {}
    with torch.inference_mode():
        for runs in zip(*(values_as_they_come(executor, plan) for executor in executors), strict=True):
            value = runs[0][0]
            found = by_value[value]
            numbers = runs[0][1] if len(runs) == 1 else torch.cat([each for _, each in runs])
            parts = torch.split(numbers, len(images))
            strides = read[found.name]
            errors[found.name] = () if strides is None else _errors(found, strides, parts, shifts, shifted.size)
            rolled = (parts[0].roll(cells, found.axes[axis]) for axis, cells in shifts)
            put_right = torch.cat([parts[0], *rolled])
            of_each = torch.split(put_right, len(put_right) // len(executors))
            for executor, part in zip(executors, of_each, strict=True):
                executor.replace(value, part)
    return errors


def _strides_read(
    found: ShiftedMap, pixels_of_a_cell: Mapping[str, tuple[Fraction, ...]]
) -> tuple[Fraction, ...] | None:
    """Return the pixels between cells of the maps that a layer reads; None where these maps differ in it."""
    strides = {pixels_of_a_cell[name] for name in found.inputs}
    return strides.pop() if len(strides) == 1 else None


def _cells(maps: Sequence[ShiftedMap], read: Mapping[str, tuple[Fraction, ...] | None]) -> list[int]:
    """Return the shifts, in cells: 1, and as many as a cell of any layer's map is made of."""
    ratios = {
        mine / theirs
        for found in maps
        for mine, theirs in zip(found.strides, read[found.name] or found.strides, strict=True)
    }
    return sorted({1} | {int(ratio) for ratio in ratios if ratio.denominator == 1})


def _errors(
    found: ShiftedMap,
    read: tuple[Fraction, ...],
    parts: Sequence[Tensor],
    shifts: Sequence[tuple[int, int]],
    size: Sequence[int],
) -> tuple[OwnError, ...]:
    """Return a layer's own errors at the shifts (axis, cells of the maps that it reads), by its maps (N, ...)."""
    by_row = []
    reached: dict[int, Booleans] = {}  # rows with an error at a shift by whole cells: those that a border reaches
    for (axis, cells), there in zip(shifts, parts[1:], strict=True):
        whole, fractional = found.moved(axis, cells * read[axis])
        along = found.axes[axis]
        rows = RowErrors.of(there, parts[0].roll(whole, along), found.axes, along)
        by_row.append((whole, fractional, rows))
        if not fractional and whole % found.cells[axis]:
            reached[axis] = rows.differing() | reached.get(axis, False)
    errors = []
    for (axis, cells), (whole, fractional, rows) in zip(shifts, by_row, strict=True):
        inside = found.inside(axis, math.ceil(cells * read[axis]), size[axis])
        if fractional and axis in reached:
            either = reached[axis].copy()
            either[(reached[axis].nonzero()[0] + whole) % found.cells[axis]] = True
            inside |= ~either
        border = None if fractional else rows.outside(inside)
        errors.append(
            OwnError(axis=axis, cells=cells, fractional=fractional, inside=rows.inside(inside), border=border)
        )
    return tuple(errors)
