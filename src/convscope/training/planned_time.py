"""The time of a training that is open: what its parts cost here, the steps that fit into its budget, the forecast."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from convscope.data.records import Dataset
from convscope.nets.build import smallest_input
from convscope.nets.own_code import is_own
from convscope.report.usage import settings_text
from convscope.runs.checkpoint import KEPT
from convscope.runs.model_spec import ModelSpec
from convscope.training.autotune.measured_costs import measured_costs, sides_of
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.distributed.shared_costs import shared_costs
from convscope.training.loop.state import first_plan
from convscope.training.resolve.head import SOLVE
from convscope.training.resolve.memory import STATE_TENSORS, step_bytes
from convscope.training.resolve.resolved_recipe import Notice, ResolvedRecipe
from convscope.training.timing.costs import Costs
from convscope.training.timing.forecast import FasterChoice, Forecast, forecast_of
from convscope.training.timing.step_plan import StepPlan
from convscope.training.timing.time_budget import MINUTE, SMALLEST, BudgetPlan, TimeBudget, plan_within

BYTES = 4


@dataclass(frozen=True, kw_only=True)
class PlannedTime:
    """A training's time.

    Args:
        resolved: the recipe with the steps that fit into the budget, if there is one.
        costs: what steps and the ends of epochs take.
        budget: the time that the command keeps to, where it has one that holds its plan.
        most_steps: no plan within the budget has more.
        forecast: of the whole command.
        faster: choices that take less, where that takes long.
    """

    resolved: ResolvedRecipe
    costs: Costs
    budget: TimeBudget | None
    most_steps: int | None
    forecast: Forecast

    faster: tuple[FasterChoice, ...] = ()

    def notices(self) -> Iterator[Notice]:
        """Yield the forecast as a message, and what would be faster where it is long."""
        yield Notice(topic="forecast", message=self.forecast.text)
        if self.faster:
            choices = ", ".join(choice.text for choice in self.faster)
            yield Notice(topic="forecast", message=f"over an hour; faster: {choices}")


def planned_time(
    resolved: ResolvedRecipe,
    spec: ModelSpec,
    dataset: Dataset,
    *,
    epoch_steps: int,
    budget: TimeBudget | None,
    began: float,
    group: ProcessGroup,
) -> PlannedTime:
    """Measure what a training costs, and plan its steps within a budget.

    Of several processes each measures its part while the others do, and the first one decides for all.

    `began` is when the command began, on the monotonic clock.

    Raises:
        RunError: a budget that was given does not hold one epoch.
    """
    assert dataset.train is not None
    parts = {"val": dataset.val, "test": dataset.test}
    own = measured_costs(resolved, spec, dataset.train, **parts, processes=group.size)
    costs = shared_costs(group, own, sides_of(resolved), architecture=resolved.architecture, device=resolved.device)

    def decide() -> PlannedTime:
        assert dataset.train is not None
        # Those that train_images counts: what is validated on is held back from them.
        images = len(dataset.train) + (len(dataset.val) if "val" in dataset.made_splits and dataset.val else 0)
        within = _within(budget, costs, resolved, epoch_steps, images)
        planned = resolved if within is None else resolved.planned(within.plan, within.reason)
        needed = step_bytes(planned)
        forecast = forecast_of(
            costs,
            first_plan(planned, epoch_steps),
            sides_of(planned),
            begun=time.monotonic() - began,
            step_bytes=needed,
            cache_bytes=_cached_bytes(dataset),
            run_bytes=_run_bytes(planned),
        )
        return PlannedTime(
            resolved=planned,
            costs=costs,
            budget=budget if within is not None and within.in_time else None,
            most_steps=None if within is None else within.most_steps,
            forecast=forecast,
            faster=_faster(planned, costs, forecast, epoch_steps, in_budget=budget is not None)
            if forecast.is_long
            else (),
        )

    return group.decided(decide)


def _within(
    budget: TimeBudget | None, costs: Costs, resolved: ResolvedRecipe, epoch_steps: int, images: int
) -> BudgetPlan | None:
    """Return the plan of steps within a budget, if there is one."""
    if budget is None:
        return None
    return plan_within(
        budget,
        costs,
        sides_of(resolved),
        now=time.monotonic(),
        epoch_steps=epoch_steps,
        usual_epochs=resolved.epochs,
        image_size=resolved.recipe.image_size,
        images=images,
        may_be_none=resolved.head == SOLVE,
    )


def _faster(
    resolved: ResolvedRecipe, costs: Costs, forecast: Forecast, epoch_steps: int, *, in_budget: bool
) -> tuple[FasterChoice, ...]:
    """Return what fewer epochs, smaller images and a time budget would take instead."""
    sides, found = sides_of(resolved), list[FasterChoice]()

    def whole(costs: Costs, epochs: int) -> float:
        plan = StepPlan.of(epochs * epoch_steps, epoch_steps=epoch_steps)
        return forecast_of(costs, plan, sides, begun=forecast.begun).seconds

    epochs = resolved.epochs
    for fewer in (epochs // 2, epochs // 4):
        if fewer >= 1 and not in_budget:
            found.append(FasterChoice(setting=settings_text(epochs=fewer), seconds=whole(costs, fewer)))
    height, width = resolved.decoding.size
    half = (height // 2, width // 2)
    takes = smallest_input(resolved.model) if not is_own(resolved.model) else half
    if min(half) >= SMALLEST and all(side >= least for side, least in zip(half, takes, strict=False)):
        size = str(half[0]) if half[0] == half[1] else "x".join(map(str, half))
        found.append(
            FasterChoice(setting=settings_text(image_size=size), seconds=whole(costs.of_pixels(1 / 4), epochs))
        )
    found.append(FasterChoice(setting=settings_text(minutes=30), seconds=30 * MINUTE))
    return tuple(choice for choice in found if choice.seconds < forecast.seconds)


def _cached_bytes(dataset: Dataset) -> int:
    """Return the bytes of the decoded images in the cache; 0 where none are kept there."""
    if dataset.cache_path is None:
        return 0
    return sum(prod(images.images.shape) for images in dataset.splits.values())


def _run_bytes(resolved: ResolvedRecipe) -> int:
    """Return the bytes of the weights and of the checkpoints that are kept, each with the optimizer's state."""
    averaged = 1 if resolved.ema_epochs else 0
    of_checkpoint = 2 + STATE_TENSORS[resolved.optimizer] + averaged
    return BYTES * resolved.parameters * (1 + KEPT * of_checkpoint)
