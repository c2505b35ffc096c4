"""How alike two maps are: by the order of their values, and by their structure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from convscope.arrays import Array, Floats


def rank_correlation(first: Array, second: Array) -> float | None:
    """Return Spearman's rank correlation of two arrays of one shape, equal values at their mean rank.

    Returns:
        -1 to 1; None where one of the two is constant or not finite, so that its values have no order.

    >>> round(rank_correlation(np.array([1, 2, 2, 9]), np.array([0.1, 0.2, 0.3, 4])), 6)
    0.948683
    >>> rank_correlation(np.zeros(4), np.arange(4)) is None
    True
    """
    one, other = np.ravel(first), np.ravel(second)
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return None
    one, other = _ranks(one), _ranks(other)
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / scale if scale else None


def structural_similarity(first: Array, second: Array, *, window: int = 7) -> float | None:
    """Return the mean structural similarity (SSIM) of two maps (H, W), each divided by its largest absolute value.

    Source: Wang et al. 2004, section III.B, with a uniform window and sample covariances.

    Args:
        first: a map.
        second: another of the same shape.
        window: side of the square in which means and covariances are taken; smaller on smaller maps.

    Returns:
        -1 to 1; None where one of the two is 0 everywhere or not finite.

    >>> values = np.arange(64.0).reshape(8, 8)
    >>> structural_similarity(values, 3 * values)
    1.0
    """
    one, other = _scaled(first), _scaled(second)
    if one is None or other is None:
        return None
    sides = tuple(min(window, side - (side + 1) % 2) for side in one.shape)
    count = int(np.prod(sides))

    def mean(values: Floats) -> Floats:
        for axis, side in enumerate(sides):
            values = sliding_window_view(values, side, axis=axis).mean(axis=-1)
        return values

    mean_one, mean_other = mean(one), mean(other)
    sample = count / max(count - 1, 1)
    variances = sample * (mean(one * one) - mean_one**2 + mean(other * other) - mean_other**2)
    covariance = sample * (mean(one * other) - mean_one * mean_other)
    # The constants of the paper for values of -1 to 1 whose largest is 1.
    of_means, of_variances = 0.01**2, 0.03**2
    found = (2 * mean_one * mean_other + of_means) * (2 * covariance + of_variances)
    return float((found / ((mean_one**2 + mean_other**2 + of_means) * (variances + of_variances))).mean())


def _ranks(values: npt.NDArray[np.generic]) -> Floats:
    """Return the rank of each value from 0; equal ones get the mean of theirs."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    found: Floats = (last - (counts + 1) / 2)[group.reshape(-1)]
    return found


def _scaled(values: Array) -> Floats | None:
    found = np.asarray(values, dtype=np.float64)
    largest = float(np.abs(found).max()) if found.size else 0.0
    return found / largest if 0 < largest < np.inf else None
