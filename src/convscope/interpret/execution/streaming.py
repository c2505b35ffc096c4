"""Values of a graph as they come, in the memory of a plain forward pass: each is freed once no operation needs it.

An operation that wrote in place when the network ran writes in place here too, where what it overwrites is not needed
any more: then a run has the cost of the network's own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch

from convscope.graph.records import Graph, Node
from convscope.interpret.execution.torch_executor import TorchExecutor


@dataclass(frozen=True, slots=True)
class StreamStep:
    """One operation of a run that frees values.

    Args:
        node: the operation.
        wanted: its outputs that are yielded.
        freed: the values that nothing after it needs.
        overwrites: whether it may write into its input's memory.
    """

    node: Node
    wanted: tuple[int, ...]
    freed: tuple[int, ...]
    overwrites: bool


def stream_plan(graph: Graph, wanted: Collection[int]) -> tuple[StreamStep, ...]:
    """Return the operations that lead to some values, in order, and which values may be freed after each."""
    nodes = _needed(graph, wanted)
    last_use = {value: node.index for node in nodes for value in node.inputs}
    by_storage: dict[int, list[int]] = {}
    for value in graph.values:
        by_storage.setdefault(value.storage, []).append(value.index)
    steps = []
    for node in nodes:
        freed = [value for value in dict.fromkeys((*node.inputs, *node.outputs))
                     if last_use.get(value, node.index) <= node.index]  # fmt: skip
        made = set(node.outputs)
        shared = {other for value in node.inputs for other in by_storage[graph.values[value].storage]} - made
        # Those that no operation makes are the caller's.
        theirs = any(graph.values[other].producer is None for other in shared if _is_written(graph, node, other))
        later = any(last_use.get(other, -1) > node.index for other in shared if _is_written(graph, node, other))
        steps.append(StreamStep(node, tuple(v for v in node.outputs if v in wanted), tuple(freed),
                                not theirs and not later))  # fmt: skip
    return tuple(steps)


def values_as_they_come(executor: TorchExecutor, steps: Collection[StreamStep]) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield wanted values, each with its numbers, which the next operation may overwrite.

    Raises:
        CaptureError: the network does not run on its input.
    """
    for step in steps:
        executor.run_on_input(step.node, overwrite=step.overwrites)
        for value in step.wanted:
            yield value, executor.tensor(value)
        for value in step.freed:
            executor.free(value)


def _needed(graph: Graph, wanted: Collection[int]) -> list[Node]:
    reached, nodes = set(wanted), []
    for node in reversed(graph.nodes):
        if not reached.isdisjoint(node.outputs):
            reached.update(node.inputs)
            nodes.append(node)
    return nodes[::-1]


def _is_written(graph: Graph, node: Node, value: int) -> bool:
    """Return whether a value lies in memory that an operation's outputs lie in: an in-place one writes there."""
    storage = graph.values[value].storage
    return any(graph.values[output].storage == storage for output in node.outputs)
