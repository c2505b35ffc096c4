"""What the members that an ensemble still trains are going to take."""

from __future__ import annotations

import time
from collections.abc import Sequence

from convscope.report.units import whole_tenths
from convscope.runs.run_directory import Run
from convscope.training.autotune.measured_costs import measured_costs
from convscope.training.forecasts import forecast_training, with_faster
from convscope.training.loop.state import first_plan
from convscope.training.session import Session
from convscope.training.timing.forecast import Forecast


def forecast_members(
    session: Session, shares: Sequence[float], *, planned: int, began: float, resumed: bool = False
) -> Forecast:
    """Return the forecast of an ensemble that began at `began` on the monotonic clock.

    `shares` are those of a whole training that are left of each member. At the end all `planned` ones are measured.
    """
    resolved, dataset = session.resolved, session.dataset
    plan = first_plan(resolved, session.epoch_steps)
    costs = measured_costs(resolved, session.spec, session.train, val=dataset.val, test=dataset.test)
    one = forecast_training(resolved, dataset, costs, plan, begun=time.monotonic() - began)
    of_all = one.of_several(shares)
    measuring = planned * (costs.finish - costs.report) + costs.report
    of_all = of_all.with_end(measuring, of_time_alone=costs.of_time_alone)
    return of_all if resumed else with_faster(of_all, resolved, costs, plan, minutes=False)


def share_left(member: Run) -> float:
    """Return the share of a member's training that is left, by its status; 1 where it has not begun."""
    status = member.status() if member.path.is_dir() else None
    return 1.0 if status is None or not status.steps else max(0.0, 1 - status.step / status.steps)


class MembersClock:
    """The time left of an ensemble, by what its members took in this call.

    >>> clock = MembersClock()
    >>> clock.ended(took=30.0, share=0.5)
    >>> clock.left([1.0, 1.0])
    '; about 2 min 00 s left'
    """

    def __init__(self) -> None:
        self._took = self._shares = 0.0

    def ended(self, *, took: float, share: float) -> None:
        """Count a member that is trained: seconds, and the share of its training that these were for."""
        self._took, self._shares = self._took + took, self._shares + share

    def left(self, shares: Sequence[float]) -> str:
        """Return the time that members with these shares left take, as an addition to a line; empty where unknown."""
        if not self._shares or not sum(shares):
            return ""
        return f"; about {whole_tenths(self._took / self._shares * sum(shares))} left"
