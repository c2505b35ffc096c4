"""One run of a network on one image: its values, by which maps, arithmetic and fields are drawn, and its prediction.

Values are computed in the order of the graph and kept. Where they are more than a budget allows, those that the page
shows least are freed, and computed again from what is left when they are asked for.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, TypeAlias

import numpy as np
import torch

from convscope.arrays import Floats
from convscope.errors import CaptureError
from convscope.graph.records import alive_nodes
from convscope.interpret.execution.torch_executor import TorchExecutor
from convscope.interpret.explanation.given import NetworkInput
from convscope.interpret.explanation.lens import Lens
from convscope.interpret.replay.class_scores import by_class, scores_value
from convscope.interpret.replay.own_probabilities import own_objective
from convscope.interpret.replay.replays import Replays
from convscope.interpret.subject import Subject
from convscope.scoring.multi_label import THRESHOLD
from convscope.studio.compute.opened_model import OpenedModel

StillWanted: TypeAlias = Callable[[], None]
"""Is called between two steps of long work, and raises where the work is wanted no more."""

GRADIENTS_KEPT = 2**28  # bytes of values of a run whose gradients stay at hand
TOP = 5  # classes that are shown
_SAME_PLACE = frozenset({"batch_norm", "relu", "silu", "gelu", "hardswish", "sigmoid", "dropout", "hardtanh", "add"})


@dataclass(eq=False)
class ImageRun:
    """A run of a network on an image.

    Args:
        number: names it in requests.
        opened: the network.
        image: the image's key.
        title: the image's name.
        given: what the network is given.
        replays: the network after interventions.
        interventions: that were made.
        notes: remarks.
    """

    number: str
    opened: OpenedModel
    image: str
    title: str
    given: NetworkInput
    replays: Replays
    interventions: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    lock: threading.RLock = field(default_factory=threading.RLock)
    rankings: dict[object, Floats] = field(default_factory=dict)
    _range: tuple[float, float] = (np.inf, -np.inf)

    @cached_property
    def inputs(self) -> tuple[torch.Tensor, ...]:
        """All inputs of the network."""
        return tuple(self.opened.loaded.beside(self.given.tensor)[0])

    @cached_property
    def executor(self) -> TorchExecutor:
        """The run's values."""
        return self.replays.executor(*self.inputs)

    @cached_property
    def lens(self) -> Lens:
        """The arithmetic of any of the run's numbers."""
        return Lens.on(self.executor, self.opened.names, pixels=self.given.pixels, notes=self.notes)

    @cached_property
    def subject(self) -> Subject:
        """The network and the image as attributions take them; its gradients are those of a run of its own."""
        return self.opened.subject(self.given, self.title, replays=self.replays)

    def forget_gradients(self) -> None:
        """Free the run of its own that gradients are of, where it takes much memory."""
        if self.bytes > GRADIENTS_KEPT:
            self.__dict__.pop("subject", None)

    def compute(self, *, budget: int, check: StillWanted = lambda: None) -> None:
        """Compute all values, one operation after the other, within a budget of bytes; `check` is called between."""
        graph = self.opened.graph
        alive = alive_nodes(graph)
        left = {value: sum(n in alive for n in readers) for value, readers in graph.consumers.items()}
        held: OrderedDict[int, int] = OrderedDict()
        total = 0
        for node in graph.nodes:
            if node.index not in alive:
                continue
            check()
            with self.lock:
                self.executor.tensor(node.outputs[0])
                self._widen(node.outputs)
                for value in node.outputs:
                    held[value] = graph.values[value].spec.bytes
                    total += held[value]
                for value in node.inputs:
                    left[value] = left.get(value, 0) - 1
                if total > budget:
                    total = self._freed(held, left, total, budget)

    def _freed(self, held: OrderedDict[int, int], left: dict[int, int], total: int, budget: int) -> int:
        """Free values that nothing reads any more until the rest fits: those of one operation on each number first."""
        graph = self.opened.graph
        cheap: list[int] = []
        dear: list[int] = []
        for value in held:
            producer = graph.values[value].producer
            op = "" if producer is None else graph.nodes[producer].op
            if left.get(value, 0) <= 0 and value not in graph.outputs:
                (cheap if op in _SAME_PLACE else dear).append(value)
        for value in (*cheap, *dear):
            if total <= budget:
                break
            self.executor.free(value)
            total -= held.pop(value)
        return total

    def tensor(self, value: int) -> torch.Tensor:
        """Return the numbers of a value, computed again where they were freed."""
        with self.lock:
            return self.executor.tensor(value).detach()

    def maps(self, value: int) -> torch.Tensor:
        """Return the first sample's maps of a value, (C, *S), as torch has them."""
        tensor, axes = self.tensor(value), self.opened.axes_of(value)
        if tensor.ndim == 0:
            return tensor.reshape(1)
        if tensor.ndim == 1:
            return tensor
        maps = tensor.permute(axes.order())[0]
        return maps[None] if axes.channels is None else maps

    @property
    def bytes(self) -> int:
        """Bytes of all values; what was freed counts too."""
        return sum(value.spec.bytes for value in self.opened.graph.values if value.kind == "activation")

    @property
    def network_range(self) -> tuple[float, float]:
        """The least and the largest number of all layers' outputs, found while they are computed."""
        low, high = self._range
        return (low, high) if low <= high else (0.0, 0.0)

    def _widen(self, values: Iterable[int]) -> None:
        for value in values:
            numbers = self.executor.tensor(value)
            if value in self._outputs and numbers.is_floating_point() and numbers.numel():
                least, largest = finite_range(numbers)
                self._range = (min(self._range[0], least), max(self._range[1], largest))

    @cached_property
    def _outputs(self) -> frozenset[int]:
        return frozenset(layer.output for layer in self.opened.names.layers)

    @cached_property
    def scores(self) -> Floats | None:
        """The score of each class, (classes,); None of a network that gives no such scores."""
        try:
            tensor = self.tensor(scores_value(self.opened.graph))
        except CaptureError:  # the network gives whole numbers alone
            return None
        if tensor.ndim not in (1, 2) or len(found := by_class(tensor, self.opened.graph)) != 1:
            return None
        scores: Floats = found[0].double().numpy()
        return scores

    def prediction(self, top: int = TOP) -> dict[str, Any]:
        """Return what the network says of the image, as the page shows it."""
        scores = self.scores
        if scores is None or scores.size < 2:
            shapes = " and ".join(_size_text(self.opened.graph.shape(v)[1:]) for v in self.opened.graph.outputs)
            return {"kind": "none", "top": [], "note": f"the network gives {shapes}, and no scores of classes"}
        if not np.isfinite(scores).all():
            return {"kind": "none", "top": [], "note": "the network's scores are not finite"}
        spec = self.opened.spec
        objective = own_objective(self.opened.graph) if spec is None else spec.objective
        shares = objective.probabilities_of(scores[None])[0]
        several = self.opened.multi_label
        order = np.argsort(-scores, kind="stable")
        shown = max(top, int((shares >= THRESHOLD).sum())) if several else top
        return {
            "kind": "multi" if several else "single",
            "top": [self._class(int(number), float(shares[number])) for number in order[:shown]],
            "note": "the weights are random: the classes mean nothing" if self.opened.weights == "random" else "",
        }

    def _class(self, number: int, probability: float) -> dict[str, Any]:
        return {"class": number, "name": self.subject.class_name(number), "probability": probability}


def _size_text(sizes: Sequence[int]) -> str:
    return "one number" if prod(sizes) == 1 else "×".join(map(str, sizes))


def finite_range(numbers: torch.Tensor) -> tuple[float, float]:
    """Return the least and the largest finite number of a tensor; 0 and 0 where there is none."""
    least, largest = numbers.aminmax()
    if not bool(torch.isfinite(least) & torch.isfinite(largest)):
        numbers = numbers[numbers.isfinite()]
        if not numbers.numel():
            return 0.0, 0.0
        least, largest = numbers.aminmax()
    return float(least), float(largest)


def freed(runs: Iterable[ImageRun]) -> None:
    """Free the values of runs; they are computed again when they are asked for."""
    for run in runs:
        with run.lock:
            for node in run.opened.graph.nodes:
                for value in node.outputs:
                    run.executor.free(value)
