"""What was measured and what was taken: plain records, with a JSON form and a form for the reader."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any, cast

from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError
from convscope.hardware.mode import Compile, ComputeMode, MemoryFormat, Precision
from convscope.hardware.run_queue import CoreWait
from convscope.recipe.recipe import choices
from convscope.recipe.setting import AUTO
from convscope.report.short_repr import ShortRepr
from convscope.report.units import percent, times
from convscope.training.autotune.kept import KeptFolder

PLANS = KeptFolder(name="plans", content="plan", format=4, largest=1_000_000)


@dataclass(frozen=True, kw_only=True, repr=False)
class ModeTrial(ShortRepr):
    """A few training steps in one mode.

    Args:
        mode: how they were computed.
        images: in each of them.
        images_per_second: by the median step; 0 where the mode did not run.
        spread: the slowest step's time above the fastest one's, as a share of the median: how busy the machine was.
        first_step: seconds of the first step, which compiles and takes memory; it is in no other figure.
        losses: of the first steps, from the same weights on the same images in every mode; none where not finite.
        dropped: why the mode can't be taken; "" where it can.
        fastest_step: seconds of the fastest step after the first; 0 where the mode did not run.
        waited: the share of the time in which its slowest thread waited for a core that other work had.
    """

    mode: ComputeMode
    images: int
    images_per_second: float
    spread: float
    first_step: float
    losses: tuple[float, ...]
    dropped: str = ""
    fastest_step: float = 0.0
    waited: float = 0.0

    @property
    def seconds_alone(self) -> float:
        """Seconds of a step on this machine without other work, by the fastest one where there was other work."""
        wait = CoreWait(self.waited)
        return self.fastest_step * wait.of_time_alone if wait.is_busy else self.images / self.images_per_second


@dataclass(frozen=True, kw_only=True)
class ComputePlan:
    """The mode that was taken, and all that were tried: fp32, contiguous, not compiled ("plain") first.

    Args:
        mode: what is taken.
        trials: every mode that was tried, in order.
        stopped: whether there was no time to try the rest.
    """

    mode: ComputeMode
    trials: tuple[ModeTrial, ...]
    stopped: bool = False

    @property
    def plain(self) -> ModeTrial:
        """The trial that others are compared with."""
        return self.trials[0]

    @property
    def chosen(self) -> ModeTrial:
        """The trial of the mode that was taken."""
        return next(trial for trial in self.trials if trial.mode == self.mode)

    @property
    def gain(self) -> float:
        """How many times as many images a second as plain fp32."""
        return self.chosen.images_per_second / self.plain.images_per_second

    @property
    def noisy(self) -> bool:
        """Whether the choice may be chance: other work took cores, or steps of one mode took very different times."""
        tried = [trial for trial in self.trials if not trial.dropped]
        return any(trial.spread > NOISE or CoreWait(trial.waited).is_busy for trial in tried)

    def lines(self) -> tuple[str, ...]:
        """Return the choice in a line, and what was dropped or left out in another."""
        first = f"{self.mode}: {self.chosen.images_per_second:,.0f} images/s"
        if self.chosen is not self.plain:
            first += f", {times(self.gain)} plain fp32"
        remarks = [f"{trial.mode}: {trial.dropped}" for trial in self.trials if trial.dropped]
        if self.stopped:
            remarks.append("not every way was tried: the run is too short for it")
        if self.noisy:
            worst = max(trial.spread for trial in self.trials if not trial.dropped)
            found = f"steps differ by {percent(worst, decimals=0)}"
            if waited := max(trial.waited for trial in self.trials):
                found += f", and waited for a core {percent(waited, decimals=0)} of the time"
            remarks.append(f"the machine was busy ({found})")
        return (first, *(["; ".join(remarks)] if remarks else []))

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: Fields) -> ComputePlan:
        """Return the plan that `to_dict` wrote; raises UnreadableError where it is none."""
        plan = cls(
            mode=_mode(fields.object("mode")),
            trials=tuple(_trial(trial) for trial in fields.objects("trials")),
            stopped=fields.flag("stopped"),
        )
        if plan.mode not in [trial.mode for trial in plan.trials if not trial.dropped]:
            raise UnreadableError("the mode that was taken was not tried")
        if not plan.plain.images_per_second > 0:
            raise UnreadableError("nothing to compare with")
        return plan


# From this spread on a plan is said to be noisy, and is not kept for another run.
NOISE = 0.5


def _mode(fields: Fields) -> ComputeMode:
    def word(name: str) -> str:
        return fields.text(name, one_of=[known for known in choices(name) if known != AUTO])

    fields.require_only(*(item.name for item in dataclass_fields(ComputeMode)))
    return ComputeMode(
        precision=cast(Precision, word("precision")),
        memory_format=cast(MemoryFormat, word("memory_format")),
        compile=cast(Compile, word("compile")),
        threads=fields.integer("threads", at_least=1),
    )


def _trial(fields: Fields) -> ModeTrial:
    return ModeTrial(
        mode=_mode(fields.object("mode")),
        images=fields.integer("images", at_least=0),
        images_per_second=fields.number("images_per_second", at_least=0),
        spread=fields.number("spread", at_least=0),
        first_step=fields.number("first_step", at_least=0),
        losses=fields.numbers("losses"),
        dropped=fields.text("dropped"),
        fastest_step=fields.number("fastest_step", at_least=0),
        waited=fields.number("waited", at_least=0, at_most=1),
    )


def read_plan(directory: Path, key: Mapping[str, object]) -> ComputePlan | None:
    """Return the plan that was kept for this machine and work, or None."""
    kept = PLANS.read(directory, key)
    with suppress(UnreadableError):
        return None if kept is None else ComputePlan.from_fields(kept)
    return None
