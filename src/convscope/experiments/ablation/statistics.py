"""Means with their confidence intervals, by Student's t: what a few seeds can tell, and what they can't."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
LEAST_SPREAD = 1e-9  # an interval narrower than this is rounding


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean of `count` values and the ends of its confidence interval, which are None with one value."""

    mean: float
    low: float | None
    high: float | None
    count: int

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval is above or below 0, else 0: these values don't decide it.

        Values that agree to the last digit (few images, few seeds) say nothing of their spread, and decide nothing.
        """
        if self.low is None or self.high is None or self.low <= 0 <= self.high or self.high - self.low < LEAST_SPREAD:
            return 0
        return 1 if self.low > 0 else -1


def estimate(values: Sequence[float], *, confidence: float = CONFIDENCE) -> Estimate | None:
    """The mean and its interval, mean ± t(n - 1) · s / √n (Student 1908); None without values.

    >>> estimate([1.0, 2.0, 3.0])
    Estimate(mean=2.0, low=-0.4841377117..., high=4.4841377117..., count=3)
    """
    from scipy.special import stdtrit

    n = len(values)
    if not n:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, None, None, 1)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * deviation / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


def paired_difference(values: Mapping[int, float], baseline: Mapping[int, float]) -> Estimate | None:
    """How much `values` lie above the baseline's of the same seed; None where no seed is in both.

    Seeds share their split, order and initial weights, so what a seed does to both falls out of the difference.
    """
    return estimate([value - baseline[seed] for seed, value in values.items() if seed in baseline])
