"""The learning rate over a run, as a factor of its highest value: plain arithmetic on the step, no state.

Because a step's rate depends on the step alone, a resumed run needs nothing restored to continue as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from convscope.errors import RunError, did_you_mean

# One-cycle starts and ends here (Smith and Topin 2017 take a twentieth to a tenth, and far less at the end).
START_FACTOR = 0.1
END_FACTOR = 0.001
# Step schedule: a tenth at half and at three quarters of the run, as He et al. (2016, section 4.2) trained CIFAR-10.
STEP_AT = (0.5, 0.75)
STEP_FACTOR = 0.1


def learning_rate_factor(schedule: str, *, step: int, steps: int, warmup: float) -> float:
    """The factor at `step` (0 to steps - 1) of `steps`, from 0 to 1; `warmup` is a share of the steps.

    >>> [round(learning_rate_factor("one-cycle", step=s, steps=11, warmup=0.2), 3) for s in (0, 2, 5, 10)]
    [0.1, 1.0, 0.625, 0.001]
    >>> learning_rate_factor("step", step=80, steps=100, warmup=0.0)
    0.01

    Raises:
        RunError: a schedule that does not exist.
    """
    if schedule not in SCHEDULES:
        raise RunError(f"no schedule is called {schedule!r}.{did_you_mean(schedule, SCHEDULES)}")
    assert 0 <= step < steps and 0 <= warmup < 1
    last = max(steps - 1, 1)
    rise = warmup * last
    if step < rise:
        return START_FACTOR + (1 - START_FACTOR) * step / rise
    return SCHEDULES[schedule]((step - rise) / (last - rise))


def _one_cycle(part: float) -> float:
    return 1 - (1 - END_FACTOR) * part


def _cosine(part: float) -> float:
    return END_FACTOR + (1 - END_FACTOR) * (1 + math.cos(math.pi * part)) / 2


def _step(part: float) -> float:
    drops = sum(part >= at for at in STEP_AT)
    return round(STEP_FACTOR**drops, 12)


def _constant(part: float) -> float:
    return 1.0


# schedule -> the factor after the warm-up, of the share of the remaining run that has gone (0 to 1).
SCHEDULES: dict[str, Callable[[float], float]] = {
    "one-cycle": _one_cycle,
    "cosine": _cosine,
    "step": _step,
    "constant": _constant,
}
