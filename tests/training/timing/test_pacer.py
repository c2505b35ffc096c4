"""The pacer on a machine that is simulated: its clock, the seconds of each step, and what slows it down."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import pytest

from convscope.training.timing.costs import Costs, Sides
from convscope.training.timing.pacer import MARGIN, Pacer, most_steps_within
from convscope.training.timing.step_plan import StepPlan

GROWING = Sides(parts=((0.0, 0.5), (0.2, 0.625), (0.4, 0.75), (0.65, 1.0)))
# The ordinary tests draw a few machines, the longer proofs thousands.
CASES = pytest.mark.parametrize("cases", [40, pytest.param(4000, marks=pytest.mark.long)])


@dataclass
class Machine:
    """A machine whose work takes `factors[k]` times as long as measured from second `times[k]` on."""

    costs: Costs
    changes: list[tuple[float, float]] = field(default_factory=list)
    stalls: list[tuple[float, float]] = field(default_factory=list)
    noise: random.Random | None = None
    validation: float = 1.0  # how long the end of an epoch takes, of what was measured
    tick: float = 0.0  # seconds between two values of its clock
    now: float = 0.0

    def clock(self) -> float:
        return self.now // self.tick * self.tick if self.tick else self.now

    def factor(self) -> float:
        return next((factor for since, factor in reversed(self.changes) if self.now >= since), 1.0)

    def work(self, seconds: float) -> None:
        seconds *= self.factor() * (1.0 if self.noise is None else self.noise.uniform(0.9, 1.1))
        before, self.now = self.now, self.now + seconds
        for at, lost in self.stalls:
            if before <= at < self.now:
                self.now += lost


@dataclass
class Simulated:
    """A training that was simulated: when it ended, by which plan, and how often that was changed."""

    seconds: float
    plan: StepPlan
    changes: int


def simulated(machine: Machine, *, budget: float, epoch_steps: int, sides: Sides, most: int | None = None) -> Simulated:
    """Train on a simulated machine as the loop does, from the plan that fits to the end of the command."""
    costs = machine.costs
    steps = most_steps_within(
        budget * (1 - MARGIN),
        lambda steps: costs.seconds(StepPlan.of(steps, epoch_steps=epoch_steps), sides=sides),
        least=1,
        most=most,
    )
    plan = StepPlan.of(steps, epoch_steps=epoch_steps)
    machine.now += costs.before
    pacer = Pacer(costs=costs, sides=sides, deadline=budget, budget=budget, most_steps=most, clock=machine.clock)
    changes = epoch = 0

    def replanned(steps: int, at: int) -> StepPlan:
        nonlocal changes
        changes += steps != plan.steps
        return plan.replanned(at=at, steps=steps) if steps != plan.steps else plan

    while epoch < plan.epochs:
        pacer.epoch_began()
        number = 0
        while number < plan.steps_of(epoch):
            step = epoch * epoch_steps + number
            plan = replanned(pacer.within_epoch(plan, step), step)
            machine.work(costs.step(sides.at(plan.place(step) / plan.schedule_steps)))
            pacer.step_ended(plan, step)
            number += 1
        machine.work(costs.epoch_end * machine.validation)
        pacer.epoch_ended()
        epoch += 1
        if epoch < plan.epochs:
            plan = replanned(pacer.between_epochs(plan, epoch * epoch_steps), epoch * epoch_steps)
    machine.work(costs.finish)
    return Simulated(machine.now, plan, changes)


def drawn(rng: random.Random) -> tuple[Costs, float, int, Sides]:
    """Return costs, a budget that holds some steps, the steps of an epoch, and sides."""
    budget = 60.0 * 10 ** rng.uniform(0, 1)
    step = budget * 10 ** rng.uniform(-3, -1.8)
    epoch_steps = max(1, round(budget * rng.uniform(0.02, 0.5) / step))
    sides = rng.choice([Sides(), GROWING])
    costs = Costs(
        before=budget * rng.uniform(0, 0.2),
        steps=((0.5, step * rng.uniform(0.2, 0.5)), (1.0, step)),
        epoch_end=budget * rng.uniform(0.0, 0.02),
        finish=budget * rng.uniform(0.005, 0.06),
    )
    return costs, budget, epoch_steps, sides


@CASES
def test_as_measured_it_ends_in_time_and_uses_it(cases: int) -> None:
    rng = random.Random(0)
    for _ in range(cases):
        costs, budget, epoch_steps, sides = drawn(rng)
        found = simulated(Machine(costs, noise=rng), budget=budget, epoch_steps=epoch_steps, sides=sides)
        assert 0.90 * budget <= found.seconds <= budget


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.5])
def test_a_clock_that_shows_no_time_for_most_steps_is_enough(factor: float) -> None:
    costs = Costs(steps=((1.0, 0.004),), epoch_end=0.1, finish=1.0)
    machine = Machine(costs, changes=[(0.0, factor)], tick=1 / 64)
    found = simulated(machine, budget=30.0, epoch_steps=500, sides=Sides())
    assert 0.93 * 30.0 <= found.seconds <= 30.0


def test_a_clock_that_stands_still_goes_on_as_fast_as_it_may() -> None:
    machine = Machine(Costs(steps=((1.0, 0.004),), epoch_end=0.1, finish=1.0), tick=1e6)
    found = simulated(machine, budget=30.0, epoch_steps=500, sides=Sides(), most=9_000)
    assert found.plan.steps == 9_000


@CASES
def test_however_the_machine_changes_it_ends_in_time(cases: int) -> None:
    rng, judged = random.Random(1), 0
    for _ in range(cases):
        costs, budget, epoch_steps, sides = drawn(rng)
        changes = sorted(
            (rng.uniform(0, budget), 10 ** rng.uniform(-0.7, 0.7)) for _ in range(rng.choice([1, 1, 2, 3]))
        )
        machine = Machine(costs, changes=changes, noise=rng)
        found = simulated(machine, budget=budget, epoch_steps=epoch_steps, sides=sides)
        assert found.plan.place(found.plan.steps - 1) == found.plan.schedule_steps - 1
        least = 8 * costs.step(1.0) + 2 * costs.epoch_end + costs.finish
        if all(since + 1.1 * factor * least <= budget for since, factor in changes):
            judged += 1
            assert found.seconds <= 1.02 * budget, (costs, budget, epoch_steps, sides, changes, found)
    assert judged > cases / 4


@CASES
def test_a_validation_that_was_measured_too_slow_makes_no_test_late(cases: int) -> None:
    rng = random.Random(6)
    for _ in range(cases):
        costs, budget, epoch_steps, sides = drawn(rng)
        costs = replace(costs, epoch_end=budget * rng.uniform(0.002, 0.02), finish=budget * rng.uniform(0.05, 0.2))
        machine = Machine(costs, validation=rng.uniform(0.3, 1))
        assert simulated(machine, budget=budget, epoch_steps=epoch_steps, sides=sides).seconds <= budget


@CASES
def test_a_job_that_slows_the_machine_threefold_in_the_middle(cases: int) -> None:
    rng = random.Random(2)
    for _ in range(cases):
        costs, budget, epoch_steps, sides = drawn(rng)
        begins = budget * rng.uniform(0.3, 0.6)
        changes = [(begins, 3.0), (begins + budget * rng.uniform(0.05, 0.3), 1.0)]
        found = simulated(Machine(costs, changes=changes), budget=budget, epoch_steps=epoch_steps, sides=sides)
        assert 0.6 * budget <= found.seconds <= 1.02 * budget


@CASES
def test_a_stall_costs_its_time_and_no_more(cases: int) -> None:
    rng = random.Random(3)
    for _ in range(cases):
        costs, budget, epoch_steps, sides = drawn(rng)
        stalls = [(budget * rng.uniform(0.25, 0.5), budget * rng.uniform(0.01, 0.3))]
        found = simulated(Machine(costs, stalls=stalls), budget=budget, epoch_steps=epoch_steps, sides=sides)
        assert 0.85 * budget <= found.seconds <= 1.02 * budget, (costs, budget, epoch_steps, sides, stalls)


def test_a_machine_that_slept_past_the_deadline_takes_one_more_step_at_the_schedules_end() -> None:
    costs = Costs(steps=((1.0, 0.1),), epoch_end=0.5, finish=1.0)
    machine = Machine(costs, stalls=[(30.0, 3600.0)])
    found = simulated(machine, budget=60.0, epoch_steps=200, sides=Sides())
    assert found.seconds == pytest.approx(3630.0 + 0.1 + 0.5 + 1.0, abs=0.2)
    assert found.plan.place(found.plan.steps - 1) == found.plan.schedule_steps - 1


def test_without_a_deadline_the_plan_stays_and_the_time_left_follows_the_steps() -> None:
    costs = Costs(steps=((1.0, 0.1),), epoch_end=0.5, finish=1.0)
    now = [0.0]
    pacer = Pacer(costs=costs, sides=Sides(), clock=lambda: now[0])
    plan = StepPlan.of(100, epoch_steps=50)
    assert pacer.seconds_left(plan, 0) == pytest.approx(12.0)
    for step in range(20):
        now[0] += 0.2
        pacer.step_ended(plan, step)
        assert pacer.within_epoch(plan, step + 1) == 100
    assert pacer.between_epochs(plan, 50) == 100
    assert pacer.seconds_left(plan, 20) == pytest.approx(80 * 0.2 + 2 * 1.0 + 2.0, rel=0.01)


def test_no_plan_is_longer_than_the_most() -> None:
    costs = Costs(steps=((1.0, 0.01),), epoch_end=0.0, finish=1.0)
    found = simulated(Machine(costs), budget=60.0, epoch_steps=20, sides=Sides(), most=400)
    assert found.plan.steps == 400 and found.changes == 0


def test_the_reason_of_a_change_says_what_took_other_times() -> None:
    """What takes as long as it was measured is not named."""
    costs = Costs(steps=((1.0, 0.5),), epoch_end=0.2, finish=1.0)
    plan = StepPlan.of(80, epoch_steps=8)

    def after_an_epoch(machine: Machine, of_end: float = 1.0) -> tuple[int, str]:
        pacer = Pacer(costs=costs, sides=Sides(), deadline=44.0, budget=44.0, clock=lambda: machine.now)
        pacer.epoch_began()
        for step in range(8):
            machine.work(0.5)
            pacer.step_ended(plan, step)
        machine.work(0.2 * of_end)
        pacer.epoch_ended()
        return pacer.between_epochs(plan, 8), pacer.reason

    steps, reason = after_an_epoch(Machine(costs))
    assert (steps, reason.split(";")[1:]) == (80, [])
    steps, reason = after_an_epoch(Machine(costs), of_end=20.0)
    assert steps < 80 and "a step" not in reason and "a validation 3.00 times as long as measured" in reason


def test_small_files_that_take_long_do_not_make_the_test_long() -> None:
    now = [0.0]
    # Six validation images: the end of an epoch is its small files, which take ten times as long on a slow file system.
    costs = Costs(steps=((1.0, 0.1),), epoch_end=0.021, finish=1.0)
    pacer = Pacer(costs=costs, sides=Sides(), deadline=60.0, budget=60.0, clock=lambda: now[0])
    plan = StepPlan.of(50, epoch_steps=1)
    for step in range(5):
        pacer.epoch_began()
        for seconds, ended in ((0.1, lambda at=step: pacer.step_ended(plan, at)), (0.21, pacer.epoch_ended)):
            now[0] += seconds
            ended()
    assert pacer.end_ratio == pytest.approx(10.0) and 1.0 <= pacer.seconds_to_finish < 1.5
    # Such ends are expected between all of the epochs that are left.
    assert 45 * (0.1 + 0.2) < pacer.seconds_left(plan, 5) < 45 * (0.1 + 0.22) + 1.5
