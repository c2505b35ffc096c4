"""One run of a network on a batch, of which every value and every gradient is at hand, by the operation's name.

Pictures, attributions and checks all read the same run. Operations are replayed from the captured Graph, not by hooks
on modules: a rectifier that is a function, is used twice or writes in place has a value of its own like any other, and
the model itself is not run, so it stays bit for bit as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from copy import copy
from functools import cached_property

import torch
from torch import nn

from convscope.capture.capture import capture
from convscope.errors import CaptureError, GeometryError
from convscope.graph.layer_names import LayerNames
from convscope.graph.records import Graph
from convscope.interpret.class_scores import by_class, compute_scores, scores_value
from convscope.interpret.execution.network_head import network_head, read_by_head_alone
from convscope.interpret.execution.streaming import StreamStep, stream_plan, values_as_they_come
from convscope.interpret.execution.torch_executor import TorchExecutor, laid_out
from convscope.interpret.rectifiers import positive_at_rectifiers


class Replay:
    """A network's run on a batch, with the gradient of any number with respect to any value.

    Args:
        graph: the network, captured in evaluation mode on inputs of the batch's shape.
        network: the module that was captured; it is read and never run.
        inputs: the network's input tensors, (N, C, *S) each.
        dtype: floating-point type of inputs and weights; as they are when None.
        channels_last: lay four-dimensional inputs and weights out channels-last.
        weights: numbers in place of the network's parameters and buffers, by name.
        names: the graph's layer names, where they are known already.
        in_float32: operations that are computed in float32 whatever `dtype` is, by their indices.

    Raises:
        CaptureError: inputs that are not those of the graph, or weights without numbers.

    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(18, 4))
    >>> batch = torch.randn(3, 1, 5, 5)
    >>> run = Replays(network).on(batch)
    >>> torch.equal(run.scores, network(batch)), tuple(run.value("0").shape)
    (True, (3, 2, 3, 3))
    >>> [tuple(gradient.shape) for gradient in run.gradients(run.score(2).sum(), run.find("1"), run.inputs[0])]
    [(3, 2, 3, 3), (3, 1, 5, 5)]
    """

    def __init__(
        self,
        graph: Graph,
        network: nn.Module,
        inputs: Sequence[torch.Tensor],
        *,
        dtype: torch.dtype | None = None,
        channels_last: bool = False,
        weights: Mapping[str, torch.Tensor] | None = None,
        names: LayerNames | None = None,
        in_float32: frozenset[int] = frozenset(),
    ) -> None:
        self.graph = graph
        self.names = names or LayerNames(graph)
        self._executor = TorchExecutor(
            graph,
            network,
            inputs,
            dtype=dtype,
            channels_last=channels_last,
            gradients=True,
            weights=weights,
            in_float32=in_float32,
        )

    @property
    def inputs(self) -> tuple[int, ...]:
        """The inputs, as indices into `Graph.values`."""
        return self.graph.inputs

    @property
    def output(self) -> int:
        """The network's first output of floating-point numbers, as an index into `Graph.values`."""
        return scores_value(self.graph)

    @property
    def scores(self) -> torch.Tensor:
        """The network's first floating-point output, before any softmax that is not its own: (N, classes), or a map."""
        return self.tensor(self.output)

    @property
    def class_scores(self) -> torch.Tensor:
        """The score of each class, (N, classes): of a map of scores (N, classes, *S) the mean over its positions."""
        return by_class(self.scores)

    def score(self, target: int) -> torch.Tensor:
        """Return the score of a class for each image, (N,).

        Raises:
            GeometryError: there is no such class.
        """
        scores = self.class_scores
        count = scores.shape[1]
        if not 0 <= target < count:
            raise GeometryError(f"there is no class {target}: {self.graph.name} has {count}, 0 to {count - 1}")
        return scores[:, target]

    def find(self, name: str) -> int:
        """Return the output of a layer or an operation by name, as an index into `Graph.values`.

        Raises:
            CaptureError: there is no such layer; the message has the nearest names.
        """
        return self.names.find_source(name)

    def with_weights(self, weights: Mapping[str, torch.Tensor]) -> Replay:
        """Return the run on the same batch with other numbers in place of some parameters and buffers, by name.

        Values before the first of these layers are shared by both runs, and so is the input of their gradients.

        >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(18, 4))
        >>> batch = torch.randn(3, 1, 5, 5)
        >>> run = Replays(network).on(batch)
        >>> other = run.with_weights({"2.weight": torch.zeros(4, 18)})
        >>> torch.equal(other.scores, network[2].bias.expand(3, 4)), torch.equal(run.scores, network(batch))
        (True, True)
        """
        run = copy(self)
        run._executor = self._executor.with_weights(weights)
        return run

    def give(self, value: int, numbers: torch.Tensor) -> None:
        """Put other numbers in the place of a value that nothing has read yet, such as a buffer of later layers."""
        self._executor.replace(value, numbers)

    def compute_scores(self) -> None:
        """Compute the scores, and let go of the values on the way; they are computed again where they are asked for."""
        compute_scores(self._executor)

    def tensor(self, value: int) -> torch.Tensor:
        """Return the numbers of a value, which autograd follows."""
        return self._executor.tensor(value)

    def value(self, name: str) -> torch.Tensor:
        """Return the numbers of a layer's or operation's output, (N, ...), apart from autograd."""
        return self.tensor(self.find(name)).detach()

    def gradients(
        self, score: torch.Tensor, *values: int, guided: bool = False, last: bool = False
    ) -> tuple[torch.Tensor, ...]:
        """Return the gradient of a score, one number, with respect to values; zeros where it does not depend on one.

        Args:
            score: a number of this run, such as `run.score(3).sum()`, which has each image's own gradient.
            values: as indices into `Graph.values`.
            guided: at each rectifier let only positive gradients through (Springenberg et al. 2015, section 3.4).
            last: let go of the run's memory on the way: no other gradient is asked of it.

        Raises:
            CaptureError: torch has no gradient of an operation on the way.
        """
        tensors = [self.tensor(value) for value in values]
        try:
            with positive_at_rectifiers(score) if guided else nullcontext():
                found = torch.autograd.grad(score, tensors, retain_graph=not last, allow_unused=True)
        except (RuntimeError, NotImplementedError) as reason:
            why = str(reason).partition("\n")[0]
            raise CaptureError(f"{self.graph.name} has no gradient here: {why}") from reason
        return tuple(torch.zeros_like(t) if g is None else g for g, t in zip(found, tensors, strict=True))


