"""Where the ticks of an axis stand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

Scale = Literal["linear", "log"]

# Shares of the larger end. Ends that differ by at most the first are one number; the second is half of its axis.
_ROUNDING, _APART = 1e-9, 1e-6
_DIGITS = 2  # of a tick, below the first one of the step


def nice_ticks(lowest: float, highest: float, *, wanted: int = 5) -> list[float]:
    """Return round values that cover an interval: steps of 1, 2, 2.5 or 5 times a power of ten.

    >>> nice_ticks(0, 0.93)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    >>> nice_ticks(1, 30)
    [0.0, 10.0, 20.0, 30.0]
    >>> nice_ticks(0, 3e-13), nice_ticks(2e26, 2e26)
    ([0.0, 1e-13, 2e-13, 3e-13], [1.999998e+26, 1.999999e+26, 2e+26, 2.000001e+26, 2.000002e+26])
    """
    size = max(abs(lowest), abs(highest))
    if not highest - lowest > _ROUNDING * size:  # one number, as a picture shows it
        half = max(0.5, size * _APART)
        lowest, highest = lowest - half, lowest + half
    rough = (highest - lowest) / max(1, wanted)
    exponent = math.floor(math.log10(rough))
    power = 10.0**exponent
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(lowest / step + 1e-9), math.ceil(highest / step - 1e-9)
    return [round(i * step, _DIGITS - exponent) for i in range(first, last + 1)]


def log_ticks(lowest: float, highest: float) -> list[float]:
    """Return the values of 1, 2 and 5 times a power of ten within an interval; its ends where there are none.

    >>> log_ticks(0.9, 10.4)
    [1.0, 2.0, 5.0, 10.0]
    >>> log_ticks(3, 4)
    [3, 4]
    """
    powers = range(math.floor(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)
    ticks = [round(factor * 10.0**power, 12) for power in powers for factor in (1, 2, 5)]
    return [tick for tick in ticks if lowest <= tick <= highest] or sorted({lowest, highest})


def axis_ticks(values: Sequence[float], scale: Scale) -> list[float]:
    """Return the ticks of an axis that spans these values."""
    low, high = min(values), max(values)
    if scale == "log" and low > 0:
        return log_ticks(low, high)
    ticks = [t for t in nice_ticks(low, high, wanted=8) if low <= t <= high] or [low]
    if all(x == int(x) for x in values):  # epochs: there is nothing between two of them
        ticks = [t for t in ticks if t == int(t)]
    return ticks
