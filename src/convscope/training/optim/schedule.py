"""The learning rate over a run, as a factor of its highest value: plain arithmetic, no state.

A step's rate depends on the step alone, and with "plateau" on the epochs so far, which the run records anyhow: so a
resumed run has no schedule state to restore.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from convscope.errors import RunError, did_you_mean

# One-cycle starts and ends here (Smith and Topin 2017 take a twentieth to a tenth, and far less at the end).
START_FACTOR = 0.1
END_FACTOR = 0.001
# Step schedule: a tenth at half and at three quarters of the run, as He et al. (2016, section 4.2) trained CIFAR-10.
STEP_AT = (0.5, 0.75)
STEP_FACTOR = 0.1
# Plateau: a tenth once validation has not improved for PLATEAU_EPOCHS, PLATEAU_DROPS times at most (Krizhevsky et al.
# 2012, section 5, did so by hand, three times).
PLATEAU_EPOCHS = 3
PLATEAU_FACTOR = 0.1
PLATEAU_DROPS = 3


def learning_rate_factor(
    schedule: str, *, step: float, steps: int, warmup: float, accuracies: Iterable[float | None] = ()
) -> float:
    """Return the factor at `step` (0 to steps - 1) of `steps`, from 0 to 1; `warmup` is a share of the steps.

    A `step` between two of them is a place in the schedule of a run whose plan was changed.

    `accuracies` are the epochs' validation accuracies so far; "plateau" alone looks at them.

    >>> [round(learning_rate_factor("one-cycle", step=s, steps=11, warmup=0.2), 3) for s in (0, 2, 5, 10)]
    [0.1, 1.0, 0.625, 0.001]
    >>> [learning_rate_factor("triangular", step=s, steps=4, warmup=0.0) for s in range(4)]
    [1.0, 0.75, 0.5, 0.25]
    >>> learning_rate_factor("step", step=80, steps=100, warmup=0.0)
    0.01

    Raises:
        RunError: a schedule that does not exist.
    """
    if schedule not in SCHEDULES:
        raise RunError(f"there is no schedule {schedule!r}.{did_you_mean(schedule, SCHEDULES)}")
    assert 0 <= step < steps and 0 <= warmup < 1
    if schedule == "triangular":
        rise = warmup * steps
        return min((step + 1) / (rise + 1), (steps - step) / (steps - rise))
    last = max(steps - 1, 1)
    rise = warmup * last
    drops = round(PLATEAU_FACTOR ** plateau_drops(accuracies), 12) if schedule == "plateau" else 1.0
    if step < rise:
        return drops * (START_FACTOR + (1 - START_FACTOR) * step / rise)
    return drops * SCHEDULES[schedule]((step - rise) / (last - rise))


def plateau_drops(accuracies: Iterable[float | None]) -> int:
    """Return the number of drops by the epochs' validation accuracies: one after each three without a better one.

    >>> plateau_drops([0.1, 0.5, 0.5, 0.4]), plateau_drops([0.1, 0.5, 0.5, 0.4, 0.3])
    (0, 1)
    """
    best, without, drops = -math.inf, 0, 0
    for accuracy in accuracies:
        if accuracy is None:
            continue  # nothing was measured, so nothing stopped improving
        if accuracy > best:
            best, without = accuracy, 0
            continue
        without += 1
        if without == PLATEAU_EPOCHS:
            drops, without = drops + 1, 0
    return min(drops, PLATEAU_DROPS)


def _falling(part: float) -> float:
    return 1 - (1 - END_FACTOR) * part


def _cosine(part: float) -> float:
    return END_FACTOR + (1 - END_FACTOR) * (1 + math.cos(math.pi * part)) / 2


def _step(part: float) -> float:
    drops = sum(part >= at for at in STEP_AT)
    return round(STEP_FACTOR**drops, 12)


def _constant(part: float) -> float:
    return 1.0


# schedule -> the factor after the warm-up, of the share of the remaining steps that are done (0 to 1). "triangular" is
# linear as well, but from its first step, and to 0.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "one-cycle": _falling,
    "triangular": _falling,
    "cosine": _cosine,
    "step": _step,
    "plateau": _constant,
    "constant": _constant,
}
