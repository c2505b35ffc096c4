"""The time that a command is given, and the plan of steps that fits into it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from convscope.errors import RunError
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO
from convscope.report.progress import Progress
from convscope.report.units import plural, seconds, whole_tenths
from convscope.report.usage import settings_text
from convscope.scoring.test_time_augmentation import ONE
from convscope.training.timing.costs import Costs, Sides
from convscope.training.timing.pacer import MARGIN, most_steps_within
from convscope.training.timing.step_plan import StepPlan

# Where minutes, epochs and steps are all at auto: a time that a person would wait.
DEFAULT_MINUTES = 10.0
# A budget is not filled with more epochs than this multiple of the usual ones.
MOST_TIMES_USUAL = 3
# Where these take less than this share of the time, the run says that it ends sooner.
NEARLY_ALL = 0.9
MINUTE = 60.0
# A budget that is named as enough has this much more than was measured; one that holds the decoding trains as well.
SPARE, SPARE_TO_TRAIN = 1.1, 1.6
# A number of images that is named as few enough has this share of what would just fit.
LESS = 0.9
# No image size below this is named in place of a larger one.
SMALLEST = 32
# What is named where no other network was timed.
SMALLER_NETWORK = "a smaller network"
# The time of all decoding is extrapolated from at least this much of it.
DECODING_SEEN_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class TimeBudget:
    """The seconds of a command, from when it began on the monotonic clock; `given` where the user named them."""

    seconds: float
    began: float
    given: bool

    @property
    def deadline(self) -> float:
        """When the command must have ended, on the monotonic clock."""
        return self.began + self.seconds

    def later(self, seconds: float) -> TimeBudget:
        """Return the same budget of a command that began later, by seconds in which it was paused."""
        return replace(self, began=self.began + seconds)

    @property
    def text(self) -> str:
        """The budget as a message writes it.

        >>> TimeBudget(seconds=300, began=0, given=True).text
        '5 minutes'
        """
        minutes = self.seconds / MINUTE
        return f"{minutes:g} minute{'' if minutes == 1 else 's'}"


def budget_of(recipe: Recipe, began: float) -> TimeBudget | None:
    """Return the time that a recipe gives its command; None where it has epochs or steps instead.

    >>> budget_of(Recipe(minutes=5), 0.0).seconds, budget_of(Recipe(), 0.0).seconds, budget_of(Recipe(epochs=3), 0.0)
    (300.0, 600.0, None)
    """
    if recipe.minutes != AUTO:
        minutes = float(recipe.minutes)
        return TimeBudget(seconds=minutes * MINUTE, began=began, given=True) if minutes else None
    if (recipe.epochs, recipe.steps) != (AUTO, AUTO):
        return None
    return TimeBudget(seconds=DEFAULT_MINUTES * MINUTE, began=began, given=False)


def refuse_budget(recipe: Recipe) -> None:
    """Raise RunError where a recipe that is not for the training of one network has a time budget.

    >>> refuse_budget(Recipe(minutes=5))
    Traceback (most recent call last):
    ...
    convscope.errors.RunError: minutes 5: only the training of one network has a time budget: give epochs or steps
    """
    if recipe.minutes not in (AUTO, 0):
        given = f"minutes {float(recipe.minutes):g}"
        raise RunError(f"{given}: only the training of one network has a time budget: give epochs or steps")


@dataclass(frozen=True, kw_only=True)
class BudgetPlan:
    """The plan of steps within a budget.

    Args:
        plan: the steps.
        most_steps: no later plan is longer.
        in_time: whether it fits; a default budget may hold less than the one epoch that is trained all the same.
        reason: why it has this number of steps.
    """

    plan: StepPlan
    most_steps: int
    in_time: bool
    reason: str


def plan_within(
    budget: TimeBudget,
    costs: Costs,
    sides: Sides,
    *,
    now: float,
    epoch_steps: int,
    usual_epochs: int,
    half_size: str = "",
    images: int = 0,
    may_be_none: bool = False,
    instead: Callable[[], str] = lambda: SMALLER_NETWORK,
) -> BudgetPlan:
    """Return the plan of as many steps as fit, at most those of the usual epochs or of a multiple of these.

    `images` are those of an epoch and of the validation, for the message; 0: not known. `half_size` is half of the
    images' size as a setting, where the network takes that, for it too; and `instead` returns the setting of a network
    that fits, or "".

    It has none where no epoch fits and there `may_be_none`: what comes before the first step, a solved head, is a
    result too.

    Raises:
        RunError: a budget that was given does not hold one epoch; the message says what would fit.
    """
    left = budget.deadline - MARGIN * budget.seconds - now
    most = round(usual_epochs * epoch_steps * (MOST_TIMES_USUAL if budget.given else 1))

    def needed(steps: int) -> float:
        return costs.seconds(StepPlan.of(steps, epoch_steps=epoch_steps), sides=sides)

    steps = most_steps_within(left, needed, least=0, most=most)  # 0: not even one, which may be a whole epoch
    if steps < epoch_steps and may_be_none and needed(0) <= left:
        reason = f"the head is solved, and no epoch fits after that into {budget.text}"
        return BudgetPlan(plan=StepPlan.of(0, epoch_steps=epoch_steps), most_steps=0, in_time=True, reason=reason)
    if steps < epoch_steps:
        if budget.given:
            raise RunError(
                _too_short(
                    budget,
                    left,
                    needed,
                    epoch_steps=epoch_steps,
                    half_size=half_size,
                    images=images,
                    instead=instead(),
                )
            )
        plan = StepPlan.of(epoch_steps, epoch_steps=epoch_steps)
        takes = seconds(now - budget.began + needed(epoch_steps))
        reason = f"one epoch takes {takes} here, more than the default budget of {budget.text}"
        return BudgetPlan(plan=plan, most_steps=epoch_steps, in_time=False, reason=reason)
    plan = StepPlan.of(steps, epoch_steps=epoch_steps)
    if steps < most:
        part = "" if steps % epoch_steps == 0 else f", {steps / epoch_steps:.1f} epochs"
        reason = f"what fits into {budget.text}{part}"
    else:
        several = f"{MOST_TIMES_USUAL} times the usual ones" if budget.given else "the usual ones"
        reason = f"{several} for this number of images, and they fit into {budget.text}"
        if budget.given and needed(steps) < NEARLY_ALL * left:
            reason += "; more would gain little, so it ends sooner"
    return BudgetPlan(plan=plan, most_steps=most, in_time=True, reason=reason)


def require_time_for_features(budget: TimeBudget, costs: Costs, *, now: float, images: int, views: str) -> None:
    """Raise RunError where a budget that was given does not hold the features of all images, and no epoch follows.

    >>> costs = Costs(before=90, steps=((1, 0),), epoch_end=0, finish=3)
    >>> given = TimeBudget(seconds=60, began=0, given=True)
    >>> require_time_for_features(given, costs, now=2.0, images=9_000, views="one")
    Traceback (most recent call last):
    ...
    convscope.errors.RunError: minutes 1: features and head of 9,000 images take 1 min 30 s, the test and the \
