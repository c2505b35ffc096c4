"""95 % intervals of measures: how far a measure of these images may lie from that of all images like them.

Accuracy is a share, which has Wilson's interval ("Probable inference, the law of succession, and statistical
inference", 1927): it stays within 0 and 1, and is no point where every image is right. mAP and F1 have the
standard error of the infinitesimal jackknife (Jaeckel 1972; Efron, "The jackknife, the bootstrap and other resampling
plans", 1982, section 6.3): the root of the sum of each image's squared influence on the measure. It is what the
bootstrap's standard error tends to with many images, without draws, in the time of the measure itself.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from convscope.arrays import Floats, Integers
from convscope.scoring.confusion_counts import ConfusionCounts

ConfidenceInterval: TypeAlias = tuple[float, float]

Z = 1.959963984540054  # the 97.5 % quantile of the standard normal distribution


def of_share(right: int, images: int) -> ConfidenceInterval:
    """Return Wilson's interval of a share, which ends at 0 where nothing is right, and at 1 where everything is.

    It holds for small counts as well (Brown, Cai and DasGupta 2001).

    >>> [round(end, 3) for end in of_share(90, 100)], [round(end, 3) for end in of_share(10, 10)]
    ([0.826, 0.945], [0.722, 1.0])
    """
    share, spread = right / images, Z**2 / images
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(share * (1 - share) / images + spread / (4 * images))
    # Exactly 0 and 1, which rounding misses.
    return middle - half if right else 0.0, middle + half if right < images else 1.0


def around(value: float, influence: Floats, counts: Integers | int = 1) -> ConfidenceInterval | None:
    """Return the interval of a measure within 0 and 1, from images' influences and how many have each.

    None where no image has any: nothing is known of how it varies.
    """
    half = Z * math.sqrt(float((counts * influence**2).sum()))
    return (max(0.0, value - half), min(1.0, value + half)) if half else None


def influence_on_macro_f1(counts: ConfusionCounts) -> Floats:
    """Return the derivative of macro F1 by the images of each pair of classes that occurs, (P,).

    F1 of class c is 2 R / (S + P), with R right, S own and P predicted images; an image of class a that is predicted as
    b adds 1 to S of a and to P of b, and where a is b to R.
    """
    right, total = counts.right, counts.support + counts.predictions
    there = total > 0
    total = np.where(there, total, 1)
    of_total = -2 * right / total**2
    influence = of_total[counts.true] + of_total[counts.predicted]
    influence += np.where(counts.true == counts.predicted, 2 / total[counts.true], 0)
    return np.asarray(influence / there.sum())


def influence_on_average_precision(ranks: Floats, shown: npt.NDArray[np.bool_]) -> Floats:
    """Return the derivative of average precision by each image's weight, (N,); there is a positive image.

    Images of equal rank pass a threshold together, as one group g of a positives, up to which there are R images with H
    positives; average precision is `Σ a H / R` over the groups, divided by all positives P.
    """
    order = np.argsort(-ranks, kind="stable")
    last = np.flatnonzero(np.diff(ranks[order], append=-np.inf))
    hits, seen = np.cumsum(shown[order])[last], last + 1
    positives = np.diff(hits, prepend=0)
    precision = hits / seen
    value = float((positives * precision).sum() / hits[-1])
    # An image counts in H and R of its own group and of all after it.
    more_hits = np.cumsum((positives / seen)[::-1])[::-1]
    more_seen = np.cumsum((positives * precision / seen)[::-1])[::-1]
    group = np.empty(len(ranks), np.int64)
    group[order] = np.repeat(np.arange(len(last)), np.diff(last, prepend=-1))
    # In this order, as it is 0 to the last digit where every positive image comes first.
    return np.asarray((shown * (precision - value + more_hits)[group] - more_seen[group]) / hits[-1])
