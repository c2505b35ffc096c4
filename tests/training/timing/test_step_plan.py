"""The plan of steps: one piece is the steps' own numbers; any changes of it go on to the schedule's end."""

import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError
from convscope.training.timing.costs import Costs, Sides
from convscope.training.timing.step_plan import MUCH_LONGER, StepPlan

SIDES = Sides(parts=((0.0, 0.5), (0.3, 0.75), (0.65, 1.0)))


@given(steps=st.integers(1, 400), epoch_steps=st.integers(1, 50), data=st.data())
def test_any_changes_are_rising_and_end_at_the_schedules_end(steps: int, epoch_steps: int, data: st.DataObject) -> None:
    plan = StepPlan.of(steps, epoch_steps=epoch_steps)
    assert [plan.place(step) for step in range(steps)] == list(range(steps))
    at = 0
    for _ in range(data.draw(st.integers(0, 6))):
        if at + 1 >= plan.steps:
            break
        at = data.draw(st.integers(at + 1, plan.steps - 1))
        before = [plan.place(step) for step in range(at)]
        plan = plan.replanned(at=at, steps=data.draw(st.integers(at + 1, at + 400)))
        assert [plan.place(step) for step in range(at)] == before, "what is done stays as it was"
    places = [plan.place(step) for step in range(plan.steps)]
    assert places[-1] == steps - 1 and all(0 <= place <= steps - 1 for place in places)
    for first, end in plan.rising:
        assert all(place <= following for place, following in pairwise(places[first:end]))
    assert StepPlan.from_fields(Fields.of(plan.to_dict())) == plan
    assert sum(plan.steps_of(epoch) for epoch in range(plan.epochs)) == plan.steps
    since = data.draw(st.integers(0, plan.steps))
    sides = Counter(SIDES.at(place / steps) for place in places[since:])
    counts = Counter[float]()
    for side, count in SIDES.counts(plan, since=since):
        counts[side] += count
    assert counts == sides


@given(steps=st.integers(2, 300), data=st.data())
def test_a_plan_that_becomes_much_longer_goes_on_as_if_it_had_been_planned_so(steps: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, steps - 1))
    longer = data.draw(st.integers(math.ceil(MUCH_LONGER * steps), 20 * steps))
    plan = StepPlan.of(steps, epoch_steps=10).replanned(at=at, steps=longer)
    whole = StepPlan.of(longer, epoch_steps=10)
    for step in range(at, longer):
        share = (plan.place(step) + 1) / plan.schedule_steps
        assert share == pytest.approx(max((whole.place(step) + 1) / longer, 1 / steps))
    assert StepPlan.of(steps, epoch_steps=10).replanned(at=at, steps=longer).rising == ((0, at), (at, longer))


@given(steps=st.integers(1, 400), at=st.integers(1, 400), more=st.integers(0, 400), factor=st.sampled_from([2, 4]))
def test_half_the_batch_has_the_same_epochs(steps: int, at: int, more: int, factor: int) -> None:
    plan = StepPlan.of(steps, epoch_steps=10)
    if at < steps:
        plan = plan.replanned(at=at, steps=at + 1 + more)
    halved = plan.in_epochs_of(10 * factor)
    assert halved.steps == plan.steps * factor and halved.epochs == plan.epochs
    assert halved.place(halved.steps - 1) == halved.schedule_steps - 1


@pytest.mark.parametrize(
    "pieces", [[], [[1, 5]], [[0, 5], [5, 9]], [[0, 5], [0, 9]], [[0, 9], [4, 4]], [[0, 5], [6, 4]]]
)
def test_what_is_no_plan_is_refused(pieces: list[list[int]]) -> None:
    with pytest.raises(UnreadableError, match="is no plan of steps"):
        StepPlan.from_fields(Fields.of({"epoch_steps": 3, "pieces": pieces}))


def test_seconds_are_those_of_each_side_with_the_ends_of_epochs() -> None:
    costs = Costs(before=5.0, steps=((0.5, 0.1), (1.0, 0.4)), epoch_end=2.0, finish=7.0)
    plan = StepPlan.of(100, epoch_steps=40)
    three_quarters = 0.1 + 0.3 * (0.75**2 - 0.25) / 0.75
    steps = 30 * 0.1 + 35 * three_quarters + 35 * 0.4
    assert costs.seconds(plan, sides=SIDES) == pytest.approx(5 + steps + 3 * 2 + 7)
    assert costs.seconds(plan, sides=SIDES, since=80) == pytest.approx(20 * 0.4 + 2 + 7)
    assert costs.seconds(StepPlan.of(0, epoch_steps=40)) == 12.0
