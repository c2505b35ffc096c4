"""The forecast of a run that is resumed: of the steps, the test and the report that are left."""

from __future__ import annotations

import time
from dataclasses import replace

from convscope.training.forecasts import forecast_notices, forecast_training, with_faster
from convscope.training.job import Job
from convscope.training.planned_time import costs_here
from convscope.training.solved_head import is_to_solve


def forecast_time_left(job: Job, *, began: float) -> None:
    """Show what a restored job is going to take, from `began` on.

    Its costs are those of its added minutes, where it has some, else they are measured. Its plan stays as it is.
    """
    session, plan, since = job.session, job.plan, job.steps_done
    resolved, dataset = session.resolved, session.dataset
    seen = (plan.steps - since) * resolved.batch_size
    costs = session.costs or costs_here(resolved, session.spec, dataset, job.group, images=seen)
    if not is_to_solve(job):
        costs = replace(costs, before=0.0)
    if session.budget is not None:  # it is filled, whatever other work does
        costs = replace(costs, of_time_alone=1.0)
    forecast = forecast_training(
        resolved,
        dataset,
        costs,
        plan,
        begun=time.monotonic() - began,
        since=since,
        best_epoch=None if job.state.best is None else job.state.best.epoch,
        resident_before=session.resident_before,
        ends_early=session.budget is not None and session.budget.given,
    )
    in_budget = session.budget is not None
    forecast = with_faster(
        forecast, resolved, costs, plan, since=since, new=False, epochs=not in_budget, minutes=not in_budget
    )
    job.session = replace(session, costs=costs, forecast=forecast)
    job.notices(list(forecast_notices(forecast)))
