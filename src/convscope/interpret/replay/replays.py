"""A network that is replayed on batches: each batch's run with gradients, or in the memory of a plain forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain

import torch
from torch import nn

from convscope.graph.layer_names import LayerNames
from convscope.graph.records import Graph
from convscope.interpret.execution.network_head import read_by_head_alone
from convscope.interpret.execution.streaming import values_as_they_come
from convscope.interpret.execution.torch_executor import TorchExecutor, ZeroedPart, laid_out
from convscope.interpret.replay.captures import CapturedGraph, Captures
from convscope.interpret.replay.class_scores import by_class, compute_scores, scores_value
from convscope.interpret.replay.replay import Replay


class Replays:
    """A network that is replayed on batches; of each shape it is captured once.

    Args:
        network: any module; it is left exactly as found.
        name: what to call it in messages.
        dtype: floating-point type of inputs and weights; as they are when None.
        channels_last: lay four-dimensional inputs and weights out channels-last.
        weights: numbers in place of the network's parameters and buffers, by name.
        float32_head: compute what costs little at the network's end in float32, see `network_head`.
        zeroed: parts that are 0 whatever the network makes, by layer's or operation's name: an axis, indices along it.
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
        zeroed: Mapping[str, ZeroedPart] | None = None,
    ) -> None:
        self._zeroed = dict(zeroed or {})
        self.network, self.name = network, name
        self._dtype, self._channels_last, self._weights = dtype, channels_last, weights
        self._float32_head = float32_head
        self._captures = Captures(network, name)

    @property
    def device(self) -> torch.device:
        """Where the network is; the CPU for one without weights."""
        weights = chain(self.network.parameters(), self.network.buffers())
        return next((tensor.device for tensor in weights), torch.device("cpu"))

    @property
    def weights(self) -> Mapping[str, torch.Tensor]:
        """The numbers in place of the network's own parameters and buffers, by name."""
        return dict(self._weights or {})

    def on(self, *inputs: torch.Tensor) -> Replay:
        """Return the run on a batch.

        Raises:
            CaptureError: the network does not run on it.
        """
        captured = self._captured(inputs)
        return Replay(self._executor(captured, inputs, gradients=True), captured.names)

    def graph_on(self, *inputs: torch.Tensor) -> tuple[Graph, LayerNames]:
        """Return the network as it runs on inputs of these shapes, with the names of its layers.

        Raises:
            CaptureError: the network does not run on them.
        """
        captured = self._captured(inputs)
        return captured.graph, captured.names

    def executor(self, *inputs: torch.Tensor) -> TorchExecutor:
        """Return the network's operations on a batch, to be run one by one without gradients.

        Raises:
            CaptureError: the network does not run on it.
        """
        return self._executor(self._captured(inputs), inputs)

    def class_scores(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the score of each class on a batch, (N, classes), in the memory of a plain forward pass.

        The images of a network that takes no batches are computed one by one.

        Raises:
            CaptureError: the network does not run on it.

        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(9, 4))
        >>> batch = torch.randn(2, 1, 3, 3)
        >>> torch.equal(Replays(network).class_scores(batch), network(batch))
        True
        """
        if not self.takes(inputs):
            return torch.cat([self.class_scores(*one) for one in _one_by_one(inputs)])
        captured = self._captured(inputs)
        ((_, scores),) = self._stream(captured, inputs, (scores_value(captured.graph),))
        return by_class(scores, captured.graph)

    def class_gradients(self, target: int, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a class's score of each image, (N,), and its gradient with respect to the image, (N, C, *S).

        Values are freed once they are read, but for those that gradients need.

        Raises:
            CaptureError: the network does not run on it, or an operation on the way has no gradient.
            GeometryError: there is no such class.

        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(9, 4))
        >>> scores, gradients = Replays(network).class_gradients(3, torch.randn(2, 1, 3, 3))
        >>> torch.equal(gradients[1].flatten(), network[1].weight[3])
        True
        """
        if not self.takes((inputs,)):
            each = [self.class_gradients(target, one) for (one,) in _one_by_one((inputs,))]
            return torch.cat([score for score, _ in each]), torch.cat([gradient for _, gradient in each])
        run = self.on(inputs)
        run.compute_scores()
        score = run.score(target)
        (gradient,) = run.gradients(score.sum(), run.inputs[0], last=True)
        return score.detach(), gradient

    def values_as_they_come(self, *inputs: torch.Tensor, wanted: Sequence[str]) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield values of a batch by name, in the order in which they are computed, in a plain forward pass's memory.

        The next operation may overwrite the numbers of a value: take what is needed of them before going on. A network
        that takes no batches runs on all images side by side, operation by operation.

        Raises:
            CaptureError: the network does not run on it, or has no such layer.

        >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Conv2d(2, 4, 3))
        >>> found = Replays(network).values_as_they_come(torch.randn(8, 1, 9, 9), wanted=("2", "0"))
        >>> [(name, tuple(tensor.shape)) for name, tensor in found]
        [('0', (8, 2, 7, 7)), ('2', (8, 4, 5, 5))]
        """
        if not self.takes(inputs):
            runs = [self.values_as_they_come(*one, wanted=wanted) for one in _one_by_one(inputs)]
            for values in zip(*runs, strict=True):
                yield values[0][0], torch.cat([tensor for _, tensor in values])
            return
        captured = self._captured(inputs)
        indices = {captured.names.find_source(name): name for name in wanted}
        for index, tensor in self._stream(captured, inputs, tuple(indices)):
            yield indices[index], tensor

    def class_scores_given(self, given: Mapping[str, torch.Tensor], *inputs: torch.Tensor) -> torch.Tensor:
        """Return the score of each class, (N, classes), with other numbers in place of some values.

        What leads to those values alone is not computed, and values are freed once they are read.

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
        if not self.takes(inputs):
            rows = [{name: numbers[row : row + 1] for name, numbers in given.items()} for row in range(len(inputs[0]))]
            each = zip(rows, _one_by_one(inputs), strict=True)
            return torch.cat([self.class_scores_given(row, *one) for row, one in each])
        captured = self._captured(inputs)
        executor = self._executor(captured, inputs)
        for name, numbers in given.items():
            executor.replace(captured.names.find_source(name), numbers)
        compute_scores(executor)
        return by_class(executor.tensor(scores_value(executor.graph)), executor.graph)

    def with_weights(self, weights: Mapping[str, torch.Tensor]) -> Replays:
        """Return the same network with other numbers in place of some parameters and buffers, by name."""
        return self._alike(
            self._dtype,
            channels_last=self._channels_last,
            weights={**(self._weights or {}), **weights},
            float32_head=self._float32_head,
        )

    def with_zeros(self, zeroed: Mapping[str, ZeroedPart]) -> Replays:
        """Return the same network with parts of some layers' or operations' outputs, by name, that are 0.

        >>> network = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.Flatten())
        >>> Replays(network).with_zeros({"0": (1, (1,))}).on(torch.ones(1, 1, 1, 1)).scores[0, 1].item()
        0.0
        """
        found = self.with_weights({})
        found._zeroed = {**self._zeroed, **zeroed}
        return found

    def computed_in(self, dtype: torch.dtype | None, *, channels_last: bool = False) -> Replays:
        """Return the same network in another floating-point type and memory format."""
        return self._alike(dtype, channels_last=channels_last, weights=self._weights)

    @cached_property
    def in_bf16(self) -> Replays:
        """The same network as it is fastest where the processor multiplies bf16, its end in float32."""
        return self._alike(torch.bfloat16, channels_last=True, weights=self._weights, float32_head=True)

    def _alike(
        self,
        dtype: torch.dtype | None,
        *,
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
            zeroed=self._zeroed,
        )
        found._captures = self._captures
        return found

    def takes(self, inputs: Sequence[torch.Tensor]) -> bool:
        """Return whether the network takes these inputs as a batch; False where it takes one image at a time.

        Raises:
            CaptureError: the network does not run on one image either.
        """
        return self._captures.take(inputs, own_type=self._dtype is not None)

    def _captured(self, inputs: Sequence[torch.Tensor]) -> CapturedGraph:
        return self._captures.of(inputs, own_type=self._dtype is not None)

    def _executor(
        self, captured: CapturedGraph, inputs: Sequence[torch.Tensor], *, gradients: bool = False
    ) -> TorchExecutor:
        head = captured.head if self._float32_head else frozenset()
        return TorchExecutor(
            captured.graph,
            self.network,
            inputs,
            dtype=self._dtype,
            channels_last=self._channels_last,
            gradients=gradients,
            detached=gradients and captured.detaches,
            weights=self._weights_of(captured.graph, head),
            in_float32=head,
            zeroed={captured.names.find(name): part for name, part in self._zeroed.items()},
        )

    def _stream(
        self, captured: CapturedGraph, inputs: Sequence[torch.Tensor], wanted: tuple[int, ...]
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield wanted values, those that are inputs first, then the others in the order in which they are computed."""
        executor = self._executor(captured, inputs)
        yield from ((value, executor.tensor(value)) for value in wanted if value in captured.graph.inputs)
        yield from values_as_they_come(executor, captured.stream_plan(wanted))

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

    def _weights_of(self, graph: Graph, head: frozenset[int]) -> Mapping[str, torch.Tensor] | None:
        """Return the weights as a graph reads them; None where they are the network's own."""
        if self._dtype is None and not self._channels_last:
            return self._weights
        names = (graph.values[value].name for value in read_by_head_alone(graph, head))
        return {**self._prepared, **{name: self._own[name] for name in names if name in self._own}}


def _one_by_one(inputs: Sequence[torch.Tensor]) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield the images of a batch, each as a batch of one."""
    return (tuple(tensor[row : row + 1] for tensor in inputs) for row in range(len(inputs[0])))
