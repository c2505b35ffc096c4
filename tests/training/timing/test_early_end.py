"""Laws of the early end: the forecast's earliest end is the first one that a flat validation brings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from convscope.training.timing.costs import Costs, Sides
from convscope.training.timing.early_end import earliest_end, steps_with_rest
from convscope.training.timing.forecast import forecast_of
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
