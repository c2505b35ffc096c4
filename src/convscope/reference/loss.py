"""Losses: one number that measures the error of the scores, and its gradient with respect to them.

Scores are `(N, classes)`, labels `(N,)` whole numbers; every loss is the mean over the samples.

Source: Stanford's CS231n notes on linear classification for the hinge and softmax losses.
"""

from __future__ import annotations

import numpy as np

from convscope.arrays import Array
from convscope.errors import DataError, GeometryError
from convscope.reference.activation import log_softmax, sigmoid, softmax


def softmax_cross_entropy(scores: Array, labels: Array) -> float:
    """Return `-log p` of the right class, p the softmax of the scores.

    Raises:
        GeometryError: one label per sample is needed.
        DataError: a label that is no class.

    For ten classes and equal scores: ln 10.

    >>> round(softmax_cross_entropy(np.zeros((4, 10)), np.arange(4)), 4)
    2.3026
    """
    _require_labels(scores, labels)
    return float(-log_softmax(scores)[np.arange(len(labels)), labels].mean())


def softmax_cross_entropy_backward(scores: Array, labels: Array) -> Array:
    """Return the gradient of `softmax_cross_entropy` for the scores: `(p - 1 at the right class) / N`.

    >>> softmax_cross_entropy_backward(np.array([[0., 0]]), np.array([1]))
    array([[ 0.5, -0.5]])
    """
    _require_labels(scores, labels)
    grad = softmax(scores)
    grad[np.arange(len(labels)), labels] -= 1
    return grad / len(labels)


def hinge(scores: Array, labels: Array, *, margin: float = 1.0) -> float:
    """Return the multi-class SVM's loss: `Σ max(0, s_j - s_right + margin)` over the wrong classes j.

    PyTorch's `multi_margin_loss` is this divided by the number of classes.

    >>> hinge(np.array([[3.2, 5.1, -1.7]]), np.array([0])).__round__(1)
    2.9
    """
    return float(_excess(scores, labels, margin).sum() / len(labels))


def hinge_backward(scores: Array, labels: Array, *, margin: float = 1.0) -> Array:
    """Return the gradient of `hinge`: 1 for each class inside the margin, minus their count for the right class.

    >>> hinge_backward(np.array([[3.2, 5.1, -1.7]]), np.array([0]))
    array([[-1.,  1.,  0.]])
    """
    grad = (_excess(scores, labels, margin) > 0).astype(scores.dtype)
    grad[np.arange(len(labels)), labels] = -grad.sum(axis=1)
    return grad / len(labels)


def logistic(scores: Array, targets: Array) -> float:
    """Binary cross-entropy of `sigmoid(scores)` against targets of 0 and 1 of the same shape, mean over all.

    >>> round(logistic(np.array([0.]), np.array([1.])), 4)
    0.6931
    """
    _require_targets(scores, targets)
    return float((np.maximum(scores, 0) - scores * targets + np.log1p(np.exp(-np.abs(scores)))).mean())


def logistic_backward(scores: Array, targets: Array) -> Array:
    """Return the gradient of `logistic` for the scores: `(sigmoid - target) / count`.

    >>> logistic_backward(np.array([0.]), np.array([1.]))
    array([-0.5])
    """
    _require_targets(scores, targets)
    return (sigmoid(scores) - targets) / scores.size


def _excess(scores: Array, labels: Array, margin: float) -> Array:
    _require_labels(scores, labels)
    rows = np.arange(len(labels))
    excess = np.maximum(0, scores - scores[rows, labels][:, None] + margin)
    excess[rows, labels] = 0
    return excess


def _require_labels(scores: Array, labels: Array) -> None:
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or len(labels) == 0:
        raise GeometryError(
            f"scores {scores.shape} and labels {labels.shape} do not fit: (N, classes) and (N,), N at least 1"
        )
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        raise DataError(
            f"labels go from {labels.min()} to {labels.max()}, but there are {scores.shape[1]} classes, counted from 0"
        )


def _require_targets(scores: Array, targets: Array) -> None:
    if scores.shape != targets.shape or scores.size == 0:
        raise GeometryError(
            f"scores {scores.shape} and targets {targets.shape} do not fit: the shapes must be equal and not empty"
        )
