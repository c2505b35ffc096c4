"""What a training would be, and what it would take: the forecast alone, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convscope.recipe.recipe import Recipe
from convscope.report.json_values import json_dict
from convscope.report.short_repr import ShortRepr
from convscope.report.units import plural
from convscope.training.loop.state import first_plan
from convscope.training.resolve.resolved_recipe import Notice, choice_lines
from convscope.training.session import Session
from convscope.training.timing.forecast import Forecast


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TrainingForecast(ShortRepr):
    """A training that is open and was not begun.

    Args:
        forecast: of its time, memory and disk.
        recipe: with nothing at auto.
        source: what it trains on.
        classes: the classes' names.
        images: how many by split.
        parameters: of the network.
        steps: that are planned.
        epochs: that these fill.
        reasons: why each setting at auto has its value, a line each.
        notices: what else there is to say of it.
    """

    forecast: Forecast
    recipe: Recipe
    source: str
    classes: tuple[str, ...]
    images: dict[str, int]
    parameters: int
    steps: int
    epochs: int
    reasons: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()

    @classmethod
    def of(cls, session: Session) -> TrainingForecast:
        """Return the forecast of a session that was opened with a time to count from."""
        assert session.forecast is not None, "the session was opened without a time to count from"
        resolved, plan = session.resolved, first_plan(session.resolved, session.epoch_steps)
        return cls(
            forecast=session.forecast,
            recipe=resolved.recipe,
            source=session.dataset.source,
            classes=session.dataset.classes,
            images=dict(session.dataset.counts),
            parameters=resolved.parameters,
            steps=plan.steps,
            epochs=plan.epochs,
            reasons=choice_lines(resolved.choices),
            notices=tuple(notice for notice in session.notices if notice.topic not in ("auto", "forecast")),
        )

    def headline(self) -> str:
        """Return the network, the steps and the time."""
        return (
            f"{self.recipe.model}, {plural(self.epochs, 'epoch')} of {self.recipe.data}: "
            f"about {self.forecast.range_text}"
        )

    def lines(self) -> list[str]:
        """Return the plan and the forecast in a few lines."""
        counts = ", ".join(f"{count:,} {split}" for split, count in self.images.items())
        return [
            f"{self.source}: {plural(len(self.classes), 'class', 'classes')}, images: {counts}",
            f"{self.recipe.model}: {plural(self.parameters, 'parameter')}, {plural(self.epochs, 'epoch')}, "
            f"{plural(self.steps, 'step')} of {plural(int(self.recipe.batch_size), 'image')}",
            *(f"forecast: {line}" for line in self.forecast.lines),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the forecast as JSON's types.

        Keys:
            forecast: seconds in all, of the earliest end (and what lets it end then) and by part, and bytes.
            text: the same in a line.
            faster: setting and seconds of choices that take less, where it takes long.
            source: what it trains on.
            classes: the classes' names.
            images: how many by split.
            model: the network.
            parameters: how many it has.
            epochs: that are planned.
            steps: that are planned.
            batch_size: images of a step.
            recipe: every setting, with nothing at auto.
            reasons: why each setting at auto has its value, a line each.
            notices: level, topic and text of what else there is to say.
        """
        return json_dict(
            {
                "forecast": self.forecast.to_dict(),
                "text": self.forecast.text,
                "faster": [{"setting": each.setting, "seconds": each.seconds} for each in self.forecast.faster],
                "source": self.source,
                "classes": self.classes,
                "images": self.images,
                "model": self.recipe.model,
                "parameters": self.parameters,
                "epochs": self.epochs,
                "steps": self.steps,
                "batch_size": self.recipe.batch_size,
                "recipe": self.recipe.to_dict(),
                "reasons": self.reasons,
                "notices": [
                    {"level": notice.level, "topic": notice.topic, "text": notice.message} for notice in self.notices
                ],
            }
        )
