"""What a user reads of a plan that changes: one line an epoch, of changes that matter; the checkpoint has them all."""

from __future__ import annotations

from torch import nn

from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.loop.pace import Pace
from convscope.training.loop.state import new_state
from convscope.training.timing.costs import Costs, Sides
from convscope.training.timing.pacer import Pacer
from convscope.training.timing.step_plan import StepPlan
from resolved_recipes import resolved_with


class Scripted(Pacer):
    """A pacer with the number of steps that a test gives for a step."""

    def __init__(self, steps: dict[int, int]) -> None:
        costs = Costs(steps=((1.0, 1.0),), epoch_end=0.0, finish=0.0)
        super().__init__(costs=costs, sides=Sides(), clock=lambda: 0.0, deadline=1e9)
        self.steps = steps
        self.at = 0

    def within_epoch(self, plan: StepPlan, step: int) -> int:
        self.at = step
        return self.steps.get(step, plan.steps)

    @property
    def reason(self) -> str:
        return f"as of step {self.at}"

    between_epochs = within_epoch


def test_small_changes_are_recorded_and_one_line_an_epoch_is_said() -> None:
    state = new_state(nn.Linear(2, 2), resolved_with(classes=2, epochs=10))
    state.plan = StepPlan.of(1000, epoch_steps=100)
    lines: list[str] = []
    changes = {30: 900, 60: 880, 100: 860, 150: 862, 200: 858, 250: 900, 260: 861, 350: 880, 400: 900}
    pace = Pace(state, Scripted(changes), ProcessGroup(), lines.append)
    for epoch in range(1, 6):
        for step in range((epoch - 1) * 100, epoch * 100):
            pace.before_step(step)
        state.epoch = epoch
        pace.between_epochs()
    # Each with the reason of the largest change in its direction.
    assert lines == [
        "planned again after step 100: 860 steps, not 1,000: as of step 30",
        "planned again after step 400: 900 steps, not 860: as of step 250",
    ]
    assert state.reasons == {step: f"as of step {step}" for step in changes}
    assert [piece.at for piece in state.planned.pieces] == [0, *changes]


def test_a_plan_that_ends_within_the_last_epoch_is_said_as_of_its_end() -> None:
    state = new_state(nn.Linear(2, 2), resolved_with(classes=2, epochs=3))
    state.plan = StepPlan.of(300, epoch_steps=100)
    lines: list[str] = []
    pace = Pace(state, Scripted({250: 280}), ProcessGroup(), lines.append)
    for step in range(200, 280):
        pace.before_step(step)
    state.epoch = 3
    pace.between_epochs()
    assert lines == ["planned again after step 280: 280 steps, not 300: as of step 250"]
