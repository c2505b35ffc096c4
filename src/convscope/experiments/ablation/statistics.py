"""Means with their confidence intervals, by Student's t, for a few seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convscope.report.short_repr import ShortRepr

CONFIDENCE = 0.95
LEAST_SPREAD = 1e-9  # an interval narrower than this is rounding


@dataclass(frozen=True, slots=True, repr=False)
class Estimate(ShortRepr):
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


def estimate(values: Sequence[float]) -> Estimate | None:
    """Return the mean and its interval, mean ± t(n - 1) · s / √n (Student 1908); None without values.

    >>> estimate([1.0, 2.0, 3.0])
    <Estimate mean 2, low -0.4841, high 4.484, count 3>
    """
    n = len(values)
    if not n:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, None, None, 1)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = student_t(n - 1, CONFIDENCE) * deviation / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


def student_t(degrees: int, confidence: float) -> float:
    """Return the t below which |T| stays with probability `confidence`, T having Student's t with these degrees.

    >>> round(student_t(1, 0.95), 4), round(student_t(4, 0.95), 4)
    (12.7062, 2.7764)
    """
    # In the angle atan(t / sqrt(degrees)) the probability is a finite sum, and rises: it is bisected to the last digit.
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        if _probability_within(middle, degrees) < confidence:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(degrees)


def _probability_within(angle: float, degrees: int) -> float:
    """Return P(|T| < t) with angle = atan(t / sqrt(degrees)) (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4)."""
    sine, square = math.sin(angle), math.cos(angle) ** 2
    odd = degrees % 2
    term = total = 0.0 if degrees == 1 else (math.cos(angle) if odd else 1.0)
    for power in range(2 + odd, degrees - 1, 2):
        term *= square * (power - 1) / power
        total += term
    return (angle + sine * total) * 2 / math.pi if odd else sine * total


def paired_difference(values: Mapping[int, float], baseline: Mapping[int, float]) -> Estimate | None:
    """Return the difference of `values` to the baseline's of the same seeds; None without a common seed.

    Seeds share their split, order and initial weights, so what a seed does to both falls out of the difference.
    """
    return estimate([value - baseline[seed] for seed, value in values.items() if seed in baseline])
