"""Interpolation by fixed taps, and sampling at places that the network computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np

from convscope.capture.operators.rule import Call, Flow, OperatorRule, Rule
from convscope.geometry.relation import Expand, Mix, Permute, ReachStatus, Reshape, Taps
from convscope.geometry.resize import InterpolationMode, resize_taps, scales_that_count
from convscope.geometry.taps import NO_TAP, TapTable, listed_taps


def _scales(call: Call, dimensions: int) -> Sequence[float | None]:
    """Return the scale factors by axis, if PyTorch uses them: `.vec` overloads hold a list, others name each."""
    if "scale_factors" in call.arguments:
        return call.arguments["scale_factors"] or (None,) * dimensions
    names = {1: ("scales",), 2: ("scales_h", "scales_w"), 3: ("scales_d", "scales_h", "scales_w")}[dimensions]
    return tuple(call.arguments.get(name) for name in names)


def _resize(mode: InterpolationMode, dimensions: int) -> Rule:
    def rule(call: Call) -> OperatorRule:
        x, out = call.first, call.outputs[0]
        first = x.rank - dimensions
        align = bool(call.arguments.get("align_corners", False))
        scales = scales_that_count(x.shape[first:], out[first:], mode, _scales(call, dimensions))
        steps = tuple(
            Taps(first + i, resize_taps(x.shape[first + i], out[first + i], mode, align_corners=align, scale=scales[i]))
            for i in range(dimensions)
        )
        return OperatorRule("upsample", (Flow(0, 0, steps),), macs=0)

    return rule


def _triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _cubic(x: float) -> float:
    """Keys's cubic with a = -1/2, as Pillow and PyTorch's anti-aliased mode have it."""
    x = abs(x)
    if x < 1.0:
        return (1.5 * x - 2.5) * x * x + 1.0
    return ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0 if x < 2.0 else 0.0


def _antialiased(radius: float, kernel: Callable[[float], float]) -> Rule:
    """Anti-aliased interpolation: the kernel widens with the reduction; taps of weight 0 are left out.

    Source: PyTorch's `_compute_weights_aa`: support = radius times scale around the centre, edges cut.
    """

    def table(size: int, wanted: int, align: bool, given: float | None) -> TapTable:
        if align:
            scale = (size - 1) / (wanted - 1) if wanted > 1 else 0.0
        else:
            scale = 1.0 / given if given else size / wanted
        support = radius * max(scale, 1.0)
        rows = []
        for u in range(wanted):
            centre = scale * (u + 0.5)
            first, last = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), size)
            shrink = max(scale, 1.0)
            rows.append([i for i in range(first, last) if abs(kernel((i + 0.5 - centre) / shrink)) > 1e-7])
        longest = max(len(row) for row in rows)
        positions = np.full((wanted, longest), NO_TAP, dtype=np.int64)
        for u, row in enumerate(rows):
            positions[u, : len(row)] = row
        return listed_taps(positions, size)

    def rule(call: Call) -> OperatorRule:
        x, out = call.first, call.outputs[0]
        align = bool(call.arguments.get("align_corners", False))
        scales = _scales(call, 2)
        steps = tuple(
            Taps(axis, table(x.shape[axis], out[axis], align, scales[i]))
            for i, axis in enumerate((x.rank - 2, x.rank - 1))
        )
        return OperatorRule("upsample", (Flow(0, 0, steps),), macs=0)

    return rule


def _grid_sample(call: Call) -> OperatorRule:
    """Describe sampling by a grid: any pixel, as a bound. Each grid position affects its own output only."""
    x, grid = call.operands[0], call.operands[1]
    out = call.outputs[0]
    steps = tuple(Mix(axis, out[axis]) for axis in range(2, x.rank))
    last = grid.rank - 1
    steering = (Mix(last, 1), Permute((0, last, *range(1, last))), Expand(out))
    flows = (Flow(x.slot, 0, steps, ReachStatus.DATA_DEPENDENT), Flow(grid.slot, 0, steering))
    return OperatorRule("grid_sample", flows, macs=None)


def _affine_grid(call: Call) -> OperatorRule:
    """Describe the grid (N, ..., d) of a map (N, d, d + 1): each coordinate reads its own row of the map."""
    theta, out = call.first, call.outputs[0]
    samples, axes = theta.shape[:2]
    steps = (Mix(2, 1), Permute((0, 2, 1)), Reshape((samples, *(1,) * axes, axes)), Expand(out))
    sizes = (*out, axes + 1)
    return OperatorRule("affine_grid", (Flow(0, 0, steps),), macs=prod(sizes), formula=" · ".join(map(str, sizes)))


_LINEAR = {1: "upsample_linear1d", 2: "upsample_bilinear2d", 3: "upsample_trilinear3d"}

RULES: Mapping[str, Rule] = {
    **{f"upsample_nearest{n}d": _resize("nearest", n) for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": _resize("nearest-exact", n) for n in (1, 2, 3)},
    **{name: _resize("linear", n) for n, name in _LINEAR.items()},
    "upsample_bicubic2d": _resize("cubic", 2),
    "_upsample_bilinear2d_aa": _antialiased(1.0, _triangle),
    "_upsample_bicubic2d_aa": _antialiased(2.0, _cubic),
    "grid_sampler_2d": _grid_sample,
    "grid_sampler_3d": _grid_sample,
    "_grid_sampler_2d_cpu_fallback": _grid_sample,
    "affine_grid_generator": _affine_grid,
}
