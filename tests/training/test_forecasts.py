"""What a training is forecast to take: memory of the process, and time beside other work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clocks import stop_clock
from convscope.recipe.recipe import Recipe
from convscope.runs.events import Silent
from convscope.training import forecasts, planned_time
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.forecasts import forecast_training
from convscope.training.opening import Opening
from convscope.training.session import prepare
from convscope.training.timing.costs import Costs
from convscope.training.timing.forecast import Forecast
from convscope.training.timing.step_plan import StepPlan
from convscope.training.timing.time_budget import TimeBudget

COSTS = Costs(steps=((1.0, 0.1),), epoch_end=0.1, finish=1.0)
NOW = 500_000_000


def test_the_process_takes_what_it_has_a_step_and_the_copies_of_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(data="digits", model="lenet5", optimizer="sgd", epochs=3, autotune="rules", threads=1)
    session = prepare(recipe, Opening(listener=Silent(), autotune=False))
    weights = 4 * session.resolved.parameters

    def forecast(before: int | None, *, epochs: int = 3, since: int = 0) -> Forecast:
        plan = StepPlan.of(epochs * session.epoch_steps, epoch_steps=session.epoch_steps)
        return forecast_training(
            session.resolved, session.dataset, COSTS, plan, begun=0.0, since=since, resident_before=before
        )

    monkeypatch.setattr(forecasts, "resident_memory", lambda: NOW)
    step = forecast(None).step_bytes
    assert step is not None and forecast(None).process_bytes is None
    # What steps that were timed have left is used again; the validation takes a part of what steps of its images do.
    least, most = forecast(NOW - 2 * step).process_bytes, forecast(NOW).process_bytes
    assert least is not None and most is not None
    assert NOW + 12 * weights < least < NOW + 12 * weights + step * 179 / session.resolved.batch_size / 6
    assert most == least + step
    assert forecast(NOW, epochs=1).process_bytes == most - 5 * weights
    # Where no step is left, and where the system does not report it.
    assert forecast(NOW, since=3 * session.epoch_steps).process_bytes is None
    monkeypatch.setattr(forecasts, "resident_memory", lambda: None)
    assert forecast(NOW).process_bytes is None and "memory about" not in forecast(NOW).text


def test_patience_counts_from_a_solved_head_or_the_best_epoch_so_far() -> None:
    recipe = Recipe(data="digits", model="lenet5", epochs=6, patience=2, autotune="rules", threads=1)
    session = prepare(recipe, Opening(listener=Silent(), autotune=False))
    steps = session.epoch_steps
    plan = StepPlan.of(6 * steps, epoch_steps=steps)

    def epochs(*, since: int = 0, best_epoch: int | None = None, head: str = "train") -> float:
        resolved = session.resolved.changed(head=head)
        found = forecast_training(
            resolved, session.dataset, COSTS, plan, begun=0.0, since=since * steps, best_epoch=best_epoch
        )
        assert found.earliest is not None
        return (found.earliest - COSTS.finish) / (steps * COSTS.step(1.0) + COSTS.epoch_end)

    assert epochs() == pytest.approx(3) and epochs(head="solve") == pytest.approx(2)
    assert epochs(since=3, best_epoch=2) == pytest.approx(1) and epochs(since=4, best_epoch=2) == pytest.approx(0)


def test_a_plan_that_fills_its_minutes_fills_them_too_where_other_work_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(data="digits", model="lenet5", epochs=3, autotune="rules", threads=1)
    session = prepare(recipe, Opening(listener=Silent(), autotune=False))
    busy = replace(COSTS, of_time_alone=0.5)
    monkeypatch.setattr(planned_time, "measured_costs", lambda *given, **parts: busy)
    began = stop_clock(monkeypatch).now

    def forecast(seconds: float | None) -> Forecast:
        budget = None if seconds is None else TimeBudget(seconds=seconds, began=began, given=False)
        timed = planned_time.planned_time(
            session.resolved,
            session.spec,
            session.dataset,
            epoch_steps=session.epoch_steps,
            budget=budget,
            began=began,
            group=ProcessGroup(),
        )
        return timed.forecast

    # Three epochs take some 15 seconds: all of them fit into 60, and two into 12.
    for alone in (forecast(None), forecast(60.0)):
        assert alone.earliest == pytest.approx(alone.begun + (alone.seconds - alone.begun) / 2)
        assert " where other work on this machine ends: " in alone.text
    assert forecast(12.0).earliest is None
