"""What a training is going to take, said before its first step: time by its parts, memory and disk."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from convscope.report.short_repr import ShortRepr
from convscope.report.units import byte_size, plural, seconds, whole_tenths
from convscope.training.timing.costs import Costs, Sides
from convscope.training.timing.early_end import earliest_end
from convscope.training.timing.step_plan import StepPlan

# A training beyond this gets faster choices named.
LONG_SECONDS = 3600.0
# A part below this share of the time is not named by itself.
LEAST_NAMED = 0.02
# Why a training may take less than its forecast.
FLAT, BUSY = "validation is flat", "other work on this machine ends"


@dataclass(frozen=True, kw_only=True)
class FasterChoice:
    """A setting with which a training takes less, in the caller's words, and the seconds that it then takes.

    >>> FasterChoice(setting="epochs=5", seconds=1900).text
    'epochs=5 about 31 min 40 s'
    """

    setting: str
    seconds: float

    @property
    def text(self) -> str:
        """The choice in words."""
        return f"{self.setting} about {seconds(self.seconds)}"


@dataclass(frozen=True, kw_only=True, repr=False)
class Forecast(ShortRepr):
    """Seconds of a command from its beginning to its end, and bytes; None where a figure is unknown.

    Args:
        begun: seconds that have passed: the start, decoding, measuring.
        features: of the pass over the images in which features are computed, and of the head that is solved on them.
        steps: of the training's steps.
        epoch_ends: of the validations and checkpoints between epochs.
        finish: of the test with its views, the calibration and the report.
        process_bytes: the most memory that the process takes.
        step_bytes: memory of a step.
        cache_bytes: of the disk: the decoded images in the cache, new or from before.
        run_bytes: of the disk: weights and checkpoints.
        trainings: how many the command has; the seconds are of them all.
        at_once: how many of these run at the same time; memory is of them all.
        earliest: seconds in all where it ends as early as it may, an estimate where other work was on the machine; None
            where it takes its plan in any case.
        earliest_where: what lets it end then: a validation that is flat or does not improve, other work that ends.
        faster: choices that take less, where it takes long.
    """

    begun: float
    features: float = 0.0
    steps: float
    epoch_ends: float
    finish: float
    process_bytes: int | None = None
    step_bytes: int | None = None
    cache_bytes: int = 0
    run_bytes: int = 0
    trainings: int = 1
    at_once: int = 1
    earliest: float | None = None
    earliest_where: tuple[str, ...] = ()
    faster: tuple[FasterChoice, ...] = ()

    def headline(self) -> str:
        """Return the time in all."""
        return self.range_text

    @property
    def seconds(self) -> float:
        """The seconds in all."""
        return self.begun + self.features + self.steps + self.epoch_ends + self.finish

    @property
    def range_text(self) -> str:
        """The seconds in all, from the earliest end on where there is one.

        >>> replace(Forecast(begun=20, steps=80, epoch_ends=1, finish=2), earliest=64.0).range_text
        '1 min 04 s to 1 min 43 s'
        """
        least, most = self._least, whole_tenths(self.seconds)
        return f"{least} to {most}" if least else most

    @property
    def _least(self) -> str:
        """The time of the earliest end; empty where it is shown as that of all, or there is none."""
        least = "" if self.earliest is None else whole_tenths(self.earliest)
        return "" if least == whole_tenths(self.seconds) else least

    @property
    def is_long(self) -> bool:
        """Whether faster choices are named beside it."""
        return self.seconds > LONG_SECONDS

    @property
    def text(self) -> str:
        """The forecast as a line.

        >>> found = Forecast(begun=20, steps=250, epoch_ends=1, finish=19, run_bytes=57_000_000)
        >>> found.text
        'about 4 min 50 s: so far 20.0 s, steps 4 min 10 s, test and report 19.0 s; disk 57.00 MB'
        >>> replace(found, earliest=190.0, earliest_where=(FLAT,)).text[:71]
        'about 4 min 50 s, or less where validation is flat, 3 min 10 s at least'
        >>> replace(found, earliest=190.0, earliest_where=(BUSY,)).text[:68]
        'about 4 min 50 s, or about 3 min 10 s where other work on this machi'
        >>> found.of_several([1.0, 1.0, 1.0], at_once=2).text[:65]
        'about 9 min 20 s for 3 trainings, 2 at once: so far 20.0 s, steps'
        """
        parts = {
            "so far": self.begun,
            "features and head": self.features,
            "steps": self.steps,
            "validation and checkpoints": self.epoch_ends,
            "test and report": self.finish,
        }
        named = [f"{name} {whole_tenths(took)}" for name, took in parts.items() if took >= LEAST_NAMED * self.seconds]
        of = f" for {plural(self.trainings, 'training')}" if self.trainings > 1 else ""
        together = f", {self.at_once} at once" if self.at_once > 1 else ""
        said = [f"about {whole_tenths(self.seconds)}{of}{together}{self._early_text}: {', '.join(named)}"]
        if self.step_bytes is not None:
            of_step = f"{byte_size(self.step_bytes)} {'for steps at once' if self.at_once > 1 else 'a step'}"
            whole = "" if self.process_bytes is None else f"about {byte_size(self.process_bytes)}, "
            said.append(f"memory {whole}{of_step}")
        cached = f", {byte_size(self.cache_bytes)} of them decoded images" if self.cache_bytes else ""
        said.append(f"disk {byte_size(self.run_bytes + self.cache_bytes)}{cached}")
        return "; ".join(said)

    @property
    def _early_text(self) -> str:
        """The earliest end; what it is without the other work on the machine is an estimate."""
        if not self._least:
            return ""
        where = " and ".join(self.earliest_where)
        if BUSY in self.earliest_where:
            return f", or about {self._least} where {where}"
        return f", or less where {where}, {self._least} at least"

    @property
    def lines(self) -> tuple[str, ...]:
        """The forecast, and what would be faster where it is long."""
        if not (self.is_long and self.faster):
            return (self.text,)
        return self.text, f"over an hour; faster: {', '.join(choice.text for choice in self.faster)}"

    def of_several(self, lengths: Sequence[float], *, at_once: int = 1) -> Forecast:
        """Return the forecast of several trainings, each of a length as a multiple of this one's; begun is once.

        The earliest end is that of all.

        >>> one = Forecast(begun=3, steps=10, epoch_ends=1, finish=1, run_bytes=5)
        >>> three = one.of_several([1.0, 0.5, 1.0], at_once=2)
        >>> three.seconds, three.steps, three.run_bytes
        (21.0, 15.0, 15)
        """
        workers = [0.0] * max(1, at_once)
        for length in lengths:
            heapq.heapreplace(workers, workers[0] + length)
        times = max(workers)
        return replace(
            self,
            features=self.features * times,
            steps=self.steps * times,
            epoch_ends=self.epoch_ends * times,
            finish=self.finish * times,
            process_bytes=self.process_bytes if at_once == 1 else None,
            step_bytes=None if self.step_bytes is None else self.step_bytes * at_once,
            run_bytes=self.run_bytes * len(lengths),
            trainings=len(lengths),
            at_once=at_once,
            earliest=None if self.earliest is None else self.begun + times * (self.earliest - self.begun),
        )

    def with_end(self, seconds: float, *, of_time_alone: float) -> Forecast:
        """Return the forecast with more to do at its end; without other work that takes `of_time_alone` times as long.

        >>> replace(Forecast(begun=3, steps=10, epoch_ends=1, finish=1), earliest=9.0).with_end(4, of_time_alone=0.5)
        <Forecast 11.0 s to 19.0 s>
        """
        earliest = None if self.earliest is None else self.earliest + of_time_alone * seconds
        return replace(self, finish=self.finish + seconds, earliest=earliest)

    def to_dict(self) -> dict[str, Any]:
        """Return the forecast as JSON has it."""
        return {
            "seconds": round(self.seconds, 3),
            "begun": round(self.begun, 3),
            "features": round(self.features, 3),
            "steps": round(self.steps, 3),
            "epoch_ends": round(self.epoch_ends, 3),
            "finish": round(self.finish, 3),
            "process_bytes": self.process_bytes,
            "step_bytes": self.step_bytes,
            "cache_bytes": self.cache_bytes,
            "run_bytes": self.run_bytes,
            "trainings": self.trainings,
            "at_once": self.at_once,
            "earliest": None if self.earliest is None else round(self.earliest, 3),
            "earliest_where": list(self.earliest_where),
        }


def forecast_of(
    costs: Costs,
    plan: StepPlan,
    sides: Sides,
    *,
    begun: float,
    since: int = 0,
    ends_early: bool = False,
    patience: int = 0,
    best_epoch: int = 1,
    process_bytes: int | None = None,
    step_bytes: int | None = None,
    cache_bytes: int = 0,
    run_bytes: int = 0,
) -> Forecast:
    """Return the forecast of what is left of a plan from step `since` on, which is that of an epoch.

    `ends_early` says whether the training may end early where its validation is flat; `patience`, after how many epochs
    without a better validation than that of `best_epoch` it stops, if not 0. It may also take less where other work was
    on the machine while the costs were measured, and ends.

    >>> costs = Costs(before=3.0, steps=((1.0, 0.5),), epoch_end=1.0, finish=2.0)
    >>> found = forecast_of(costs, StepPlan.of(10, epoch_steps=4), Sides(), begun=4.0)
    >>> found.begun, found.features, found.steps, found.epoch_ends, found.finish
    (4.0, 3.0, 5.0, 3.0, 2.0)
    >>> left = forecast_of(costs, StepPlan.of(10, epoch_steps=4), Sides(), begun=4.0, since=8)
    >>> left.begun, left.features, left.steps, left.epoch_ends, left.finish
    (4.0, 0.0, 1.0, 1.0, 2.0)
    >>> forecast_of(replace(costs, of_time_alone=0.5), StepPlan.of(10, epoch_steps=4), Sides(), begun=4.0).range_text
    '10.5 s to 17.0 s'
    """
    found = Forecast(
        begun=begun,
        features=0.0 if since else costs.before,
        steps=sum(count * costs.step(side) for side, count in sides.counts(plan, since=since)),
        epoch_ends=max(0, plan.epochs - since // plan.epoch_steps) * costs.epoch_end,
        finish=costs.finish,
        process_bytes=process_bytes,
        step_bytes=step_bytes,
        cache_bytes=cache_bytes,
        run_bytes=run_bytes,
    )
    ends = {found.seconds - begun: ""}
    if ends_early and (shorter := earliest_end(plan, since=since)) is not None:
        ends[costs.seconds(shorter, sides=sides, since=since)] = FLAT
    # A run whose patience is over already trains no more.
    stopped = max(since // plan.epoch_steps, best_epoch + patience)
    if patience and stopped < plan.epochs:
        rest = costs.seconds(plan, sides=sides, since=stopped * plan.epoch_steps) - costs.finish
        ends[found.seconds - begun - rest] = f"validation does not improve for {plural(patience, 'epoch')}"
    left, busy = min(ends), costs.of_time_alone < 1
    where = tuple(filter(None, (ends[left], BUSY if busy else "")))
    return replace(found, earliest=begun + costs.of_time_alone * left, earliest_where=where) if where else found
