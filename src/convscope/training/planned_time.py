"""The time of a training that is open: what its parts cost here, the steps that fit into its budget, the forecast."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from convscope.data.records import Dataset
from convscope.runs.checkpoint import KEPT
from convscope.runs.model_spec import ModelSpec
from convscope.training.autotune.measured_costs import measured_costs, sides_of
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.loop.state import first_plan
from convscope.training.resolve.memory import STATE_TENSORS, step_bytes
from convscope.training.resolve.resolved_recipe import Notice, ResolvedRecipe
from convscope.training.timing.costs import Costs
from convscope.training.timing.forecast import Forecast, forecast_of
from convscope.training.timing.time_budget import BudgetPlan, TimeBudget, plan_within

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
    """

    resolved: ResolvedRecipe
    costs: Costs
    budget: TimeBudget | None
    most_steps: int | None
    forecast: Forecast

    def notices(self) -> Iterator[Notice]:
        """Yield the forecast as a message."""
        yield Notice(topic="forecast", message=self.forecast.text)


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
    """Measure what a training costs, and plan its steps within a budget; the first process decides for all.

    `began` is when the command began, on the monotonic clock.

    Raises:
        RunError: a budget that was given does not hold one epoch.
    """

    def decide() -> PlannedTime:
        assert dataset.train is not None
        costs = measured_costs(resolved, spec, dataset.train, val=dataset.val, test=dataset.test)
        within = _within(budget, costs, resolved, epoch_steps)
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
        )

    return group.decided(decide)


def _within(budget: TimeBudget | None, costs: Costs, resolved: ResolvedRecipe, epoch_steps: int) -> BudgetPlan | None:
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
    )


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
