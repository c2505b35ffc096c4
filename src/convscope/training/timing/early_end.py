"""Where a training within a time budget may end early: its validation has been flat, and more steps gain nothing.

It does not stop at a high learning rate, where the accuracy is below what the schedule's end brings: the rest of the
schedule is taken in few steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from convscope.training.timing.step_plan import StepPlan

# The validation is flat where none of the newest epochs (FLAT_SHARE of all, at least FLAT_EPOCHS) was better than the
# best before them by more than NOTICED standard errors of the accuracy.
FLAT_SHARE, FLAT_EPOCHS = 0.35, 6
NOTICED = 0.25
# No earlier than after this share of the schedule. `bench/early_end.py` shows which trainings would have ended early,
# and what validation accuracy they reached after that.
FROM_SHARE = 0.5
# The rest of the schedule then takes REST_SHARE of the steps so far, and at least REST_EPOCHS epochs.
REST_SHARE, REST_EPOCHS = 0.25, 3


def steps_with_rest(plan: StepPlan, epoch: int, accuracies: Sequence[float | None], *, images: int) -> int | None:
    """Return how many steps the training has where it ends early after `epoch` complete epochs; None where it goes on.

    `accuracies` are those of all epochs; `images` is the number of validation images that they are measured on.

    >>> plan = StepPlan.of(1000, epoch_steps=10)
    >>> steps_with_rest(plan, 50, [0.5] * 10 + [0.9] * 40, images=200)
    625
    >>> steps_with_rest(plan, 50, [0.02 * number for number in range(50)], images=200) is None
    True
    """
    steps, newest = _steps_after(plan, epoch), _newest(plan)
    known = [accuracy for accuracy in accuracies if accuracy is not None]
    if steps is None or len(known) != len(accuracies) or len(known) <= newest or not images:
        return None
    before, since = max(known[:-newest]), max(known[-newest:])
    if since > before + NOTICED * math.sqrt(before * (1 - before) / images):
        return None
    return steps


def earliest_end(plan: StepPlan, *, since: int = 0) -> StepPlan | None:
    """Return the shortest plan with which the training may end early, from step `since` on; None where it can't.

    >>> earliest_end(StepPlan.of(1000, epoch_steps=10)).steps, earliest_end(StepPlan.of(60, epoch_steps=10))
    (625, None)
    """
    for epoch in range(max(since // plan.epoch_steps, _newest(plan)) + 1, plan.epochs):
        if (steps := _steps_after(plan, epoch)) is not None:
            return plan.replanned(at=epoch * plan.epoch_steps, steps=steps)
    return None


def _newest(plan: StepPlan) -> int:
    """Return of how many epochs none may be better than those before them."""
    return max(FLAT_EPOCHS, math.ceil(FLAT_SHARE * plan.epochs))


def _steps_after(plan: StepPlan, epoch: int) -> int | None:
    """Return the steps of a training that ends early after `epoch` epochs; None where that is too soon or no gain."""
    done = epoch * plan.epoch_steps
    if done >= plan.steps or plan.place(done) < FROM_SHARE * plan.schedule_steps:
        return None
    rest = max(REST_EPOCHS * plan.epoch_steps, math.ceil(REST_SHARE * done))
    return done + rest if done + rest < plan.steps else None
