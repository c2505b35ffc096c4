"""The part of a network that a value leads to, run again and again with other numbers in the value's place.

What does not depend on the value is computed once for a batch: the operations before it, and branches beside it that
meet what follows.
"""

from __future__ import annotations

import torch

from convscope.errors import CaptureError
from convscope.graph.records import Graph
from convscope.interpret.execution.streaming import stream_plan, values_as_they_come
from convscope.interpret.features.observed import AxesOfMaps, MapAxes
from convscope.interpret.replay.class_scores import by_class, scores_value
from convscope.interpret.replay.replays import Replays


class Tail:
    """What follows a layer, on one batch.

    Args:
        replays: the network.
        layer: the name of a layer or operation.
        inputs: the batch, (N, C, *S).

    Raises:
        CaptureError: the network does not run on the batch, has no such layer, or its scores do not depend on it.

    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 4))
    >>> batch = torch.randn(3, 1, 5, 5)
    >>> tail = Tail(Replays(network), "1", batch)
    >>> torch.equal(tail.class_scores(tail.value), network(batch)), tuple(tail.value.shape)
    (True, (3, 2, 3, 3))
    """

    def __init__(self, replays: Replays, layer: str, inputs: torch.Tensor) -> None:
        self.graph, names = replays.graph_on(inputs)
        self.index = names.find_source(layer)
        self._output = scores_value(self.graph)
        after, beside = _split(self.graph, self.index, self._output)
        if self._output not in after:
            raise CaptureError(f"the scores of {self.graph.name} do not depend on {layer}, so nothing is knocked out")
        self._after = after
        executor = replays.executor(inputs)
        wanted = (self.index, *beside)
        # Apart from the run: the operations after a value may write into its memory.
        kept = {value: executor.tensor(value).clone() for value in wanted if value in self.graph.inputs}
        for value, tensor in values_as_they_come(executor, stream_plan(self.graph, wanted)):
            kept[value] = tensor.clone()
        self._executor = replays.executor(inputs)
        for value, tensor in kept.items():
            self._executor.replace(value, tensor)
        self.value = kept[self.index]
        self.axes: MapAxes = AxesOfMaps(names).of(self.index)

    def class_scores(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return the score of each class, (N, classes), with these numbers in the value's place."""
        for value in self._after - {self.index}:
            self._executor.free(value)
        self._executor.replace(self.index, numbers)
        return by_class(self._executor.tensor(self._output), self.graph)


def _split(graph: Graph, value: int, output: int) -> tuple[set[int], tuple[int, ...]]:
    """Return the values that depend on a value, itself among them, and the others that these are computed from."""
    needed = _needed(graph, output)
    after, beside = {value}, dict[int, None]()
    for node in graph.nodes:
        if node.index not in needed or after.isdisjoint(node.inputs) or value in node.outputs:
            continue
        after.update(node.outputs)
        for other in node.inputs:
            if other not in after and graph.values[other].producer is not None:
                beside[other] = None
    return after, tuple(beside)


def _needed(graph: Graph, output: int) -> set[int]:
    reached, nodes = {output}, set()
    for node in reversed(graph.nodes):
        if not reached.isdisjoint(node.outputs):
            reached.update(node.inputs)
            nodes.add(node.index)
    return nodes
