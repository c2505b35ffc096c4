"""Minutes that are added to a run as it is resumed: the plan of its steps is made anew for them."""

from __future__ import annotations

import time
from dataclasses import replace

from convscope.errors import RunError
from convscope.report.units import whole_tenths
from convscope.report.usage import settings_text
from convscope.training.autotune.measured_costs import sides_of
from convscope.training.job import Job
from convscope.training.planned_time import costs_here
from convscope.training.solved_head import is_to_solve
from convscope.training.timing.pacer import MARGIN, most_steps_within
from convscope.training.timing.step_plan import StepPlan
from convscope.training.timing.time_budget import MINUTE, TimeBudget, minutes_for


def add_minutes(job: Job, minutes: float, *, began: float) -> None:
    """Plan a restored job for `minutes` from `began`; the first process decides for all.

    The steps that are left of a run that was stopped are made more or fewer, and its learning rate goes on from where
    it was. A run that had ended goes on in a longer schedule, as with more epochs: at the rate of its place in that.

    Raises:
        RunError: not even one step fits.
    """
    session, state = job.session, job.state
    budget = TimeBudget(seconds=minutes * MINUTE, began=began, given=True)
    at = state.epoch * job.epoch_steps

    def longer(steps: int) -> StepPlan:
        if 0 < at < job.plan.steps:
            return job.plan.replanned(at=at, steps=steps)
        return StepPlan.of(steps, epoch_steps=job.epoch_steps)

    resolved, group = session.resolved, job.group
    costs = costs_here(resolved, session.spec, session.dataset, group)
    if not is_to_solve(job):
        costs = replace(costs, before=0.0)

    def decide() -> StepPlan:
        now = time.monotonic()

        def needed(steps: int) -> float:
            return costs.seconds(longer(steps), sides=sides_of(resolved), since=at)

        if now + needed(at + 1) > budget.deadline:
            enough = minutes_for(now - began + needed(at + 1))
            raise RunError(
                f"minutes {minutes:g}: the start took {whole_tenths(now - began)}, one more step, the test and the "
                f"report take {whole_tenths(needed(at + 1))}: give {settings_text(minutes=enough)} or more"
            )
        left = budget.deadline - MARGIN * budget.seconds - now
        return longer(most_steps_within(left, needed, least=at + 1))

    plan = group.decided(decide)
    state.plan = plan
    planned = resolved.changed(steps=plan.steps, epochs=plan.epochs)
    job.session = replace(session, resolved=planned, costs=costs, budget=budget, most_steps=None)
