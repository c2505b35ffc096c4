"""One number of a network, worked out by hand: what it was made of, step by step.

An operation is explained in one of seven ways: as products that are summed (convolution, fully connected), a choice
(maximum), a mean, a sum, a chain of steps on one number (normalisation, activation, the sum of two), a softmax, or a
move (the number came from elsewhere unchanged). `worked` finds the way by the operator's ATen name.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from convscope.errors import CaptureError, GeometryError
from convscope.geometry.axis_names import axis_letters, padded_position
from convscope.geometry.relation import Expand
from convscope.graph.records import Graph, Node
from convscope.interpret.execution.numpy_executor import NUMPY_OPERATORS, aten_name
from convscope.interpret.explanation import by_place, by_row, by_window
from convscope.interpret.explanation.worked import Coordinates, NumberAt, Way, Worked
from convscope.report import units


def worked(graph: Graph, node: Node, numbers: NumberAt, position: Coordinates, *, which: int = 0) -> Worked:
    """Work out one cell of a node's output.

    Args:
        graph: the captured network.
        node: the operation.
        numbers: gives a value's numbers.
        position: the cell, one index per axis, batch included.
        which: of several outputs, the one that holds the cell.

    Raises:
        CaptureError: an operator that we can't explain.
    """
    if any(graph.values[value].spec.dtype.startswith("complex") for value in (*node.inputs, *node.outputs)):
        raise CaptureError(f"{node.module or 'the model'}: {node.op} of complex numbers can't be explained yet")
    name = aten_name(node)
    if name in by_place.MOVES:
        return by_place.move(graph, node, position, numbers, which=which)
    if which:
        raise CaptureError(f"{node.module or 'the model'}: output {which} of {node.target} can't be explained yet")
    way = WAYS.get(name)
    if way is not None:
        return way(node, numbers, position)
    elementwise = node.paths is not None and all(
        all(isinstance(step, Expand) for step in path.steps) for path in node.paths
    )
    if name in NUMPY_OPERATORS and elementwise:
        return by_place.elementwise(graph, node, numbers, position)
    raise CaptureError(f"{node.module or 'the model'}: {node.target} can't be explained yet")


WAYS: Mapping[str, Way] = {
    "convolution": by_window.convolution,
    "linear": by_row.linear,
    "addmm": by_row.addmm,
    "mm": by_row.mm,
    "bmm": by_row.mm,
    **{f"max_pool{n}d{suffix}": by_window.max_pool for n in (1, 2, 3) for suffix in ("", "_with_indices")},
    **{f"avg_pool{n}d": by_window.average_pool for n in (1, 2, 3)},
    **{f"{under}adaptive_avg_pool{n}d": by_window.adaptive_average for under in ("", "_") for n in (1, 2, 3)},
    **{f"adaptive_max_pool{n}d": by_window.adaptive_maximum for n in (1, 2, 3)},
    "glu": by_place.gated,
    "mean": by_row.mean,
    "sum": by_row.total,
    "amax": by_row.maximum,
    "native_batch_norm": by_row.batch_norm,
    "_native_batch_norm_legit_no_training": by_row.batch_norm,
    "native_layer_norm": by_row.layer_norm,
    "native_group_norm": by_row.group_norm,
    "_softmax": by_row.softmax,
    "_log_softmax": by_row.softmax,
    "_safe_softmax": by_row.softmax,
    "softmax": by_row.softmax,
    "upsample_nearest1d": by_window.resized("nearest"),
    "upsample_nearest2d": by_window.resized("nearest"),
    "upsample_nearest3d": by_window.resized("nearest"),
    **{f"_upsample_nearest_exact{n}d": by_window.resized("nearest-exact") for n in (1, 2, 3)},
    "upsample_linear1d": by_window.resized("linear"),
    "upsample_bilinear2d": by_window.resized("linear"),
    "upsample_trilinear3d": by_window.resized("linear"),
}
"""ATen's name -> how a cell of it is explained; the others are elementwise, moves, or not known."""


def cell_position(shape: tuple[int, ...], channel: int, at: tuple[int, ...], *, layer: str) -> tuple[int, ...]:
    """Return the whole position of a cell in a value `(N, C, *S)`, of the first sample.

    Raises:
        GeometryError: the cell is outside the map, or has another number of coordinates; the message has the size.

    >>> cell_position((1, 64, 112, 112), 3, (10, 20), layer="conv1")
    (0, 3, 10, 20)
    >>> cell_position((1, 128, 8000), 3, (10, 20), layer="conv1")
    Traceback (most recent call last):
    ...
    convscope.errors.GeometryError: conv1's map is 8000: say where with 1 number, X, from 0 to 7999; got 2
    """
    if len(shape) < 2:
        raise GeometryError(f"{layer} gives {shape}: there is no channel to choose")
    if not 0 <= channel < shape[1]:
        known = "0" if shape[1] == 1 else f"0 to {shape[1] - 1}"
        raise GeometryError(f"{layer} has {units.plural(shape[1], 'channel')}, {known}: channel {channel} is outside")
    sizes = shape[2:]
    at = padded_position(at, sizes)
    if len(at) != len(sizes):
        if not sizes:
            raise GeometryError(f"{layer} has {units.plural(shape[1], 'unit')} and no map: leave the place out")
        if at or prod(sizes) != 1:
            last = ",".join(str(size - 1) for size in sizes)
            first = ",".join("0" for _ in sizes)
            raise GeometryError(
                f"{layer}'s map is {units.shape(sizes)}: say where with {units.plural(len(sizes), 'number')}, "
                f"{axis_letters(len(sizes))}, from {first} to {last}; got {len(at)}"
            )
        at = (0,) * len(sizes)
    if any(not 0 <= place < size for place, size in zip(at, sizes, strict=True)):
        last = ",".join(str(size - 1) for size in sizes)
        raise GeometryError(
            f"{layer}'s map is {units.shape(sizes)}: {','.join(map(str, at))} is outside; the last cell is {last}"
        )
    return (0, channel, *at)