class Replays:
    """A network that is replayed on batches; of each shape it is captured once.

    Args:
        network: any module; it is left exactly as found.
        name: what to call it in messages.
        dtype: floating-point type of inputs and weights; as they are when None.
        channels_last: lay four-dimensional inputs and weights out channels-last.
        weights: numbers in place of the network's parameters and buffers, by name.
        float32_head: compute what costs little at the network's end in float32, see `network_head`.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str = "",
        dtype: torch.dtype | None = None,
        channels_last: bool = False,
        weights: Mapping[str, torch.Tensor] | None = None,
        float32_head: bool = False,
    ) -> None:
        self.network, self.name = network, name
        self._dtype, self._channels_last, self._weights = dtype, channels_last, weights
        self._float32_head = float32_head
        self._heads: dict[int, frozenset[int]] = {}  # by graph
        self._captured: dict[tuple[tuple[int, ...], ...], tuple[Graph, LayerNames]] = {}
        self._plans: dict[tuple[int, tuple[int, ...]], tuple[StreamStep, ...]] = {}  # by graph and wanted values

    def on(self, *inputs: torch.Tensor) -> Replay:
        """Return the run on a batch.

        Raises:
            CaptureError: the network does not run on it.
        """
        graph, names = self._captured_on(inputs)
        return Replay(
            graph,
            self.network,
            inputs,
            dtype=self._dtype,
            channels_last=self._channels_last,
            weights=self._weights_of(graph),
            names=names,
            in_float32=self._head(graph),
        )

    def graph_on(self, *inputs: torch.Tensor) -> tuple[Graph, LayerNames]:
        """Return the network as it runs on inputs of these shapes, with the names of its layers.

        Raises:
            CaptureError: the network does not run on them.
        """
        return self._captured_on(inputs)

    def class_scores(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the score of each class on a batch, (N, classes), in the memory of a plain forward pass.

        Raises:
            CaptureError: the network does not run on it.

        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(9, 4))
        >>> batch = torch.randn(2, 1, 3, 3)
        >>> torch.equal(Replays(network).class_scores(batch), network(batch))
        True
        """
        graph, _ = self._captured_on(inputs)
        ((_, scores),) = self._stream(inputs, (scores_value(graph),))
        return by_class(scores)

    def class_gradients(
        self, target: int, inputs: torch.Tensor, *, guided: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a class's score of each image, (N,), and its gradient with respect to the image, (N, C, *S).

        Values are let go of once they are read, but for those that gradients need.

        Raises:
            CaptureError: the network does not run on it, or an operation on the way has no gradient.
            GeometryError: there is no such class.

        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(9, 4))
        >>> scores, gradients = Replays(network).class_gradients(3, torch.randn(2, 1, 3, 3))
        >>> torch.equal(gradients[1].flatten(), network[1].weight[3])
        True
        """
        run = self.on(inputs)
        run.compute_scores()
        score = run.score(target)
        (gradients,) = run.gradients(score.sum(), run.inputs[0], guided=guided, last=True)
        return score.detach(), gradients

    def executor(self, *inputs: torch.Tensor) -> TorchExecutor:
        """Return the network's operations on a batch, to be run one by one without gradients.

        Raises:
            CaptureError: the network does not run on it.
        """
        graph, _ = self._captured_on(inputs)
        return TorchExecutor(
            graph,
            self.network,
            inputs,
            dtype=self._dtype,
            channels_last=self._channels_last,
            weights=self._weights_of(graph),
            in_float32=self._head(graph),
        )

    @cached_property
    def _own(self) -> Mapping[str, torch.Tensor]:
        """The weights as they are."""
        named: dict[str, torch.Tensor] = dict(self.network.named_parameters(remove_duplicate=False))
        named |= dict(self.network.named_buffers(remove_duplicate=False))
        return named | dict(self._weights or {})

    @cached_property
    def _prepared(self) -> Mapping[str, torch.Tensor]:
        """The weights in the asked type and memory format, once for all batches."""
        return {
            name: laid_out(tensor.detach(), self._dtype, channels_last=self._channels_last)
            for name, tensor in self._own.items()
        }

    def _weights_of(self, graph: Graph) -> Mapping[str, torch.Tensor] | None:
        """Return the weights as a graph reads them; None where they are the network's own."""
        if self._dtype is None and not self._channels_last:
            return self._weights
        names = (graph.values[value].name for value in read_by_head_alone(graph, self._head(graph)))
        return {**self._prepared, **{name: self._own[name] for name in names if name in self._own}}

    def _head(self, graph: Graph) -> frozenset[int]:
        """Return the operations that are computed in float32."""
        if not self._float32_head:
            return frozenset()
        if id(graph) not in self._heads:
            self._heads[id(graph)] = network_head(graph)
        return self._heads[id(graph)]

    def values_as_they_come(self, *inputs: torch.Tensor, wanted: Sequence[str]) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield values of a batch by name, in the order in which they are computed, in a plain forward pass's memory.

        The next operation may overwrite the numbers of a value: take what is needed of them before going on.

        Raises:
            CaptureError: the network does not run on it, or has no such layer.

        >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Conv2d(2, 4, 3))
        >>> found = Replays(network).values_as_they_come(torch.randn(8, 1, 9, 9), wanted=("2", "0"))
        >>> [(name, tuple(tensor.shape)) for name, tensor in found]
        [('0', (8, 2, 7, 7)), ('2', (8, 4, 5, 5))]
        """
        _, names = self._captured_on(inputs)
        indices = {names.find_source(name): name for name in wanted}
        for index, tensor in self._stream(inputs, tuple(indices)):
            yield indices[index], tensor

    def class_scores_given(self, given: Mapping[str, torch.Tensor], *inputs: torch.Tensor) -> torch.Tensor:
        """Return the score of each class, (N, classes), with other numbers in place of some values.

        What leads to those values alone is not computed.

        Args:
            given: the numbers of layers or operations, by name.
            inputs: the batch; it has as many images as the numbers.

        Raises:
            CaptureError: the network does not run on it, has no such layer, or numbers of another shape.

        >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 4))
        >>> scores = Replays(network).class_scores_given({"1": torch.zeros(3, 2, 3, 3)}, torch.randn(3, 1, 5, 5))
        >>> torch.equal(scores, network[3].bias.expand(3, 4))
        True
        """
        _, names = self._captured_on(inputs)
        executor = self.executor(*inputs)
        for name, numbers in given.items():
            executor.replace(names.find_source(name), numbers)
        return by_class(executor.tensor(scores_value(executor.graph)))

    def _stream(self, inputs: tuple[torch.Tensor, ...], wanted: tuple[int, ...]) -> Iterator[tuple[int, torch.Tensor]]:
        graph, _ = self._captured_on(inputs)
        key = (id(graph), wanted)
        if key not in self._plans:
            self._plans[key] = stream_plan(graph, wanted)
        executor = self.executor(*inputs)
        yield from ((value, executor.tensor(value)) for value in wanted if value in graph.inputs)
        yield from values_as_they_come(executor, self._plans[key])

    def with_weights(self, weights: Mapping[str, torch.Tensor]) -> Replays:
        """Return the same network with other numbers in place of some parameters and buffers, by name."""
        return self._alike(self._dtype, self._channels_last, {**(self._weights or {}), **weights}, self._float32_head)

    def computed_in(self, dtype: torch.dtype | None, *, channels_last: bool = False) -> Replays:
        """Return the same network in another floating-point type and memory format."""
        return self._alike(dtype, channels_last, self._weights)

    @cached_property
    def in_bf16(self) -> Replays:
        """The same network as it is fastest where the processor multiplies bf16, its end in float32."""
        return self._alike(torch.bfloat16, True, self._weights, float32_head=True)

    def _alike(
        self,
        dtype: torch.dtype | None,
        channels_last: bool,
        weights: Mapping[str, torch.Tensor] | None,
        float32_head: bool = False,
    ) -> Replays:
        found = Replays(
            self.network,
            name=self.name,
            dtype=dtype,
            channels_last=channels_last,
            weights=weights,
            float32_head=float32_head,
        )
        found._captured, found._plans, found._heads = (
            self._captured,
            self._plans,
            self._heads,
        )  # a Graph holds shapes, which are the same
        return found

    def _captured_on(self, inputs: tuple[torch.Tensor, ...]) -> tuple[Graph, LayerNames]:
        shapes = tuple(tuple(tensor.shape) for tensor in inputs)
        if shapes not in self._captured:
            graph = capture(self.network, list(inputs), name=self.name)
            if graph.error is not None:
                raise CaptureError(f"{graph.name} does not run on this input: {graph.error}")
            self._captured[shapes] = (graph, LayerNames(graph))
        return self._captured[shapes]
