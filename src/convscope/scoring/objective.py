"""The objective of training: a loss from scores and targets, and the probabilities that belong to it.

Scores are (N, classes). Targets are int64 (N,), the index of each image's class, or float (N, classes): shares of
the classes that add up to 1 (soft targets, as mixed images have), or for the multi-label loss a yes (1) or no (0)
for every class.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from convscope.arrays import Floats
from convscope.errors import RunError, did_you_mean
from convscope.scoring.losses import LOSSES, Loss, TargetArray


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The loss that a recipe asks for; called with scores and targets, it is the mean over the images.

    `class_weights` (classes,), on the scores' device: an image's loss is multiplied by its class's weight, or by the
    mean of its classes' weights by their shares; with the multi-label loss every yes of a class is. It is the mean
    over the images all the same, not over the weights, so that it does not matter how a batch was cut into parts.

    `temperature` divides the scores before they become probabilities (see `convscope.scoring.calibration`). The order
    of the classes is that of the scores, whatever the temperature.

    Raises:
        RunError: a loss that does not exist.
    """

    loss: str = "softmax"
    label_smoothing: float = 0.0
    class_weights: Tensor | None = field(default=None, compare=False)
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise RunError(f"no loss is called {self.loss!r}.{did_you_mean(self.loss, LOSSES)}")

    @property
    def multi_label(self) -> bool:
        """Whether an image may show several classes, or none."""
        return self.loss == "multi-label"

    @property
    def independent(self) -> bool:
        """Whether each class is a yes or no of its own, whose probability is the sigmoid of its score."""
        return self.loss in ("logistic", "multi-label")

    @property
    def measured(self) -> str:
        """The name of the loss."""
        return self._loss.measured

    def __call__(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the loss that is trained on: a scalar, the mean over the images."""
        return self.per_image(scores, targets).mean()

    def per_image(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each image (N,), whose mean is trained on."""
        weights = self.class_weights
        if weights is None:
            return self._loss.per_image(scores, targets, self.label_smoothing)
        if not self.multi_label:
            shares = targets.to(weights.dtype) @ weights if targets.is_floating_point() else weights[targets]
            return shares * self._loss.per_image(scores, targets, self.label_smoothing)
        targets = targets * (1 - self.label_smoothing) + self.label_smoothing / 2
        return functional.binary_cross_entropy_with_logits(
            scores, targets.to(scores.dtype), reduction="none", pos_weight=weights
        ).sum(1)

    def plain(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the loss without smoothing and class weights, as the metrics report it for training and validation."""
        return self._loss.per_image(scores, targets, 0.0).mean()

    def plain_of_scores(self, scores: Floats, targets: TargetArray) -> float:
        """Return `plain` of NumPy scores (N, classes) at the temperature; NaN stays NaN.

        A hinge loss asks for a margin of 1 between the scores themselves, so it has no temperature.
        """
        answers = torch.from_numpy(targets if targets.ndim == 1 else targets.astype(np.float64))
        divided = scores if self.loss == "hinge" else scores / self.temperature
        return float(self.plain(torch.from_numpy(divided), answers))

    def plain_of_nothing(self, classes: int) -> float:
        """Return `plain` of scores that are all 0: the chance-level loss.

        >>> round(Objective().plain_of_nothing(10), 3), Objective(loss="hinge").plain_of_nothing(10)
        (2.303, 9.0)
        """
        target = torch.zeros(1, classes) if self.multi_label else torch.zeros(1, dtype=torch.int64)
        return float(self.plain(torch.zeros(1, classes), target))

    def plain_of_probabilities(self, probabilities: Floats, targets: TargetArray) -> float:
        """Return `plain` of probabilities (N, classes), such as the mean of several networks'.

        A probability that was rounded to 0 would cost infinitely much, so each counts as 1e-12 at least: of a network
        that is very sure of something wrong, this is less than `plain_of_scores`. NaN stays NaN.
        """
        return float(self._loss.of_probabilities(probabilities, targets).mean())

    def probabilities(self, scores: Tensor) -> Tensor:
        """Return the probabilities of scores (N, classes) at the temperature, of the same shape; see `LOSSES`."""
        return self._loss.probabilities(scores / self.temperature)

    def probabilities_of(self, scores: Floats) -> Floats:
        """Return `probabilities` of NumPy scores."""
        found: Floats = self.probabilities(torch.from_numpy(scores)).numpy()
        return found

    def count_right(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the number of correct predictions, a scalar tensor.

        That is the right class on top, of soft targets the heaviest; with the multi-label loss every yes and no right
        (scikit-learn's accuracy of several labels), a yes from a probability of 0.5 on, as in `multi_label`.
        """
        if self.multi_label:
            return ((scores >= 0) == (targets > 0.5)).all(1).sum()  # the sigmoid of 0 is 0.5
        labels = targets.argmax(1) if targets.is_floating_point() else targets
        return (scores.argmax(1) == labels).sum()

    def of_answer(self, network: nn.Module, answer: Tensor | tuple[Tensor, ...], targets: Tensor) -> LossOutput:
        """Return the loss of a network's output, its auxiliary heads included.

        In training, a network with auxiliary heads answers with their scores after its own; each adds its loss times
        the network's `auxiliary_weight` (Szegedy et al. 2015, section 5).
        """
        scores, *early = (part.float() for part in (answer if isinstance(answer, tuple) else (answer,)))
        main = self(scores, targets)
        loss = main
        for head in early:
            weight: float = getattr(network, "auxiliary_weight")  # noqa: B009 - a Module's attribute is typed Tensor
            loss = loss + weight * self(head, targets)
        return LossOutput(scores=scores, main=main, loss=loss)

    @property
    def _loss(self) -> Loss:
        return LOSSES[self.loss]


@dataclass(frozen=True, kw_only=True)
class LossOutput:
    """The network's own scores in float32 (N, classes), their loss, and the loss to be made smaller, heads included."""

    scores: Tensor
    main: Tensor
    loss: Tensor
