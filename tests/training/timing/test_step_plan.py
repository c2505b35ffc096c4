"""The plan of steps: one piece is the steps' own numbers; any changes of it go on to the schedule's end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError
from convscope.training.timing.costs import Costs, Sides
from convscope.training.timing.step_plan import StepPlan

SIDES = Sides(parts=((0.0, 0.5), (0.3, 0.75), (0.65, 1.0)))


@given(steps=st.integers(1, 400), epoch_steps=st.integers(1, 50), data=st.data())
def test_any_changes_are_monotone_and_end_at_the_schedules_end(
    steps: int, epoch_steps: int, data: st.DataObject
) -> None:
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
    assert all(place <= following for place, following in pairwise(places))
    assert StepPlan.from_fields(Fields.of(plan.to_dict())) == plan
    assert sum(plan.steps_of(epoch) for epoch in range(plan.epochs)) == plan.steps
    for share in (0.0, 0.3, 0.65, 1.0):
        found = plan.first_from(share * steps)
        assert [place >= share * steps for place in places] == [step >= found for step in range(plan.steps)]
    since = data.draw(st.integers(0, plan.steps))
    assert sum(count for _, count in SIDES.counts(plan, since=since)) == plan.steps - since


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
