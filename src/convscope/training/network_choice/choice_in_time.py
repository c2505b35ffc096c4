"""What a time budget makes of settings at auto, before an image is decoded: the network, the batch size, the views.

What the user named stays, and so does the network of trained weights. Without a budget of the user's own, the usual
network stays where its usual epochs fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convscope.data.open import Probe
from convscope.recipe.presets import table
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO, SettingValue, value_or
from convscope.training.network_choice.candidate_recipes import CandidateRecipes
from convscope.training.network_choice.network_search import NetworkSearch
from convscope.training.resolve import budget as budget_rules
from convscope.training.resolve import network as network_rules
from convscope.training.resolve.resolved_recipe import Choice
from convscope.training.timing.candidates import CandidatePlan, best_option, reason_for
from convscope.training.timing.time_budget import TimeBudget

# Networks of which a training on up to this number of images takes no more than a minute or two anywhere.
QUICK, QUICK_IMAGES = ("lenet5",), 50_000


@dataclass(frozen=True, kw_only=True)
class ChosenInTime:
    """The recipe with what the budget chose in it, and why."""

    recipe: Recipe
    choices: tuple[Choice[Any], ...] = ()


def chosen_in_time(
    recipe: Recipe, found: Probe, budget: TimeBudget, cache_directory: Path | None = None, *, processes: int = 1
) -> ChosenInTime:
    """Return the recipe with the network, the batch size and the views that are best within a budget.

    Raises:
        ConvscopeError: as `resolve` does, of the usual network.
    """
    unchanged = ChosenInTime(recipe=recipe)
    recipes = CandidateRecipes(recipe=recipe, found=found, cache_directory=cache_directory)
    if not budget.given and recipes.starts_fresh and _surely_fits(recipe, found):
        return unchanged
    search = NetworkSearch(recipes, budget, processes=processes)
    # Within minutes that were given the cheapest are measured first, and those for which there is time.
    options = search.options() if budget.given else []
    if not options:
        # Of a solved head without epochs nothing is chosen. That no epoch fits is said once steps are timed.
        usual = search.usual_option() if recipes.usual.epochs else None
        if usual is None:
            return unchanged
        options = search.options(usual) or [usual]
    best = best_option(options, usual=recipes.usual.model) or options[0]
    choices = [
        *_of_network(recipes, best, options),
        *_of_views(recipes, best, budget),
        *_of_batch(recipes, best),
    ]
    settings: dict[str, SettingValue] = recipes.settings(best.candidate) if recipes.may_choose else {}
    settings |= {choice.setting: choice.value for choice in choices}
    return ChosenInTime(recipe=recipe.filled(settings), choices=tuple(choices))


def _surely_fits(recipe: Recipe, found: Probe) -> bool:
    """Return whether the usual epochs fit into the time of a run of which nothing is said, on any machine of today."""
    channels = value_or(recipe.channels, found.channels)
    usual = network_rules.model(
        recipe.model,
        min(found.image_size),
        channels=channels,
        preset=recipe.preset,
        image_size=recipe.image_size,
    )
    return usual.value in QUICK and len(found.listing.labels) <= QUICK_IMAGES


def _of_network(recipes: CandidateRecipes, best: CandidatePlan, options: Sequence[CandidatePlan]) -> list[Choice[Any]]:
    """Return the network as a choice, where it was to be chosen."""
    if not recipes.may_choose:
        return []
    return [Choice("model", best.candidate.model, reason_for(best, options, usual=recipes.usual.model))]


def _of_views(recipes: CandidateRecipes, best: CandidatePlan, budget: TimeBudget) -> list[Choice[Any]]:
    """Return the views of test images as a choice, where they are fewer than the usual ones."""
    usual = recipes.views(recipes.resolved(best.candidate))[-1]
    if recipes.recipe.tta != AUTO or best.views == usual:
        return []
    shown = f"test-time augmentation: {best.views}"
    return [Choice("tta", best.views, f"{usual} would take too much of the {budget.text}", shown=shown)]


def _of_batch(recipes: CandidateRecipes, best: CandidatePlan) -> list[Choice[Any]]:
    """Return the batch size as a choice, where it is not the usual one."""
    resolved, recipe = recipes.resolved(best.candidate), recipes.recipe
    if recipe.batch_size != AUTO:
        return []
    images, _, _ = recipes.counts
    usual = table(recipe.preset, resolved.model).budget
    batch = budget_rules.batch_size(AUTO, images, usual, epochs=max(1, round(best.epochs)))
    return [] if batch.value == resolved.batch_size else [batch]
