"""Timing one thing several times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

LEAST_REPEATS, MOST_REPEATS = 5, 100


@dataclass(frozen=True, kw_only=True)
class Rate:
    """So much a second: by the median of several runs, and the share by which they differ (slowest less fastest)."""

    per_second: float
    spread: float


def measure_rate(work: Callable[[], object], *, amount: float, seconds: float, device: str = "cpu") -> Rate:
    """Measure `amount` per second of `work`, repeated for about `seconds` after a warm-up run."""
    taken: list[float] = []
    work()
    while len(taken) < LEAST_REPEATS or (sum(taken) < seconds and len(taken) < MOST_REPEATS):
        _wait_for(device)
        began = time.perf_counter()
        work()
        _wait_for(device)
        taken.append(max(time.perf_counter() - began, 1e-9))
    median = statistics.median(taken)
    return Rate(per_second=amount / median, spread=(max(taken) - min(taken)) / median)


def _wait_for(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
