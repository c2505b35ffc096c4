"""The scores of a network's classes, which its first floating-point output holds."""

from __future__ import annotations

import torch

from convscope.errors import CaptureError
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
        if node.op not in SAME_NUMBERS or _by_image(graph, node.inputs[0]) != _by_image(graph, value):
            return node
        value = node.inputs[0]
    return None


def _by_image(graph: Graph, value: int) -> tuple[int, ...]:
    """Return the images and the classes of scores: one class where there is no axis of them."""
    return (*graph.shape(value), 1)[:2]


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


def by_class(scores: torch.Tensor) -> torch.Tensor:
    """Return scores as (N, classes): of a map of scores (N, classes, *S) the mean over its positions."""
    return scores[:, None] if scores.ndim == 1 else scores.flatten(2).mean(2) if scores.ndim > 2 else scores
