"""The losses by name: what is wrong with each image's scores, and which probabilities go with it.

Scores are (N, classes) float. Targets are int64 (N,), or float (N, classes): shares of the classes that add up to 1
(soft targets), for `multi-label` a yes (1) or no (0) for every class. A loss is one number per image, (N,); where
the classes are judged one by one it is their sum, so that each class learns as fast with a hundred others as alone.

Sources: Stanford's CS231n notes, linear classification (softmax and hinge) and neural networks 2 (attributes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from convscope.arrays import Floats
from convscope.errors import RunError

TargetArray = npt.NDArray[np.generic]

# A probability below this counts as this in a loss that is taken from probabilities.
LEAST_PROBABILITY = 1e-12


def softmax_cross_entropy(scores: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return `-Σ t log softmax(s)`, with label smoothing (Szegedy et al. 2016, section 7)."""
    return functional.cross_entropy(scores, targets, reduction="none", label_smoothing=smoothing)


def hinge(scores: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the multi-class hinge loss of Weston and Watkins (1999): `Σ max(0, s_j - s_y + 1)` over wrong classes j.

    Raises:
        RunError: smoothed or soft targets: a margin needs the one right class.
    """
    if smoothing or targets.is_floating_point():
        raise RunError("the hinge loss needs one right class an image: it takes no soft or smoothed targets")
    right = targets[:, None]
    excess = functional.relu(scores - scores.gather(1, right) + 1)
    return excess.scatter(1, right, 0.0).sum(1)


def logistic(scores: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the binary cross-entropy of each class against all others: `-Σ t log σ(s) + (1 - t) log(1 - σ(s))`.

    Smoothing moves that share of each target to one half, the two answers' mean: t becomes t (1 - ε) + ε / 2.
    """
    return _each_class(scores, _shares(scores, targets), smoothing).sum(1)


def multi_label(scores: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return `logistic` of multi-label targets (N, classes).

    Raises:
        RunError: targets that name one class.
    """
    return _each_class(scores, _answers(targets), smoothing).sum(1)


def _each_class(scores: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    if smoothing:
        targets = targets * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(scores, targets.to(scores.dtype), reduction="none")


def _shares(scores: Tensor, targets: Tensor) -> Tensor:
    """Targets as (N, classes)."""
    return targets if targets.is_floating_point() else functional.one_hot(targets, scores.shape[1]).to(scores.dtype)


def _answers(targets: Tensor) -> Tensor:
    if not targets.is_floating_point():
        raise RunError("the multi-label loss needs a yes or no for every class: these images have one class each")
    return targets


def _softmax_of(probabilities: Floats, targets: TargetArray) -> Floats:
    truth: Floats = probabilities[np.arange(len(targets)), targets.astype(np.int64)]
    return -np.log(_at_least(truth))


def _hinge_of(probabilities: Floats, targets: TargetArray) -> Floats:
    # Differences of log-probabilities under a softmax are differences of scores.
    scores = np.log(_at_least(probabilities))
    rows, labels = np.arange(len(targets)), targets.astype(np.int64)
    excess = np.maximum(0, scores - scores[rows, labels][:, None] + 1)
    excess[rows, labels] = 0
    return np.asarray(excess.sum(1))


def _logistic_of(probabilities: Floats, targets: TargetArray) -> Floats:
    return _multi_label_of(probabilities, one_hot(targets, probabilities.shape[1]))


def one_hot(labels: TargetArray, classes: int) -> Floats:
    """Return labels (N,) as float64 (N, classes), 1 at each label, without a matrix of classes by classes.

    >>> one_hot(np.array([1, 0]), 3).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    found: Floats = (labels[:, None] == np.arange(classes)).astype(np.float64)
    return found


def _multi_label_of(probabilities: Floats, targets: TargetArray) -> Floats:
    yes = targets.astype(np.float64)
    summed: Floats = (yes * np.log(_at_least(probabilities)) + (1 - yes) * np.log(_at_least(1 - probabilities))).sum(1)
    return -summed


def _at_least(probabilities: Floats) -> Floats:
    return np.asarray(np.maximum(probabilities, LEAST_PROBABILITY))  # NaN stays NaN here


def _softmax(scores: Tensor) -> Tensor:
    return functional.softmax(scores, dim=1)


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A loss by name.

    `per_image(scores, targets, smoothing)` is (N,); `of_probabilities` is the same of `probabilities(scores)`,
    without smoothing and in NumPy. `measured` names the number on charts; `smoothing` is the label smoothing taken
    by default.
    """

    per_image: Callable[[Tensor, Tensor, float], Tensor]
    probabilities: Callable[[Tensor], Tensor]
    of_probabilities: Callable[[Floats, TargetArray], Floats]
    measured: str
    smoothing: float = 0.0


LOSSES: dict[str, Loss] = {
    "softmax": Loss(
        per_image=softmax_cross_entropy,
        probabilities=_softmax,
        of_probabilities=_softmax_of,
        measured="cross-entropy",
        smoothing=0.1,
    ),
    # An SVM's scores are no probabilities. Their softmax keeps their order and the gaps between them, so it shows
    # which class leads and by how much; it is not calibrated, since the loss asks for a margin of 1 and for no more.
    "hinge": Loss(
        per_image=hinge,
        probabilities=_softmax,
        of_probabilities=_hinge_of,
        measured="hinge loss",
    ),
    "logistic": Loss(
        per_image=logistic,
        probabilities=torch.sigmoid,
        of_probabilities=_logistic_of,
        measured="cross-entropy, summed over classes",
    ),
    "multi-label": Loss(
        per_image=multi_label,
        probabilities=torch.sigmoid,
        of_probabilities=_multi_label_of,
        measured="cross-entropy, summed over classes",
    ),
}
