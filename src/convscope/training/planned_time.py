"""The time of a training that is open: what its parts cost here, the steps that fit into its budget, the forecast."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from convscope.data.records import Dataset
from convscope.runs.model_spec import ModelSpec
from convscope.training.autotune.measured_costs import measured_costs, sides_of
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.distributed.shared_costs import shared_costs
from convscope.training.forecasts import forecast_training, half_the_size, with_faster
from convscope.training.loop.state import first_plan
from convscope.training.resolve.head import SOLVE
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.timing.costs import Costs
from convscope.training.timing.forecast import Forecast
from convscope.training.timing.time_budget import (
    SMALLER_NETWORK,
    BudgetPlan,
    TimeBudget,
    plan_within,
    require_time_for_features,
)


@dataclass(frozen=True, kw_only=True)
class HeadToSolve:
    """What is left to do for a solved head: `cached` is the share of its features that need not be computed, `fitting`
    the seconds of its fit to them.
    """

    cached: float = 0.0
    fitting: float = 0.0


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


def planned_time(
    resolved: ResolvedRecipe,
    spec: ModelSpec,
    dataset: Dataset,
    *,
    epoch_steps: int,
    budget: TimeBudget | None,
    began: float,
    group: ProcessGroup,
    head: HeadToSolve = HeadToSolve(),
    resident_before: int | None = None,
    instead: Callable[[], str] = lambda: SMALLER_NETWORK,
) -> PlannedTime:
    """Measure what a training costs, and plan its steps within a budget.

    Of several processes the first one decides for all.

    `began` is when the command began, on the monotonic clock; `resident_before` are bytes, as in `forecast_training`;
    `instead` returns the setting of a network that fits.

    Raises:
        RunError: a budget that was given does not hold one epoch.
    """
    costs = costs_here(resolved, spec, dataset, group, cached=head.cached)
    costs = replace(costs, before=costs.before + head.fitting)

    def decide() -> PlannedTime:
        assert dataset.train is not None
        # Those that train_images counts: what is validated on is held back from them.
        images = len(dataset.train) + (len(dataset.val) if "val" in dataset.made_splits and dataset.val else 0)
        within = _within(budget, costs, resolved, epoch_steps, images, instead)
        planned = resolved if within is None else resolved.planned(within.plan, within.reason)
        plan = first_plan(planned, epoch_steps)
        # Where other work ends, a plan that the time has cut short becomes longer, and fills the time all the same.
        fills_time = within is not None and plan.steps < within.most_steps
        forecast = forecast_training(
            planned,
            dataset,
            replace(costs, of_time_alone=1.0) if fills_time else costs,
            plan,
            begun=time.monotonic() - began,
            resident_before=resident_before,
            ends_early=within is not None and within.in_time and budget is not None and budget.given,
        )
        forecast = with_faster(forecast, planned, costs, plan, epochs=budget is None)
        return PlannedTime(
            resolved=planned,
            costs=costs,
            budget=budget if within is not None and within.in_time else None,
            most_steps=None if within is None else within.most_steps,
            forecast=forecast,
        )

    return group.decided(decide)


def costs_here(
    resolved: ResolvedRecipe,
    spec: ModelSpec,
    dataset: Dataset,
    group: ProcessGroup,
    *,
    images: int | None = None,
    cached: float = 0.0,
) -> Costs:
    """Measure what the parts of a training cost on this machine; the same in every process.

    Of several processes each measures its part while the others do. `images` and `cached` are as in `measured_costs`.
    """
    assert dataset.train is not None
    own = measured_costs(
        resolved,
        spec,
        dataset.train,
        val=dataset.val,
        test=dataset.test,
        processes=group.size,
        images=images,
        cached=cached,
    )
    return shared_costs(group, own, sides_of(resolved), architecture=resolved.architecture, device=resolved.device)


def _within(
    budget: TimeBudget | None,
    costs: Costs,
    resolved: ResolvedRecipe,
    epoch_steps: int,
    images: int,
    instead: Callable[[], str],
) -> BudgetPlan | None:
    """Return the plan of steps within a budget, if there is one."""
    if budget is None:
        return None
    if not resolved.epochs:
        require_time_for_features(budget, costs, now=time.monotonic(), images=images, views=resolved.head_views)
        return None
    return plan_within(
        budget,
        costs,
        sides_of(resolved),
        now=time.monotonic(),
        epoch_steps=epoch_steps,
        usual_epochs=resolved.epochs,
        half_size=half_the_size(resolved),
        images=images,
        may_be_none=resolved.head == SOLVE,
        instead=instead,
    )
