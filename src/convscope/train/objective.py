"""What training makes smaller: one number from scores and targets, and the probabilities that belong to it.

Scores are (N, classes). Targets are int64 (N,), the index of each image's class, or float (N, classes): shares of
the classes that add up to 1 (soft targets, as mixed images have).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from torch.nn import functional

from convscope.train.recipe import Recipe

Floats = npt.NDArray[np.float64]

# A probability below this counts as this in a loss that is taken from probabilities.
LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The loss that a recipe asks for; called with scores and targets, it is the mean over the images."""

    label_smoothing: float = 0.0

    def __call__(self, scores: Tensor, targets: Tensor) -> Tensor:
        """The loss that is trained on: a scalar, the mean over the images."""
        return functional.cross_entropy(scores, targets, label_smoothing=self.label_smoothing)

    def plain(self, scores: Tensor, targets: Tensor) -> Tensor:
        """The loss without label smoothing: what metrics show, so that training and validation compare."""
        return functional.cross_entropy(scores, targets)

    def plain_of_probabilities(self, probabilities: Floats, targets: npt.NDArray[np.generic]) -> float:
        """`plain` of what `probabilities` made of the scores (N, classes); NaN stays NaN."""
        truth = probabilities[np.arange(len(targets)), targets.astype(np.int64)]
        return float(-np.log(np.maximum(truth, LEAST_PROBABILITY)).mean())

    def probabilities(self, scores: Tensor) -> Tensor:
        """What is shown of scores (N, classes): numbers from 0 to 1 of the same shape."""
        return functional.softmax(scores, dim=1)

    def count_right(self, scores: Tensor, targets: Tensor) -> Tensor:
        """How many images have their right class on top; of soft targets the heaviest counts. A scalar tensor."""
        labels = targets.argmax(1) if targets.is_floating_point() else targets
        return (scores.argmax(1) == labels).sum()

    def of_answer(self, network: nn.Module, answer: Tensor | tuple[Tensor, ...], targets: Tensor) -> Judged:
        """The loss of a network's answer, its auxiliary heads included.

        In training, a network with auxiliary heads answers with their scores after its own; each adds its loss times
        the network's `auxiliary_weight` (Szegedy et al. 2015, section 5).
        """
        scores, *early = (part.float() for part in (answer if isinstance(answer, tuple) else (answer,)))
        main = self(scores, targets)
        loss = main
        for head in early:
            weight: float = getattr(network, "auxiliary_weight")  # noqa: B009 - a Module's attribute is typed Tensor
            loss = loss + weight * self(head, targets)
        return Judged(scores=scores, main=main, loss=loss)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The network's own scores in float32 (N, classes), their loss, and the loss to be made smaller, heads included."""

    scores: Tensor
    main: Tensor
    loss: Tensor


def make_objective(recipe: Recipe, class_counts: Sequence[int]) -> Objective:
    """The objective of a recipe; `class_counts` says how many training images each class has."""
    return Objective(label_smoothing=recipe.label_smoothing)
