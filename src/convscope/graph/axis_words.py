"""The names of a value's axes after its first two, as the network itself treats them."""

from __future__ import annotations

from convscope.geometry.axis_names import axis_names
from convscope.graph.records import Graph
from convscope.graph.vocabulary import CONVOLUTIONS

# A value (N, C, D, H, W) where no window says otherwise is as likely a clip (N, T, C, H, W).
_VOLUME = 5


def value_axis_names(graph: Graph, value: int) -> tuple[str, ...]:
    """Return the names of a value's axes after its first two: rows and columns of (N, C, H, W).

    Where the network convolves maps of fewer axes, or takes another axis for the channels, as of a clip (N, T, C, H, W)
    or an image (N, H, W, C), they are numbered, the batch being axis 0: "axis 2:".
    """
    shape = graph.shape(value)
    dimensions = max(0, len(shape) - 2)
    read = next((graph.shape(node.inputs[0]) for node in graph.nodes if node.op in CONVOLUTIONS), None)
    if read is None:
        told = len(shape) < _VOLUME
    else:
        # (N, C, X) is convolved as (N, C, 1, X) in places, so fewer axes tell nothing.
        moved = len(read) == len(shape) and read[1] != shape[1] and read[1] in shape[2:] and value in graph.inputs
        told = len(shape) <= len(read) and not moved
    return axis_names(dimensions) if told else tuple(f"axis {axis}:" for axis in range(2, len(shape)))
