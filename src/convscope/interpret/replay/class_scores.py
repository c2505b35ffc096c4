"""The scores of a network's classes, which its first floating-point output holds."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from convscope.errors import CaptureError
from convscope.graph.axes import batch_of
from convscope.graph.records import Graph, Node
from convscope.interpret.execution.torch_executor import TorchExecutor
from convscope.interpret.map_geometry import SAME_NUMBERS
from convscope.report.printable import few
from convscope.report.units import shape as sizes_text

_NAMED = 4  # outputs that a remark names


def scores_value(graph: Graph) -> int:
    """Return the network's first floating-point output with axes, as an index into `Graph.values`.

    Single numbers, such as a loss beside the scores, are passed over.

    Raises:
        CaptureError: it has none.
    """
    found = float_outputs(graph)
    for value in found:
        if graph.shape(value):
            return value
    if found:
        raise CaptureError(f"{graph.name} gives one number for all images together, and no scores of each")
    raise CaptureError(f"{graph.name} gives no floating-point numbers, so nothing has a gradient")


def float_outputs(graph: Graph) -> tuple[int, ...]:
    """Return the network's outputs of floating-point numbers, as indices into `Graph.values`."""
    outputs = dict.fromkeys(graph.outputs)
    return tuple(one for one in outputs if getattr(torch, graph.values[one].spec.dtype).is_floating_point)


def output_notes(graph: Graph) -> tuple[str, ...]:
    """Return the remark on a network of several outputs: which of them is explained."""
    found = float_outputs(graph)
    if len(found) < 2:
        return ()
    place = found.index(scores_value(graph))
    sizes = few([sizes_text(graph.shape(value)) if graph.shape(value) else "one number" for value in found], _NAMED)
    return (f"the network has {len(found):,} outputs, of {sizes}: number {place + 1} is explained",)


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
    shape, count = graph.shape(value), batch_of(graph)
    if not shape or shape[0] == count:
        return (*shape, 1)[:2]
    return (count, shape[0] if len(shape) == 1 else shape[2 if _images_second(shape, count) else 1])


def _images_second(shape: Sequence[int], count: int) -> bool:
    """Return whether scores are (T, N, classes), as those of sequences: the first axis is of steps."""
    return len(shape) > 2 and shape[0] != count and shape[1] == count


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


def by_class(scores: torch.Tensor, graph: Graph | None = None, *, images: int | None = None) -> torch.Tensor:
    """Return scores as (N, classes): of a map of scores (N, classes, *S) the mean over its positions.

    Scores of one axis are those of one class for each image; of another number of images, those of all classes for one
    image, whose axis the network squeezed away. Where the first axis is not that of the images, it is one of steps,
    such as frames or tokens, of which the mean is taken: (T, N, classes), or those of each image one after the other,
    (N x T, classes).

    Args:
        scores: what the network gives.
        graph: the network, which says how many images these are of.
        images: how many, where that is known otherwise; as many as the first axis is long without either.
    """
    count = images or (len(scores) if graph is None else batch_of(graph))
    if scores.ndim == 1:
        return scores[None] if len(scores) != count else scores[:, None]
    if _images_second(scores.shape, count):
        scores = scores.movedim(0, -1)
    elif len(scores) > count and not len(scores) % count:
        scores = scores.reshape(count, -1, *scores.shape[1:]).mean(1)
    return scores.flatten(2).mean(2) if scores.ndim > 2 else scores
