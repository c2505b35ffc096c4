"""The pacer: keeps a training within its time by planning the rest of its steps again as they turn out.

In training it reads Python's monotonic clock, so a change of the machine's date has no effect; on Linux and macOS the
clock stands still while the machine is suspended, so that time is not counted. It depends on seconds and steps alone:
the loop calls it when a step or an epoch has ended, and takes the plan that is returned.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable

from convscope.report.units import whole_tenths
from convscope.training.timing.costs import Costs, Sides
from convscope.training.timing.rates import END_SECONDS
from convscope.training.timing.step_plan import StepPlan

# The share of the budget that is left unplanned, for what no measurement foresees.
MARGIN = 0.015
# A plan is changed between two epochs where it would end late or early by more than this share of the budget, plus
# DOUBT of what is left: a forecast is less exact the further it reaches.
LATE, EARLY = 0.005, 0.015
DOUBT = 0.1
# The last epoch has no end that comes in time: within it a plan is made longer from this share of the budget on.
EARLY_IN_LAST = 0.05
# Within an epoch a plan that would end late is made shorter without a tolerance: with one, a machine that slows down
# near the end takes more than the budget (`tests/training/timing/test_pacer.py` simulates such machines).
# Within an epoch nothing is changed where its end comes within this share of the time until the deadline.
END_IS_NEAR = 0.1
# Within an epoch the time is looked at again after this share of what is left, and steps are averaged over this one.
LOOK_AGAIN, WINDOW = 0.01, 0.1
# Steps in the average, at least: missing ones count as they were measured before the first step. And those kept.
FEWEST, KEPT = 4, 512
# A step that takes longer than this multiple of the median is a stall, and counts in the average as that multiple.
STALL = 3.0
# A step is never expected to take less than this share of what was measured, whatever the clock shows: before Python
# 3.13, Windows' advances every 16 ms, and shows no time for most steps that are shorter.
LEAST_OF_STEP = 1e-3
# What comes after the last step is never expected to take less than this share of what was measured before the first.
LEAST_OF_FINISH = 0.5
# The end of an epoch is never expected to be faster than steps by more than this: the speed may have changed within it.
LEAST_OF_END = 0.8
# More steps than this are never planned.
MOST_PLANNED = 10**9


class Pacer:
    """Corrects the costs by the steps and epochs that end, and plans the steps that are left within the time.

    Args:
        costs: as measured before the first step; `before` is over.
        sides: progressive resizing.
        clock: returns seconds, and never goes back.
        deadline: when the command must have ended, on `clock`; None: the plan stays as it is.
        budget: the seconds that the command was given in all.
        most_steps: no plan is made longer than this; None: as the time allows.
        ends_early: whether the training may end early where its validation is flat.
    """

    def __init__(
        self,
        *,
        costs: Costs,
        sides: Sides,
        clock: Callable[[], float],
        deadline: float | None = None,
        budget: float = 0.0,
        most_steps: int | None = None,
        ends_early: bool = False,
    ) -> None:
        self._costs = costs
        self._sides = sides
        self._deadline = deadline
        self._budget = budget
        self.most_steps = most_steps
        self.ends_early = ends_early
        self._clock = clock
        self._mark = clock()
        self._look_at = self._mark
        self._left = budget
        self._side = 0.0
        self._ratios: deque[tuple[float, float]] = deque(maxlen=KEPT)
        self._ends: deque[float] = deque(maxlen=3)
        # What steps and the ends of epochs take, as multiples of what was measured before; of the ends, beyond that.
        self.step_ratio = 1.0
        self.end_ratio = 1.0
        # By how many seconds the plan would have missed its aim when it was looked at last; below 0: ended before it.
        self._late = 0.0

    def end_after(self, steps: int) -> None:
        """Make no later plan longer than this: the training ends early, once."""
        self.most_steps = steps
        self.ends_early = False

    @property
    def decides(self) -> bool:
        """Whether the plan may be changed: whether there is a deadline."""
        return self._deadline is not None

    def leave_out(self, seconds: float) -> None:
        """Leave out seconds in which the training was paused: they count neither for a step nor for the budget."""
        self._mark += seconds
        self._look_at += seconds
        if self._deadline is not None:
            self._deadline += seconds

    def epoch_began(self) -> None:
        """Count the time of the next step from now on; that until now belongs to the end of the epoch before."""
        seconds = self._since_mark()
        if self._ends:
            self._ends[-1] += seconds / (self._costs.epoch_end * self.step_ratio)

    def step_ended(self, plan: StepPlan, step: int) -> None:
        """Observe what a step took, with the wait for its images."""
        seconds = self._since_mark()
        side = self._sides.at(plan.place(step) / max(1, plan.schedule_steps))
        if side != self._side:
            # The first step of a size sets its convolutions up.
            self._side = side
            return
        self._ratios.append((seconds / max(self._costs.step(side), 1e-9), seconds))

    def epoch_ended(self) -> None:
        """Observe what the end of an epoch took: its validation, and what was written."""
        seconds = self._since_mark()
        self._update_ratio()
        if self._costs.epoch_end > 0:
            self._ends.append(seconds / (self._costs.epoch_end * self.step_ratio))
            # A stall is seen as one when the next end has none: until then it counts as little as a stall of steps.
            found = min(STALL, *self._ends) if len(self._ends) < 3 else statistics.median(self._ends)
            self.end_ratio = max(LEAST_OF_END, found)

    def seconds_left(self, plan: StepPlan, step: int) -> float:
        """Return the seconds from step `step` to the end of the command, by what was observed."""
        corrected = Costs(
            steps=tuple((side, seconds * self.step_ratio) for side, seconds in self._costs.steps),
            epoch_end=self._costs.epoch_end * self.end_ratio * self.step_ratio,
            finish=self.seconds_to_finish,
        )
        return corrected.seconds(plan, sides=self._sides, since=step)

    @property
    def seconds_to_finish(self) -> float:
        """The seconds of the test and the report, by what was observed.

        Where the end of an epoch is mostly small files, what it takes is no measure of the test. A validation of few
        images that was faster than measured says little of a test in many views either, and no time is left to correct
        it: alone it makes them no shorter.
        """
        return self._costs.finish * self._finish_ratio

    @property
    def seconds_to_report(self) -> float:
        """Of the seconds to finish, those that are the same whatever the views of the test."""
        return self._costs.report * self._finish_ratio

    @property
    def _finish_ratio(self) -> float:
        of_images = 1 - min(1.0, END_SECONDS / self._costs.epoch_end) if self._costs.epoch_end else 0.0
        of_end = 1 + (max(1.0, self.end_ratio) - 1) * of_images
        return max(LEAST_OF_FINISH, of_end * self.step_ratio)

    def within_epoch(self, plan: StepPlan, step: int) -> int:
        """Return how many steps the training has before step `step` is taken: fewer where the time would run out."""
        now = self._clock()
        if now < self._look_at:
            return plan.steps
        self._update_ratio()
        self._left = self.seconds_left(plan, step)
        self._look_at = now + LOOK_AGAIN * self._left
        if self._deadline is None:
            return plan.steps
        late = now + self._left - self._deadline
        self._late = late + MARGIN * self._budget
        in_last = step // plan.epoch_steps == plan.epochs - 1
        to_end = plan.epoch_steps - step % plan.epoch_steps
        if not in_last and to_end / (plan.steps - step) * self._left < END_IS_NEAR * (self._deadline - now):
            return plan.steps
        if late > 0 or (in_last and -late > (MARGIN + EARLY_IN_LAST) * self._budget):
            return self._fitting(plan, step, now)
        return plan.steps

    def between_epochs(self, plan: StepPlan, step: int) -> int:
        """Return how many steps the training has after an epoch has ended before step `step`, and is not the last."""
        now = self._clock()
        if self._deadline is None:
            return plan.steps
        self._left = self.seconds_left(plan, step)
        late = self._late = now + self._left - (self._deadline - MARGIN * self._budget)
        doubt = DOUBT * self._left
        if -EARLY * self._budget - doubt <= late <= LATE * self._budget + doubt:
            return plan.steps
        return self._fitting(plan, step, now)

    @property
    def reason(self) -> str:
        """Why the plan was changed last: when it would have ended, and what took other times than were measured.

        >>> costs = Costs(steps=((1.0, 0.5),), epoch_end=0.1, finish=1.0)
        >>> pacer = Pacer(costs=costs, sides=Sides(), deadline=10.0, budget=10.0, clock=lambda: 0.0)
        >>> pacer.between_epochs(StepPlan.of(40, epoch_steps=4), 4)
        20
        >>> pacer.reason
        'it would end 10.0 s late'
        """
        ended = f"it would end {whole_tenths(abs(self._late))} {'late' if self._late > 0 else 'early'}"
        of_end = self.step_ratio * self.end_ratio
        ratios = {"a step": self.step_ratio, "a validation": of_end}
        took = [f"{what} {ratio:.2f} times" for what, ratio in ratios.items() if f"{ratio:.2f}" != "1.00"]
        return f"{ended}; {' and '.join(took)} as long as measured" if took else ended

    def _fitting(self, plan: StepPlan, step: int, now: float) -> int:
        """Return the most steps whose end is in time, at least one more."""
        assert self._deadline is not None
        left = self._deadline - MARGIN * self._budget - now
        return most_steps_within(
            left,
            lambda steps: self.seconds_left(plan.replanned(at=step, steps=steps), step),
            least=step + 1,
            most=self.most_steps,
        )

    def _update_ratio(self) -> None:
        """Average the newest steps: over less time the nearer the end is."""
        window, found = WINDOW * self._left, list[float]()
        for ratio, seconds in reversed(self._ratios):
            if len(found) >= FEWEST and window <= 0:
                break
            found.append(ratio)
            window -= seconds
        if found:
            found += [1.0] * (FEWEST - len(found))
            median = statistics.median(found)
            longest = STALL * median if median > 0 else math.inf
            self.step_ratio = max(LEAST_OF_STEP, statistics.fmean(min(ratio, longest) for ratio in found))

    def _since_mark(self) -> float:
        now = self._clock()
        seconds, self._mark = now - self._mark, now
        return max(0.0, seconds)


def most_steps_within(seconds: float, needed: Callable[[int], float], *, least: int, most: int | None = None) -> int:
    """Return the most steps, from `least` to `most`, that do not need more seconds; `least` where none is in time.

    >>> most_steps_within(10.0, lambda steps: 2.0 + 0.5 * steps, least=1)
    16
    """
    high = max(1, least)
    while (most is None or high < most) and needed(high) <= seconds and high < MOST_PLANNED:
        high *= 2
    low, high = least, min(high, MOST_PLANNED if most is None else max(least, most))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if needed(middle) <= seconds else (low, middle - 1)
    return low
