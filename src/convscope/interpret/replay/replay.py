"""One run of a network on a batch, of which every value and every gradient is at hand, by the operation's name.

Pictures, attributions and checks all read the same run. Operations are replayed from the captured Graph, not by hooks
on modules: a rectifier that is a function, is used twice or writes in place has a value of its own like any other, and
the model itself is not run, so it stays bit for bit as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from copy import copy

import torch

from convscope.errors import CaptureError, GeometryError
from convscope.graph.layer_names import LayerNames
from convscope.hardware.memory_errors import is_out_of_memory, too_large
from convscope.interpret.execution.torch_executor import TorchExecutor
from convscope.interpret.replay.class_scores import by_class, compute_scores, scores_value
from convscope.interpret.replay.masked_rectifiers import masked_rectifiers
from convscope.interpret.replay.rectifiers import positive_at_rectifiers, rectifiers


class Replay:
    """A network's run on a batch, with the gradient of any number with respect to any value.

    Args:
        executor: the network on the batch, captured in evaluation mode, with gradients.
        names: the names of its layers.

    >>> from torch import nn
    >>> from convscope.interpret.replay.replays import Replays
    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(18, 4))
    >>> batch = torch.randn(3, 1, 5, 5)
    >>> run = Replays(network).on(batch)
    >>> torch.equal(run.scores, network(batch)), tuple(run.value("0").shape)
    (True, (3, 2, 3, 3))
    >>> [tuple(gradient.shape) for gradient in run.gradients(run.score(2).sum(), run.find("1"), run.inputs[0])]
    [(3, 2, 3, 3), (3, 1, 5, 5)]
    """

    def __init__(self, executor: TorchExecutor, names: LayerNames) -> None:
        self.graph, self.names = executor.graph, names
        self._executor = executor

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
        return by_class(self.scores, self.graph)

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

        >>> from torch import nn
        >>> from convscope.interpret.replay.replays import Replays
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
        """Compute the scores, and free the values on the way; they are computed again where they are asked for."""
        compute_scores(self._executor)

    def tensor(self, value: int) -> torch.Tensor:
        """Return the numbers of a value, which autograd follows."""
        return self._executor.tensor(value)

    def value(self, name: str) -> torch.Tensor:
        """Return the numbers of a layer's or operation's output, (N, ...), apart from autograd."""
        return self.tensor(self.find(name)).detach()

    def _why_without_gradient(self) -> str:
        """Return which operation on the way from the input to the scores ended the gradient, as rounding does."""
        way = {self.output}
        for node in reversed(self.graph.nodes):
            if way.isdisjoint(node.outputs):
                continue
            if any(self.tensor(value).requires_grad for value in node.inputs):
                return f": {self.names.of_node(node)} gives numbers that have none"
            way.update(node.inputs)
        return ""

    @property
    def _masked(self) -> list[torch.Tensor]:
        """What rectifiers made that are written as masks."""
        return [self.tensor(value) for value in masked_rectifiers(self.graph)]

    def count_rectifiers(self, score: torch.Tensor) -> int:
        """Return how many rectifiers a number of this run depends on."""
        return sum(1 for _ in rectifiers(score, masked=self._masked))

    def gradients(
        self, score: torch.Tensor, *values: int, guided: bool = False, last: bool = False
    ) -> tuple[torch.Tensor, ...]:
        """Return the gradient of a score, one number, with respect to values; zeros where it does not depend on one.

        Args:
            score: a number of this run, such as `run.score(3).sum()`, which has each image's own gradient.
            values: as indices into `Graph.values`.
            guided: at each rectifier let only positive gradients through (Springenberg et al. 2015, section 3.4).
            last: free the run's memory on the way: no other gradient is computed from it.

        Raises:
            CaptureError: torch has no gradient of an operation on the way, or the memory is not enough.
        """
        tensors = [self.tensor(value) for value in values]
        if not score.requires_grad:
            raise CaptureError(f"{self.graph.name} has no gradient here{self._why_without_gradient()}")
        try:
            with positive_at_rectifiers(score, masked=self._masked) if guided else nullcontext():
                found = torch.autograd.grad(score, tensors, retain_graph=not last, allow_unused=True)
        except (RuntimeError, NotImplementedError, MemoryError) as reason:
            if is_out_of_memory(reason):
                raise CaptureError(too_large(f"{self.graph.name}: a gradient", reason)) from reason
            why = str(reason).partition("\n")[0]
            raise CaptureError(f"{self.graph.name} has no gradient here: {why}") from reason
        return tuple(torch.zeros_like(t) if g is None else g for g, t in zip(found, tensors, strict=True))
