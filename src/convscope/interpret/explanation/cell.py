"""One number of a network, worked out by hand: what it was made of, step by step.

An operation is explained in one of seven ways: as products that are summed (convolution, fully connected), a choice
(maximum), a mean, a sum, a chain of steps on one number (normalisation, activation, the sum of two), a softmax, or a
move (the number came from elsewhere unchanged). `worked` finds the way by the operator's ATen name.
"""

from __future__ import annotations

from collections.abc import Mapping

from convscope.errors import CaptureError
from convscope.geometry.relation import Expand
from convscope.graph.records import Graph, Node
from convscope.interpret.execution.numpy_executor import NUMPY_OPERATORS, aten_name
from convscope.interpret.explanation import by_place, by_row, by_window
from convscope.interpret.explanation.worked import Coordinates, NumberAt, Way, Worked


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
