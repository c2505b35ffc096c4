"""The scores of a network's classes, which its first floating-point output holds."""

from __future__ import annotations

import torch

from convscope.errors import CaptureError
from convscope.graph.axes import batch_of
from convscope.graph.records import Graph, Node
from convscope.interpret.execution.torch_executor import TorchExecutor
from convscope.interpret.map_geometry import SAME_NUMBERS


def scores_value(graph: Graph) -> int:
    """Return the network's first floating-point output, as an index into `Graph.values`.

    Raises:
        CaptureError: it has none, or its first one has no axis of images.
    """
    for value in graph.outputs:
        if getattr(torch, graph.values[value].spec.dtype).is_floating_point:
            if not graph.shape(value):
                raise CaptureError(f"{graph.name} gives one number for all images together, and no scores of each")
            return value
    raise CaptureError(f"{graph.name} gives no floating-point numbers, so nothing has a gradient")


def scores_operation(graph: Graph) -> Node | None:
    """Return the operation whose numbers are the scores, however they are laid out anew after it; None without one."""
    value = scores_value(graph)
    while (producer := graph.values[value].producer) is not None:
        node = graph.nodes[producer]
        if node.op not in SAME_NUMBERS or images_and_classes(graph, node.inputs[0]) != images_and_classes(graph, value):
            return node
        value = node.inputs[0]
    return None


def images_and_classes(graph: Graph, value: int) -> tuple[int, ...]:
    """Return how many images and classes scores are of: one class where there is no axis of them, see `by_class`."""
    shape = graph.shape(value)
    return (1, *shape) if len(shape) == 1 and shape[0] != batch_of(graph) else (*shape, 1)[:2]


def compute_scores(executor: TorchExecutor) -> None:
    """Compute the network's scores; the memory of each value is freed after its last use.

    Raises:
        CaptureError: the network does not run on its input.
    """
    wanted = scores_value(executor.graph)
    nodes = executor.nodes_to_run(wanted)
    last_use = {value: node.index for node in nodes for value in node.inputs}
    for node in nodes:
        executor.run_on_input(node)
        for value in (*node.inputs, *node.outputs):
            if last_use.get(value, node.index) == node.index and value != wanted:
                executor.free(value)


def by_class(scores: torch.Tensor, graph: Graph | None = None) -> torch.Tensor:
    """Return scores as (N, classes): of a map of scores (N, classes, *S) the mean over its positions.

    Scores of one axis are those of one class for each image; of a graph of another batch, those of all classes for one
    image, whose axis the network squeezed away.
    """
    if scores.ndim == 1:
        return scores[None] if graph is not None and len(scores) != batch_of(graph) else scores[:, None]
    return scores.flatten(2).mean(2) if scores.ndim > 2 else scores