report 3.0 s: give minutes=1.8, or train_images=4800
    """
    left = budget.deadline - MARGIN * budget.seconds - now
    if not budget.given or costs.before + costs.finish <= left:
        return
    fitting = [settings_text(minutes=minutes_for(now - budget.began + costs.before + costs.finish))]
    if few := rounded_down(LESS * images * max(0.0, left - costs.finish) / costs.before) if costs.before else 0:
        fitting.append(settings_text(train_images=few))
    if views != ONE:
        fitting.append(settings_text(head_views=ONE))
    raise RunError(
        f"minutes {budget.seconds / MINUTE:g}: features and head of {plural(images, 'image')} take "
        f"{seconds(costs.before)}, the test and the report {seconds(costs.finish)}: give {', or '.join(fitting)}"
    )


def _too_short(
    budget: TimeBudget,
    left: float,
    needed: Callable[[int], float],
    *,
    epoch_steps: int,
    half_size: str,
    images: int,
    instead: str,
) -> str:
    """Return what an epoch takes, and what would fit: each as a setting."""
    epoch, rest = needed(epoch_steps), needed(0)
    before = budget.deadline - MARGIN * budget.seconds - left - budget.began
    fitting = [settings_text(minutes=minutes_for(before + epoch))]
    part = most_steps_within(left, needed, least=0, most=epoch_steps)
    if part:
        fitting.append(f"{settings_text(steps=part)} (a part of an epoch)")
    if fewer := rounded_down(LESS * images * part / epoch_steps):
        fitting.append(settings_text(train_images=fewer))
    if half_size and rest + (epoch - rest) / 4 <= left:
        fitting.append(settings_text(image_size=half_size))
    if instead and rest < left:  # else the time is over before a step of any network
        fitting.append(instead)
    return (
        f"minutes {budget.seconds / MINUTE:g}: an epoch of {plural(epoch_steps, 'step')} does not fit: start, decoding "
        f"and measuring {whole_tenths(before)}, its steps {whole_tenths(epoch - rest)}, test and report "
        f"{whole_tenths(rest)}; give {', or '.join(fitting)}"
    )


def minutes_for(seconds: float) -> float:
    """Return minutes that hold a command of so long with something to spare, rounded up to a tenth.

    >>> minutes_for(95.0)
    1.8
    """
    return math.ceil(seconds / (1 - MARGIN) / MINUTE * 10 * SPARE) / 10


def rounded_down(images: float) -> int:
    """Return a number of images of two digits and zeros, no larger than another.

    >>> [rounded_down(images) for images in (7.9, 94.0, 1_284.0, 43_210.0)]
    [7, 94, 1200, 43000]
    """
    whole = int(images)
    unit: int = 10 ** max(0, len(str(whole)) - 2)
    return whole // unit * unit


def progress_within(budget: TimeBudget, show: Progress) -> Progress:
    """Return a function that shows the progress of decoding, and raises RunError where there is no time for it."""
    begun: dict[str, float] = {}

    def shown(done: int, total: int, what: str) -> None:
        show(done, total, what)
        now = time.monotonic()
        require_time_to_decode(budget, done=done, total=total, began=begun.setdefault(what, now), now=now)

    return shown


def require_time_to_decode(budget: TimeBudget, *, done: int, total: int, began: float, now: float) -> None:
    """Raise RunError where a budget that was given ends before all images are decoded, as the first of them took.

    >>> given = TimeBudget(seconds=30, began=0, given=True)
    >>> require_time_to_decode(given, done=1_000, total=50_000, began=1.0, now=3.0)
    Traceback (most recent call last):
    ...
    convscope.errors.RunError: minutes 0.5: decoding 50,000 images takes about 1 min 40 s: give minutes=2.7, ...
    """
    if not budget.given or now - began < DECODING_SEEN_SECONDS or not done:
        return
    whole = (now - began) / done * total
    if began + whole > budget.deadline:
        enough = math.ceil((began - budget.began + whole) * SPARE_TO_TRAIN / MINUTE * 10) / 10
        asked = f"minutes {budget.seconds / MINUTE:g}"
        few = rounded_down(LESS * total * (budget.deadline - began) / (SPARE_TO_TRAIN * whole))
        fewer = f"{settings_text(train_images=few)}, " if few else ""
        raise RunError(
            f"{asked}: decoding {plural(total, 'image')} takes about {seconds(whole)}: give "
            f"{settings_text(minutes=enough)}, {fewer}or {settings_text(stream='yes')}, which decodes them as it trains"
        )
