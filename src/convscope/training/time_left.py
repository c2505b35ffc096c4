"""The forecast of a run that is resumed: of the steps, the test and the report that are left."""

from __future__ import annotations

import time
from dataclasses import replace

from convscope.training.autotune.measured_costs import measured_costs, sides_of
from convscope.training.distributed.shared_costs import shared_costs
from convscope.training.forecasts import forecast_notices, forecast_training, with_faster
from convscope.training.job import Job
from convscope.training.solved_head import is_to_solve
from convscope.training.timing.costs import Costs


def forecast_time_left(job: Job, *, began: float) -> None:
    """Show what a restored job is going to take, from `began` on.

    Its costs are those of its added minutes, where it has some, else they are measured. Its plan stays as it is.
    """
    session, plan, since = job.session, job.plan, job.steps_done
    costs = session.costs or _measured(job)
    if not is_to_solve(job):
        costs = replace(costs, before=0.0)
    forecast = forecast_training(
        session.resolved, session.dataset, costs, plan, begun=time.monotonic() - began, since=since
    )
    in_budget = session.budget is not None
    forecast = with_faster(
        forecast, session.resolved, costs, plan, since=since, new=False, epochs=not in_budget, minutes=not in_budget
    )
    job.session = replace(session, costs=costs, forecast=forecast)
    job.notices(list(forecast_notices(forecast)))


def _measured(job: Job) -> Costs:
    session, resolved = job.session, job.session.resolved
    own = measured_costs(
        resolved,
        session.spec,
        session.train,
        val=session.dataset.val,
        test=session.dataset.test,
        processes=job.group.size,
        images=(job.plan.steps - job.steps_done) * resolved.batch_size,
    )
    return shared_costs(job.group, own, sides_of(resolved), architecture=resolved.architecture, device=resolved.device)
