"""Cells sampled at computed places, by a grid of coordinates from −1 to 1.

Source: PyTorch's `grid_sample` (`grid_sampler_compute_source_index`).
"""

from __future__ import annotations

from math import floor

import numpy as np

from convscope.arrays import Array
from convscope.graph.records import Node
from convscope.interpret.explanation.worked import Coordinates, NumberAt, Operands, Worked, products_of, ref

# ATen's numbers for the settings of `grid_sample`.
_BILINEAR, _NEAREST = 0, 1
_ZEROS, _BORDER = 0, 1


def sampled(node: Node, numbers: NumberAt, position: Coordinates) -> Worked | None:
    """Return a cell of `grid_sample`: the neighbours of the place in its grid, by their shares; None if cubic."""
    a = node.arguments
    interpolation, padding, aligned = a["interpolation_mode"], a["padding_mode"], bool(a["align_corners"])
    if interpolation not in (_BILINEAR, _NEAREST):
        return None
    value = ref(a["input"])
    x = numbers(value)
    # The grid's last axis names columns first: (x, y) or (x, y, z).
    named = numbers(ref(a["grid"]))[(position[0], *position[2:])][::-1]
    sizes, axes = x.shape[2:], len(x.shape) - 2
    places: list[Array] = []
    weights: Array = np.ones((1,) * (axes + 1))
    inside: Array = np.ones((1,) * (axes + 1), dtype=bool)
    for axis, (coordinate, size) in enumerate(zip(named, sizes, strict=True)):
        source = _source(float(coordinate), size, aligned, padding)
        lower = floor(source)
        share = source - lower
        taps = np.asarray([round(source)] if interpolation == _NEAREST else [lower, lower + 1])
        shares = np.asarray([1.0] if interpolation == _NEAREST else [1 - share, share])
        shape = (1, *(-1 if a == axis else 1 for a in range(axes)))
        places.append(taps.reshape(shape))
        weights = weights * shares.reshape(shape)
        inside = inside & ((taps >= 0) & (taps < size)).reshape(shape)
    clipped = [np.clip(p, 0, size - 1) for p, size in zip(places, sizes, strict=True)]
    found = x[(np.asarray(position[0]), np.full((1,) * (axes + 1), position[1]), *clipped)]
    where = (np.asarray(position[0]), np.full((1,) * (axes + 1), position[1]), *places)
    return products_of(Operands(value, np.where(inside, found, 0.0), where, inside, weights), None)


def _source(coordinate: float, size: int, aligned: bool, padding: object) -> float:
    """Return the position, in pixels, that a coordinate of the grid stands for, after its padding mode."""
    span = size - 1 if aligned else size
    source = (coordinate + 1) / 2 * span - (0 if aligned else 0.5)
    if padding == _ZEROS:
        return source
    if padding != _BORDER:
        low = 0.0 if aligned else -0.5
        turned = abs(source - low) % (2 * span) if span else 0.0
        source = low + (2 * span - turned if turned > span else turned)
    return min(max(source, 0.0), size - 1.0)
