"""Laws of the early end: the forecast's earliest end is the first that a flat validation, or other work, brings."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope.training.timing.costs import Costs, Sides
from convscope.training.timing.early_end import earliest_end, steps_with_rest
from convscope.training.timing.forecast import Forecast, forecast_of
from convscope.training.timing.step_plan import StepPlan


@given(steps=st.integers(1, 400), epoch_steps=st.integers(1, 40), since=st.integers(0, 20))
def test_the_earliest_end_is_that_of_a_validation_that_never_changes(steps: int, epoch_steps: int, since: int) -> None:
    plan = StepPlan.of(steps, epoch_steps=epoch_steps)
    ends = (
        steps_with_rest(plan, epoch, [0.5] * epoch, images=100)
        for epoch in range(since // epoch_steps + 1, plan.epochs)
    )
    first = next((end for end in ends if end is not None), None)
    found = earliest_end(plan, since=since)
    assert first == (None if found is None else found.steps)
    assert found is None or found.steps < steps


@given(steps=st.integers(1, 400), epoch_steps=st.integers(1, 40), side=st.sampled_from([0.0, 0.4, 0.9]))
def test_the_earliest_end_takes_less_than_the_whole_plan(steps: int, epoch_steps: int, side: float) -> None:
    plan = StepPlan.of(steps, epoch_steps=epoch_steps)
    sides = Sides(parts=((0.0, 0.5), (side, 1.0))) if side else Sides()
    costs = Costs(before=3.0, steps=((0.5, 0.25), (1.0, 1.0)), epoch_end=1.0, finish=2.0)
    found = forecast_of(costs, plan, sides, begun=1.0, ends_early=True)
    assert forecast_of(costs, plan, sides, begun=1.0).earliest is None
    assert (found.earliest is None) == (earliest_end(plan) is None)
    if found.earliest is not None:
        assert found.begun + found.features + found.finish < found.earliest < found.seconds
        assert "or less where validation is flat" in found.text


@given(steps=st.integers(1, 400), epoch_steps=st.integers(1, 40), alone=st.floats(0.2, 0.85), ends_early=st.booleans())
def test_other_work_that_ends_leaves_its_share_of_what_is_still_to_come(
    steps: int, epoch_steps: int, alone: float, ends_early: bool
) -> None:
    plan = StepPlan.of(steps, epoch_steps=epoch_steps)
    costs = Costs(before=3.0, steps=((1.0, 0.5),), epoch_end=1.0, finish=2.0)
    free = forecast_of(costs, plan, Sides(), begun=4.0, ends_early=ends_early)
    busy = forecast_of(replace(costs, of_time_alone=alone), plan, Sides(), begun=4.0, ends_early=ends_early)
    assert busy.seconds == free.seconds and busy.earliest is not None
    assert busy.earliest == pytest.approx(4.0 + alone * ((free.earliest or free.seconds) - 4.0))
    why = (
        "validation is flat and other work on this machine ends" if free.earliest else "other work on this machine ends"
    )
    assert f" where {why}: " in busy.text and busy.to_dict()["earliest_where"] == why.split(" and ")
    three = busy.of_several([1.0, 0.5, 1.0]).with_end(2.0, of_time_alone=alone)
    assert three.earliest == pytest.approx(4.0 + 2.5 * (busy.earliest - 4.0) + 2.0 * alone)
    assert three.earliest is not None and 4.0 < three.earliest < three.seconds


@given(
    epochs=st.integers(1, 30), epoch_steps=st.integers(1, 40), patience=st.integers(1, 12), since=st.integers(0, 5),
    best_epoch=st.integers(0, 5), side=st.sampled_from([0.0, 0.4, 0.9]),
)  # fmt: skip
def test_patience_ends_a_training_that_does_not_improve_on_its_best_epoch(
    epochs: int, epoch_steps: int, patience: int, since: int, best_epoch: int, side: float
) -> None:
    plan = StepPlan.of(epochs * epoch_steps, epoch_steps=epoch_steps)
    sides = Sides(parts=((0.0, 0.5), (side, 1.0))) if side else Sides()
    costs = Costs(before=3.0, steps=((0.5, 0.25), (1.0, 1.0)), epoch_end=1.0, finish=2.0)
    done = min(since, epochs) * epoch_steps
    found = forecast_of(costs, plan, sides, begun=1.0, since=done, patience=patience, best_epoch=best_epoch)
    last = max(since, best_epoch + patience)
    if last >= epochs:
        assert found.earliest is None and not found.earliest_where
        return
    places = (plan.place(step) / plan.schedule_steps for step in range(done, last * epoch_steps))
    taken = sum(costs.step(sides.at(place)) for place in places) + (last - since) * costs.epoch_end + costs.finish
    assert found.earliest == pytest.approx(1.0 + found.features + taken)
    assert f"or less where validation does not improve for {patience} epoch" in found.text


def test_an_earliest_end_that_is_shown_as_the_same_time_is_not_shown() -> None:
    found = Forecast(begun=0.1, steps=0.5, epoch_ends=0.0, finish=0.01, earliest=0.58, earliest_where=("x",))
    assert found.range_text == "0.6 s" and "or less" not in found.text
    assert replace(found, earliest=0.5).range_text == "0.5 s to 0.6 s"
