"""What a training is going to take, said before its first step: time by its parts, memory and disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convscope.report.units import byte_size, seconds, whole_tenths
from convscope.training.timing.costs import Costs, Sides
from convscope.training.timing.step_plan import StepPlan

# A training beyond this gets faster choices named.
LONG_SECONDS = 3600.0
# A part below this share of the time is not named by itself.
LEAST_NAMED = 0.02


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Seconds of a command from its beginning to its end, and bytes; None where a figure is unknown.

    Args:
        begun: seconds that have passed: the start, decoding, measuring.
        steps: of the training's steps.
        epoch_ends: of the validations and checkpoints between epochs.
        finish: of the test with its views, the calibration and the report.
        step_bytes: memory of a step.
        cache_bytes: of the disk: decoded images that were not there before.
        run_bytes: of the disk: weights and checkpoints.
    """

    begun: float
    steps: float
    epoch_ends: float
    finish: float
    step_bytes: int | None = None
    cache_bytes: int = 0
    run_bytes: int = 0

    @property
    def seconds(self) -> float:
        """The seconds in all."""
        return self.begun + self.steps + self.epoch_ends + self.finish

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
        """
        parts = {
            "so far": self.begun,
            "steps": self.steps,
            "validation and checkpoints": self.epoch_ends,
            "test and report": self.finish,
        }
        named = [f"{name} {whole_tenths(took)}" for name, took in parts.items() if took >= LEAST_NAMED * self.seconds]
        said = [f"about {whole_tenths(self.seconds)}: {', '.join(named)}"]
        if self.step_bytes is not None:
            said.append(f"memory {byte_size(self.step_bytes)} a step")
        cached = f", {byte_size(self.cache_bytes)} of them decoded images" if self.cache_bytes else ""
        said.append(f"disk {byte_size(self.run_bytes + self.cache_bytes)}{cached}")
        return "; ".join(said)

    def to_dict(self) -> dict[str, Any]:
        """Return the forecast as JSON has it."""
        return {
            "seconds": round(self.seconds, 3),
            "begun": round(self.begun, 3),
            "steps": round(self.steps, 3),
            "epoch_ends": round(self.epoch_ends, 3),
            "finish": round(self.finish, 3),
            "step_bytes": self.step_bytes,
            "cache_bytes": self.cache_bytes,
            "run_bytes": self.run_bytes,
        }


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


def forecast_of(
    costs: Costs,
    plan: StepPlan,
    sides: Sides,
    *,
    begun: float,
    step_bytes: int | None = None,
    cache_bytes: int = 0,
    run_bytes: int = 0,
) -> Forecast:
    """Return the forecast of a plan.

    >>> costs = Costs(before=3.0, steps=((1.0, 0.5),), epoch_end=1.0, finish=2.0)
    >>> found = forecast_of(costs, StepPlan.of(10, epoch_steps=4), Sides(), begun=4.0)
    >>> found.begun, found.steps, found.epoch_ends, found.finish
    (7.0, 5.0, 3.0, 2.0)
    """
    return Forecast(
        begun=begun + costs.before,
        steps=sum(count * costs.step(side) for side, count in sides.counts(plan)),
        epoch_ends=plan.epochs * costs.epoch_end,
        finish=costs.finish,
        step_bytes=step_bytes,
        cache_bytes=cache_bytes,
        run_bytes=run_bytes,
    )
