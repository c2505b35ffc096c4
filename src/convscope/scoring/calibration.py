"""Temperature scaling: one number that divides the scores, so that confidence is accuracy on average.

Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017, section 4.2: the temperature of the
lowest cross-entropy on validation images. It changes no ranking, so no accuracy.

With the inverse temperature b the cross-entropy of b * scores is convex in b, for a softmax as for sigmoids, so its
derivative has one root. A departure from the paper: b is pulled towards 1 with the weight of PRIOR_IMAGES. Images that
are all predicted correctly would ask for infinite confidence, and a few that happen to be wrong for none; with
hundreds of images it changes nothing (`bench/calibration.py` measures both ends).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from convscope.arrays import Floats
from convscope.data.records import ImageSet
from convscope.scoring.losses import TargetArray, one_hot
from convscope.scoring.objective import Objective

# The temperature lies within 1/LARGEST and LARGEST.
LARGEST = 10.0
PRIOR_IMAGES = 1.0
CHUNK = 1_000_000  # scores that are computed with at a time: 8 MB an array
MOST_STEPS = 60
TOLERANCE = 1e-6
DECIMALS = 4  # the rest is below what any validation set can tell


def temperature_of(scores: Floats, images: ImageSet, objective: Objective) -> float:
    """Return the temperature that calibrates scores (N, classes) of labelled images, rounded to 4 digits.

    Probabilities are the softmax of the scores, of a hinge loss too, or for logistic and multi-label losses the sigmoid
    of each, whose cross-entropies are summed over the classes. Computed in float64 NumPy alone, so that it is the same
    in every process and with any number of threads. Scores that are not finite have the temperature 1.

    >>> scores = np.log(np.array([[0.6, 0.4]] * 5000))  # right 9 times of 10, and only 60 % sure
    >>> images = ImageSet(np.zeros((5000, 1, 1, 1), np.uint8), np.arange(5000) % 10 // 9, [""] * 5000)
    >>> calibrated = Objective(temperature=temperature_of(scores, images, Objective()))
    >>> calibrated.probabilities_of(scores)[0].round(2).tolist()
    [0.9, 0.1]
    """
    if not len(scores) or not np.isfinite(scores).all():
        return 1.0
    independent = objective.independent
    inverse = _root(lambda b: _slope(scores, images.answers, b, independent=independent))
    return round(1 / inverse, DECIMALS)


def _root(slope: Callable[[float], tuple[float, float]]) -> float:
    """Return where an increasing function is 0 within the limits, from its value and derivative: Newton, bisected.

    A step of Newton's that leaves the interval in which the sign changes is replaced by the geometric middle.
    """
    low, high, at = 1 / LARGEST, LARGEST, 1.0
    for _ in range(MOST_STEPS):
        value, derivative = slope(at)
        low, high = (at, high) if value < 0 else (low, at)
        step = at - value / derivative if derivative > 0 else 0.0
        before, at = at, step if low < step < high else math.sqrt(low * high)
        if abs(at - before) < TOLERANCE * at:
            break
    return at


def _slope(scores: Floats, answers: TargetArray, b: float, *, independent: bool) -> tuple[float, float]:
    """Return the first and second derivative, by the inverse temperature b, of what is made smallest."""
    # The prior is PRIOR_IMAGES * (b - 1 - log b): convex, 0 at b = 1, and infinite at 0.
    first, second = PRIOR_IMAGES * (1 - 1 / b), PRIOR_IMAGES / b**2
    derivatives = _of_sigmoids if independent else _of_softmax
    rows = max(1, CHUNK // scores.shape[1])
    for start in range(0, len(scores), rows):
        own = derivatives(scores[start : start + rows], answers[start : start + rows], b)
        first, second = first + own[0], second + own[1]
    return first, second


def _of_softmax(scores: Floats, labels: TargetArray, b: float) -> tuple[float, float]:
    """Return the derivatives of `-log softmax(b s)` of the label: `Σ p s - s_label`, and the variance of s under p."""
    scores = scores - scores.max(1, keepdims=True)
    powers = np.exp(b * scores)
    total = powers.sum(1)
    mean, square = ((powers * scores**power).sum(1) / total for power in (1, 2))
    right = scores[np.arange(len(scores)), labels.astype(np.int64)]
    return float((mean - right).sum()), float((square - mean**2).sum())


def _of_sigmoids(scores: Floats, answers: TargetArray, b: float) -> tuple[float, float]:
    """Return the derivatives of the cross-entropy of sigmoid(b s): `Σ (p - t) s` and `Σ p (1 - p) s²`."""
    shown = one_hot(answers, scores.shape[1]) if answers.ndim == 1 else answers.astype(np.float64)
    # tanh does not overflow.
    p = (1 + np.tanh(b * scores / 2)) / 2
    return float(((p - shown) * scores).sum()), float((p * (1 - p) * scores**2).sum())
