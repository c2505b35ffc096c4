"""A network captured on each shape of input, once, with what is worked out from its Graph for every run of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import nn

from convscope.capture.capture import capture
from convscope.errors import CaptureError
from convscope.graph.layer_names import LayerNames
from convscope.graph.records import Graph, Node, Ref
from convscope.interpret.execution.network_head import network_head
from convscope.interpret.execution.streaming import StreamStep, stream_plan
from convscope.interpret.replay.class_scores import float_outputs


@dataclass(frozen=True, eq=False)
class CapturedGraph:
    """A network as it runs on inputs of some shapes.

    Args:
        graph: in evaluation mode.
        names: the names of its layers.
    """

    graph: Graph
    names: LayerNames
    _plans: dict[tuple[int, ...], tuple[StreamStep, ...]] = field(default_factory=dict, repr=False)

    @cached_property
    def head(self) -> frozenset[int]:
        """The operations at its end that cost next to nothing, see `network_head`."""
        return network_head(self.graph)

    @cached_property
    def detaches(self) -> bool:
        """Whether gradients stop where the forward pass detaches a tensor, as autograd's do.

        They don't where none would be left, as behind a frozen backbone: what its scores depend on is asked for.
        """
        return any(node.detached for node in self.graph.nodes) and _depends_beside_detached(self.graph)

    def stream_plan(self, wanted: tuple[int, ...]) -> tuple[StreamStep, ...]:
        """Return the steps that compute some values in a plain forward pass's memory."""
        if wanted not in self._plans:
            self._plans[wanted] = stream_plan(self.graph, wanted)
        return self._plans[wanted]


class Captures:
    """The Graphs of a network, by the shapes of its inputs; they hold no numbers, so all weights and types share them.

    Args:
        network: any module; it is left exactly as found.
        name: what to call it in messages.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        self._network, self._name = network, name
        self._takes_batches: bool | None = None
        self._captured: dict[tuple[tuple[int, ...], ...], CapturedGraph] = {}

    def of(self, inputs: Sequence[torch.Tensor], *, own_type: bool = False) -> CapturedGraph:
        """Return the network as it runs on inputs of these shapes.

        Args:
            inputs: of one forward pass.
            own_type: capture it on inputs of its weights' type, where its operations will run in another.

        Raises:
            CaptureError: the network does not run on them.
        """
        shapes = tuple(tuple(tensor.shape) for tensor in inputs)
        if shapes not in self._captured:
            given = [self._in_own_type(tensor) for tensor in inputs] if own_type else list(inputs)
            graph = capture(self._network, given, name=self._name)
            if graph.error is not None:
                raise CaptureError(f"{graph.name} does not run on this input: {graph.error}")
            self._captured[shapes] = CapturedGraph(graph, LayerNames(graph))
        return self._captured[shapes]

    def take(self, inputs: Sequence[torch.Tensor], *, own_type: bool = False) -> bool:
        """Return whether the network gives numbers of each image of a batch; False where it takes one image at a time.

        A file may hold the size of a batch in its numbers, and so may a reshape in a forward pass.

        Args:
            inputs: of one forward pass.
            own_type: as of `of`.

        Raises:
            CaptureError: the network does not run on one image either.
        """
        count = len(inputs[0]) if inputs else 1
        if count > 1 and self._takes_batches is None:
            try:
                self._takes_batches = _images_given(self.of(inputs, own_type=own_type).graph) == count
            except CaptureError:
                self.of([tensor[:1] for tensor in inputs], own_type=own_type)
                self._takes_batches = False
        return count == 1 or self._takes_batches is True

    def _in_own_type(self, tensor: torch.Tensor) -> torch.Tensor:
        own = next((weights.dtype for weights in self._network.parameters() if weights.is_floating_point()), None)
        return tensor if own is None or not tensor.is_floating_point() else tensor.to(own)


def _depends_beside_detached(graph: Graph) -> bool:
    """Return whether an output depends on an input by a way on which nothing is detached."""
    reached = set(graph.inputs)
    for node in graph.nodes:
        if not reached.isdisjoint(_followed(node) if node.detached else node.inputs):
            reached.update(node.outputs)
    return not reached.isdisjoint(graph.outputs)


def _followed(node: Node) -> Iterator[int]:
    """Yield the values that an operation reads undetached."""
    for name, argument in node.arguments.items():
        held = argument if isinstance(argument, tuple) else (argument,)
        for place, one in enumerate(held):
            if isinstance(one, Ref) and name not in node.detached and f"{name}.{place}" not in node.detached:
                yield one.value


def _images_given(graph: Graph) -> int | None:
    """Return the length of the first axis of the scores, or of the first output where none are scores; None without."""
    floats = [value for value in float_outputs(graph) if graph.shape(value)]
    first = next(iter(floats or graph.outputs), None)
    return None if first is None else next(iter(graph.shape(first)), None)
