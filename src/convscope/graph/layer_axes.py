"""What each axis of a layer's output is, where layers over positions hold their channels in the last one.

A linear layer takes channels from the last axis, and so does what follows it number by number: the values of tokens
(N, T, C), and those of a block of ConvNeXt, (N, H, W, C).
"""

from __future__ import annotations

from convscope.geometry.axis_names import axis_names
from convscope.graph.axes import BATCH, CHANNELS, ValueAxes, value_axes
from convscope.graph.layer_names import LayerNames
from convscope.graph.records import Node

_NORMS = frozenset({"layer_norm", "rms_norm"})


class LayerAxes:
    """The axes of a network's values: those of `value_axes`, but with channels in the last one after linear layers.

    Args:
        names: the layers of a graph.

    >>> from torch import nn, zeros
    >>> from convscope.capture.capture import capture
    >>> names = LayerNames(capture(nn.Sequential(nn.Conv1d(3, 4, 1), nn.Linear(8, 5)), zeros(1, 3, 8)))
    >>> axes = LayerAxes(names)
    >>> [axes.of(names.find(layer)).names for layer in ("0", "1")]
    [('batch', 'channels', 'positions'), ('batch', 'positions', 'channels')]
    """

    def __init__(self, names: LayerNames) -> None:
        self.graph = names.graph
        self._last = _channels_last(names)
        self._known: dict[int, ValueAxes] = {}

    def of(self, value: int) -> ValueAxes:
        """Return the axes of a value."""
        if value not in self._known:
            rank = len(self.graph.shape(value))
            last = rank > 2 and value in self._last
            named = ValueAxes((BATCH, *axis_names(rank - 2), CHANNELS)) if last else value_axes(self.graph, value)
            self._known[value] = named
        return self._known[value]


def is_elementwise(node: Node) -> bool:
    """Return whether each number of an operation's first output is made of the numbers at its own place alone."""
    return len(node.outputs) > 0 and node.paths is not None and all(
        not path.steps for path in node.paths if path.output == node.outputs[0]
    )  # fmt: skip


def _channels_last(names: LayerNames) -> set[int]:
    """Return the values whose last axis holds the channels: tokens, and the outputs of linear layers over positions."""
    graph = names.graph
    found = {layer.output for layer in names.layers if layer.op == "linear" and len(graph.shape(layer.output)) > 2}
    for node in graph.nodes:
        carried = is_elementwise(node) and any(value in found for value in node.inputs)
        tokens = node.op in _NORMS and len(graph.shape(node.outputs[0])) == 3
        if tokens or carried:
            found.update(node.outputs)
    return found
