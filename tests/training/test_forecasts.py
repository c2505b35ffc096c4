"""The memory that a training is forecast to take: of the process, by what it has before its first step."""

from __future__ import annotations

import pytest

from convscope.recipe.recipe import Recipe
from convscope.runs.events import Silent
from convscope.training import forecasts
from convscope.training.forecasts import forecast_training
from convscope.training.opening import Opening
from convscope.training.session import prepare
from convscope.training.timing.costs import Costs
from convscope.training.timing.forecast import Forecast
from convscope.training.timing.step_plan import StepPlan

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
