"""How a network's scores become probabilities where no run says it: by the network's own last operation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from convscope.arrays import Floats
from convscope.graph.records import Graph
from convscope.interpret.replay.class_scores import images_and_classes, scores_operation, scores_value
from convscope.scoring.losses import LEAST_PROBABILITY, TargetArray
from convscope.scoring.objective import Objective


@dataclass(frozen=True, kw_only=True)
class OwnProbabilities(Objective):
    """The probabilities of a network that ends in a softmax, or with the loss "logistic" in a sigmoid, itself.

    Its outputs are taken as they are. A temperature divides their logits.

    >>> given = torch.tensor([[0.75, 0.25]], dtype=torch.float64)
    >>> OwnProbabilities().probabilities(given).tolist(), Objective().probabilities(given).round(decimals=2).tolist()
    ([[0.75, 0.25]], [[0.62, 0.38]])
    """

    def logits(self, scores: Floats) -> Floats:
        """Return the scores, (N, classes), whose probabilities the network gives."""
        given = np.clip(scores, LEAST_PROBABILITY, None)
        return np.asarray(np.log(given) - (np.log(np.clip(1 - scores, LEAST_PROBABILITY, None)) * self.independent))

    def probabilities(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the probabilities of a network's outputs (N, classes) at the temperature, of the same shape."""
        if self.temperature == 1:
            return scores
        return super().probabilities(torch.from_numpy(self.logits(scores.numpy())))

    def plain_of_scores(self, scores: Floats, targets: TargetArray) -> float:
        """Return the loss of a network's outputs in NumPy at the temperature, as `Objective.plain_of_scores`."""
        return super().plain_of_scores(self.logits(scores), targets)


def own_objective(graph: Graph) -> Objective:
    """Return how the scores of a network become probabilities, by its last operation.

    Those of a network that ends in a softmax over its classes, or in a sigmoid, are its outputs; of another one with a
    single output it is their sigmoid, and of all others their softmax.

    Raises:
        CaptureError: the network gives no floating-point numbers.

    >>> from torch import nn, zeros
    >>> from convscope.capture.capture import capture
    >>> layers = nn.Flatten(), nn.Linear(9, 4), nn.Softmax(1)
    >>> [type(own_objective(capture(nn.Sequential(*layers[:n]), zeros(1, 1, 3, 3)))).__name__ for n in (2, 3)]
    ['Objective', 'OwnProbabilities']
    """
    (_, classes), node = images_and_classes(graph, scores_value(graph)), scores_operation(graph)
    if node is not None and node.op == "softmax":
        axis, rank = node.arguments.get("dim"), len(graph.shape(node.outputs[0]))
        if isinstance(axis, int) and (axis % rank == 1 if rank > 1 else classes > 1):
            return OwnProbabilities()
    if node is not None and node.op == "sigmoid":
        return OwnProbabilities(loss="logistic")
    return Objective(loss="logistic" if classes == 1 else "softmax")
