"""The plan that fits into minutes, what is refused, and the early end."""

from __future__ import annotations

import pytest

from convscope.errors import RunError
from convscope.training.timing.costs import Costs, Sides
from convscope.training.timing.early_end import steps_with_rest
from convscope.training.timing.step_plan import StepPlan
from convscope.training.timing.time_budget import TimeBudget, plan_within, progress_within

COSTS = Costs(steps=((1.0, 0.1),), epoch_end=1.0, finish=3.0)


def _planned(
    minutes: float, *, given: bool = True, now: float = 5.0, usual: int = 10, costs: Costs = COSTS
) -> tuple[int, str]:
    budget = TimeBudget(seconds=60 * minutes, began=0.0, given=given)
    found = plan_within(budget, costs, Sides(), now=now, epoch_steps=100, usual_epochs=usual, half_size="32")
    return found.plan.steps, found.reason


def test_as_many_steps_as_fit_and_at_most_three_times_the_usual() -> None:
    # Of 60 s, 0.9 stay free and 5 are over; 3 finish. Five epochs end within the others, 10.1 s each.
    steps, reason = _planned(1)
    assert steps == 461 and reason == "what fits into 1 minute, 4.6 epochs"
    usual = "3 times the usual ones for this number of images, and they fit into"
    assert _planned(30) == (3000, f"{usual} 30 minutes; more would gain little, so it ends sooner")
    assert _planned(6) == (3000, f"{usual} 6 minutes")
    assert _planned(10, given=False) == (1000, "the usual ones for this number of images, and they fit into 10 minutes")
    assert _planned(10, given=False, usual=100)[0] == 5300


def test_what_does_not_hold_an_epoch_is_refused_with_what_does() -> None:
    with pytest.raises(RunError) as caught:
        _planned(0.2)
    assert str(caught.value) == (
        "minutes 0.2: an epoch of 100 steps does not fit: start, decoding and measuring 5.0 s, its steps 11.0 s, test "
        "and report 3.0 s; give minutes=0.4, or steps=28 (a part of an epoch), or image_size='32', or a smaller network"
    )
    # The time is over before a step of any network.
    with pytest.raises(RunError, match=r"give minutes=0.4$"):
        _planned(0.12)
    steps, reason = _planned(10, given=False, costs=COSTS.times(100))
    assert steps == 100 and reason.startswith(
        "one epoch takes 16 min 49 s here, more than the default budget of 10 minutes"
    )


def test_an_epoch_of_one_step_that_does_not_fit_is_refused_like_a_longer_one() -> None:
    costs = Costs(steps=((1.0, 0.1),), epoch_end=0.1, finish=3.0)
    sides, few = Sides(), {"epoch_steps": 1, "usual_epochs": 10}
    for now in (10.0, 13.0):  # there is time for less than the test; the time is over
        with pytest.raises(RunError, match=r"an epoch of 1 step does not fit: .*; give minutes="):
            plan_within(TimeBudget(seconds=12, began=0.0, given=True), costs, sides, now=now, **few)
    late = plan_within(TimeBudget(seconds=12, began=0.0, given=False), costs, sides, now=13.0, **few)
    assert (late.plan.steps, late.in_time) == (1, False)
    in_time = plan_within(TimeBudget(seconds=12, began=0.0, given=True), costs, sides, now=8.0, **few)
    assert (in_time.plan.steps, in_time.in_time) == (4, True)


def test_decoding_that_takes_longer_than_there_is_ends_before_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    now, shown = [0.0], list[int]()
    monkeypatch.setattr("convscope.training.timing.time_budget.time.monotonic", lambda: now[0])
    show = progress_within(TimeBudget(seconds=30, began=0.0, given=True), lambda done, total, what: shown.append(done))
    show(1, 1000, "decoding")
    now[0] = 1.0
    show(20, 1000, "decoding")  # too early to say
    now[0] = 3.0
    with pytest.raises(
        RunError, match=r"decoding 1,000 images takes about 50.0 s: give minutes=1.4, train_images=330, or stream"
    ):
        show(60, 1000, "decoding")
    assert shown == [1, 20, 60]


def test_a_flat_validation_ends_early_and_only_then() -> None:
    plan = StepPlan.of(1200, epoch_steps=10)
    risen = [min(0.9, 0.03 * epoch) for epoch in range(73)]
    assert steps_with_rest(plan, 73, risen, images=200) == 913
    # Before half of the schedule, not flat for long enough, with an epoch of one image more, without validation, and
    # at the end.
    assert steps_with_rest(plan, 59, [0.1] * 59, images=200) is None
    assert steps_with_rest(plan, 72, risen[:-1], images=200) is None
    assert steps_with_rest(plan, 73, [*risen[:-1], 0.91], images=200) is None
    assert steps_with_rest(plan, 73, [None] * 73, images=200) is None
    assert steps_with_rest(plan, 110, [0.9] * 110, images=200) is None
