"""What the parts of a training cost on this machine, in seconds.

`Costs` is filled by measuring before the first step, is read by the forecast, and is corrected by the pacer from the
times that the steps and the validation really take.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from convscope.training.timing.step_plan import StepPlan


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Progressive resizing as a plan has it: from which share of the schedule on images have which side.

    Args:
        parts: (share of the schedule from which it holds, side as a share of the full one), in order; the first is
            from 0, and the last has the full side.
    """

    parts: tuple[tuple[float, float], ...] = ((0.0, 1.0),)

    def at(self, share: float) -> float:
        """Return the side after a share (0 to 1) of the schedule.

        >>> Sides(parts=((0.0, 0.5), (0.6, 1.0))).at(0.5)
        0.5
        """
        return next(side for since, side in reversed(self.parts) if share >= since or not since)

    def counts(self, plan: StepPlan, *, since: int = 0) -> Iterator[tuple[float, int]]:
        """Yield (side, how many of the plan's steps have it) of the steps from `since` on.

        >>> sides = Sides(parts=((0.0, 0.5), (0.6, 1.0)))
        >>> list(sides.counts(StepPlan.of(10, epoch_steps=4), since=2))
        [(0.5, 4), (1.0, 4)]
        """
        for within in plan.rising:
            starts = [plan.first_from(share * plan.schedule_steps, within=within) for share, _ in self.parts]
            for (_, side), (start, end) in zip(self.parts, pairwise([*starts, within[1]]), strict=True):
                if (count := end - max(start, since)) > 0:
                    yield side, count


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds of a training's parts on this machine.

    Args:
        before: from when this was measured until the first step: what is still to be decoded or measured.
        steps: (side of the images as a share of the full one, seconds of a step), by side; the last side is 1. A side
            between two of them, or below the first, is taken in proportion to the pixels.
        epoch_end: between two epochs: the validation, and the checkpoint.
        finish: after the last epoch: the best weights, the test with its views, the calibration, the report.
        report: of these, what is the same whatever the views: the weights and the report.
        of_time_alone: how many times as long everything takes without the other work that was on the machine when it
            was measured, at most 1.

    >>> costs = Costs(before=3.0, steps=((0.5, 0.25), (1.0, 1.0)), epoch_end=1.0, finish=2.0)
    >>> costs.step(1.0), costs.step(0.5), costs.step(0.75)
    (1.0, 0.25, 0.5625)
    >>> costs.seconds(StepPlan.of(10, epoch_steps=4))
    18.0
    """

    before: float = 0.0
    steps: tuple[tuple[float, float], ...]
    epoch_end: float
    finish: float
    report: float = 0.0
    of_time_alone: float = 1.0

    def __post_init__(self) -> None:
        assert self.steps and self.steps[-1][0] == 1.0 and list(self.steps) == sorted(self.steps)

    def step(self, side: float) -> float:
        """Return the seconds of a step whose images have this share of the full side."""
        first_side, first = self.steps[0]
        if side <= first_side:
            return first * (side / first_side) ** 2
        for (small, less), (large, more) in pairwise(self.steps):
            if side <= large:
                part = (side**2 - small**2) / (large**2 - small**2)
                return less + part * (more - less)
        return self.steps[-1][1]

    def times(self, factor: float) -> Costs:
        """Return the costs with the seconds of a step multiplied by `factor`."""
        return replace(self, steps=tuple((side, seconds * factor) for side, seconds in self.steps))

    def of_pixels(self, share: float) -> Costs:
        """Return about what images of this share of the pixels cost: convolutions take as much less.

        >>> Costs(steps=((1.0, 1.0),), epoch_end=0.4, finish=2.0).of_pixels(0.25)
        Costs(before=0.0, steps=((1.0, 0.25),), epoch_end=0.1, finish=0.5, report=0.0, of_time_alone=1.0)
        """
        return replace(self.times(share), epoch_end=self.epoch_end * share, finish=self.finish * share)

    def seconds(self, plan: StepPlan, *, sides: Sides | None = None, since: int = 0) -> float:
        """Return the seconds from step `since` to the end of the command; with `before` where that is the first one.

        `since` between two epochs is after the validation of the first of them.
        """
        sides = sides or Sides()
        steps = sum(count * self.step(side) for side, count in sides.counts(plan, since=since))
        ends = max(0, plan.epochs - since // plan.epoch_steps)
        return (self.before if since == 0 else 0.0) + steps + ends * self.epoch_end + self.finish
