"""One number of a network, worked out by hand: what it was made of, step by step.

An operation is explained in one of eight ways: as products that are summed (convolution, fully connected), a choice
(maximum), a mean, a sum, a chain of steps on one number (normalisation, activation, the sum of two), a softmax, a
move (the number came from elsewhere unchanged), or, where the operation is not known, as torch's number: that branch
ends there. `worked` finds the way by the operator's ATen name.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from convscope.errors import CaptureError
from convscope.geometry.relation import Expand
from convscope.graph.records import Graph, Node
from convscope.interpret.execution.numpy_executor import NUMPY_OPERATORS as ELEMENTWISE
from convscope.interpret.execution.numpy_executor import aten_name
from convscope.interpret.explanation import by_grid, by_place, by_row, by_window
from convscope.interpret.explanation.worked import Coordinates, NumberAt, Way, Worked, given


def worked(graph: Graph, node: Node, numbers: NumberAt, position: Coordinates, *, which: int = 0) -> Worked:
    """Work out one cell of a node's output.

    Args:
        graph: the captured network.
        node: the operation.
        numbers: gives a value's numbers.
        position: the cell, one index per axis, batch included.
        which: of several outputs, the one that holds the cell.

    Raises:
        CaptureError: the cell is a complex number.
    """
    name = aten_name(node)
    if _is_complex(graph, node.outputs[which]):
        raise CaptureError(
            f"{node.module or 'the model'}: {node.op} makes complex numbers, of which none is one number"
        )
    found: Worked | None = None
    # A window or a row needs an axis to lie along, and numbers on it.
    has_row = bool(node.inputs) and prod(graph.shape(node.inputs[0])) > 0 < len(graph.shape(node.inputs[0]))
    if any(_is_complex(graph, value) for value in node.inputs):
        pass
    elif name in by_place.MOVES and not by_place.is_rounded(graph, node):
        found = by_place.move(graph, node, position, numbers, which=which)
    elif (way := WAYS.get(name) if not which else SECOND_WAYS.get(name)) is not None:
        found = way(node, numbers, position) if has_row else None
    elif not which and name in ELEMENTWISE and not node.arguments.get("training") and _in_place(node):
        found = by_place.elementwise(graph, node, numbers, position)
    return found or given(node, float(numbers(node.outputs[which])[position]))


def _is_complex(graph: Graph, value: int) -> bool:
    return graph.values[value].spec.dtype.startswith("complex")


def _in_place(node: Node) -> bool:
    """Return whether every element is made of the elements at its own place."""
    return node.paths is not None and all(isinstance(step, Expand) for path in node.paths for step in path.steps)


WAYS: Mapping[str, Way] = {
    "convolution": by_window.convolution,
    "_convolution": by_window.convolution,
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
    "max": by_row.maximum,
    "amin": by_row.minimum,
    "min": by_row.minimum,
    "prod": by_row.product,
    "var": by_row.variance,
    "var_mean": by_row.variance,
    "std": by_row.deviation,
    "std_mean": by_row.deviation,
    "linalg_vector_norm": by_row.norm,
    "logsumexp": by_row.log_of_powers,
    "cumsum": by_row.running_sum,
    "topk": by_row.ranked,
    "sort": by_row.ranked,
    "_trilinear": by_row.bilinear,
    "col2im": by_window.summed_columns,
    "grid_sampler_2d": by_grid.sampled,
    "grid_sampler_3d": by_grid.sampled,
    "upsample_bicubic2d": by_window.resized("cubic"),
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

SECOND_WAYS: Mapping[str, Way] = {"var_mean": by_row.mean, "std_mean": by_row.mean}
"""The same for the second output, where it holds numbers and not places."""
