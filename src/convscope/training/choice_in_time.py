"""What a time budget makes of settings at auto, before an image is decoded: the network, the batch size, the views.

What the user named stays. Without a budget of the user's own, the usual network stays where its usual epochs fit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from convscope.data.listing import WHOLE
from convscope.data.open import Probe
from convscope.data.pixels.build import seconds_to_decode
from convscope.data.pixels.cache_budget import cache_directory as default_cache_directory
from convscope.errors import ConvscopeError
from convscope.recipe.presets import preset_values, table
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO, SettingValue, value_or
from convscope.scoring.test_time_augmentation import ONE, view_count
from convscope.training.autotune.kept_rates import known_rates, rates_on_noise
from convscope.training.autotune.measured_costs import sides_of
from convscope.training.resolve import budget as budget_rules
from convscope.training.resolve import network as network_rules
from convscope.training.resolve.resolve import resolve
from convscope.training.resolve.resolved_recipe import Choice, ResolvedRecipe
from convscope.training.timing.accuracy_table import SetShape
from convscope.training.timing.candidates import (
    Candidate,
    CandidatePlan,
    best_option,
    candidates_for,
    option_within,
    reason_for,
)
from convscope.training.timing.pacer import MARGIN
from convscope.training.timing.rates import ImageCounts, Rates
from convscope.training.timing.time_budget import MOST_TIMES_USUAL, TimeBudget

# Candidates are measured for at most this share of the budget, and for this many seconds where there is time enough.
SHARE_TO_MEASURE, SECONDS_TO_MEASURE = 0.02, 6.0
# Networks of which a training on up to this number of images takes no more than a minute or two anywhere.
QUICK, QUICK_IMAGES = ("lenet5",), 50_000
# A usual training that takes less than this share of the budget needs no measuring again.
FAR_BELOW = 0.25
# What is still to come before the first step, beside decoding: choosing how a step is computed, fitting a first layer.
SHARE_TO_BEGIN, SECONDS_TO_BEGIN = 0.015, 0.5
# Progressive resizing of large images.
GROWS: dict[str, SettingValue] = {"progressive_resize_start": 0.5, "progressive_resize_share": 0.6}


@dataclass(frozen=True, kw_only=True)
class ChosenInTime:
    """The recipe with what the budget chose in it, and why."""

    recipe: Recipe
    choices: tuple[Choice[Any], ...] = ()


def chosen_in_time(
    recipe: Recipe, found: Probe, budget: TimeBudget, cache_directory: Path | None = None
) -> ChosenInTime:
    """Return the recipe with the network, the batch and the views that are best within a budget.

    Trainings from trained weights, and of several labels an image, are left to the rules.

    Raises:
        ConvscopeError: as `resolve` does, of the usual network.
    """
    if recipe.weights or recipe.freeze or recipe.preset == "finetune" or found.multi_label:
        return ChosenInTime(recipe=recipe)
    if not budget.given and _surely_fits(recipe, found):
        return ChosenInTime(recipe=recipe)
    search = NetworkSearch(recipe=recipe, found=found, budget=budget, directory=cache_directory)
    # Within minutes that were given the cheapest are measured first, and those for which there is time.
    options = search.options() if budget.given and recipe.model == AUTO else []
    if not options:
        usual = search.usual_option()
        if usual is None:
            return ChosenInTime(recipe=recipe)
        options = search.options(usual) if recipe.model == AUTO else [usual]
    best = best_option(options, usual=search.usual.model)
    if best is None:
        # That no epoch fits is said once a step of the real images is timed. Of several the fastest is taken.
        best = options[0]
    return search.chosen(best, options)


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


class NetworkSearch:
    """The candidates for the images of a recipe, and what of each fits into a budget."""

    def __init__(self, *, recipe: Recipe, found: Probe, budget: TimeBudget, directory: Path | None) -> None:
        self._recipe = recipe
        self._found = found
        self._budget = budget
        self._directory = directory or default_cache_directory()
        self._cache_directory = directory
        self._began = time.monotonic()
        # How many times as long as before, when rates were kept, a step takes now.
        self._slower = 1.0
        self._resolved: dict[Candidate, ResolvedRecipe] = {}

    @cached_property
    def usual(self) -> ResolvedRecipe:
        """The recipe as the rules have it."""
        return self._resolve({})

    @cached_property
    def counts(self) -> tuple[int, int, int]:
        """How many images are trained on, validated on and tested on."""
        listing, recipe = self._found.listing, self._recipe
        held_back = budget_rules.validation_fraction(
            recipe.validation_fraction, listing, test_fraction=recipe.test_fraction
        )
        train, val = budget_rules.rows_to_learn(
            listing, held_back=held_back, test_fraction=recipe.test_fraction, seed=recipe.seed_of_split
        )
        test = len(listing.labels) - len(train) - len(val) if WHOLE in listing.parts else listing.parts.get("test", 0)
        return max(1, len(train)), len(val), test

    @cached_property
    def shape(self) -> SetShape:
        """The images as the table of accuracies compares them."""
        images, _, _ = self.counts
        return SetShape(
            images=images,
            classes=max(2, len(self._found.classes)),
            channels=self.usual.decoding.channels,
            side=min(self._found.image_size),
        )

    @cached_property
    def seconds_to_decode(self) -> float:
        """Seconds in which the images are decoded; a stream decodes them while it trains."""
        if self.usual.recipe.stream == "yes":
            return 0.0
        return seconds_to_decode(self._found.listing, self.usual.decoding, directory=self._directory)

    def usual_option(self) -> CandidatePlan | None:
        """Return what of the usual network fits; None where the whole of it does, and no more is asked for."""
        usual = Candidate(model=self.usual.model)
        self._resolved[usual] = self.usual
        kept = known_rates(self.usual, self._directory)
        if kept is not None and not self._budget.given:
            option = self._option(usual, self.usual, kept)
            if self._is_whole(option) and option.seconds < FAR_BELOW * self._budget.seconds:
                return None
        now = self._measured(self.usual)
        if kept is not None and not self._budget.given and now.steps[-1][1] > kept.steps[-1][1]:
            # Another job may end soon: the usual network stays, and the pacer takes as many steps as there is time.
            now = kept
        option = self._option(usual, self.usual, now)
        return None if self._is_whole(option) and not self._budget.given else option

    def options(self, usual: CandidatePlan | None = None) -> list[CandidatePlan]:
        """Return what of each candidate fits, from the cheapest on, as long as there is time to measure them.

        Those after one of which no epoch fits are left out, but for the `usual` one, which is measured already.
        """
        options: list[CandidatePlan] = []
        candidates = candidates_for(self.shape) if self._recipe.preset == "fast" else ()
        for candidate in dict.fromkeys(self._fitting(one) for one in candidates):
            if usual is not None and candidate == usual.candidate:
                options.append(usual)
                continue
            if options and (self._out_of_time() or options[-1].epochs < 1):
                continue
            try:
                resolved = self._resolve(self._settings(candidate))
            except ConvscopeError:  # it does not take these images, or goes with no other setting
                continue
            self._resolved[candidate] = resolved
            options.append(self._option(candidate, resolved, self._rates(resolved, anew=usual is None and not options)))
        # Where smaller images at first are a choice, the usual network is among them as well.
        there = usual is None or any(option.candidate.model == usual.candidate.model for option in options)
        return options if there or usual is None else [*options, usual]

    def _rates(self, resolved: ResolvedRecipe, *, anew: bool) -> Rates:
        """Return the rates that were kept, as slow as the machine is now, or those that are measured."""
        kept = known_rates(resolved, self._directory)
        if kept is not None and not anew:
            return kept.times(self._slower)
        now = self._measured(resolved)
        if anew and kept is not None and kept.steps[-1][1] > 0:
            self._slower = now.steps[-1][1] / kept.steps[-1][1]
        return now

    def chosen(self, best: CandidatePlan, options: list[CandidatePlan]) -> ChosenInTime:
        """Return the recipe with the settings of an option that were at auto."""
        resolved, recipe = self._resolved[best.candidate], self._recipe
        choices: list[Choice[Any]] = []
        if recipe.model == AUTO:
            reason = reason_for(best, options, usual=self.usual.model)
            choices.append(Choice("model", best.candidate.model, reason))
        settings = self._settings(best.candidate)
        views = self._views(resolved)
        if recipe.tta == AUTO and best.views != views[-1]:
            settings["tta"] = best.views
            choices.append(
                Choice(
                    "tta",
                    best.views,
                    f"{views[-1]} would take too much of the {self._budget.text}",
                    shown=f"test-time augmentation: {best.views}",
                )
            )
        if recipe.batch_size == AUTO:
            images, _, _ = self.counts
            usual = table(recipe.preset, resolved.model).budget
            batch = budget_rules.batch_size(AUTO, images, usual, epochs=max(1, round(best.epochs)))
            if batch.value != resolved.batch_size:
                settings["batch_size"] = batch.value
                choices.append(batch)
        return ChosenInTime(recipe=recipe.filled(settings), choices=tuple(choices))

    def _fitting(self, candidate: Candidate) -> Candidate:
        """Return the candidate without a size of its own, where the user gave one."""
        return candidate if self._recipe.image_size == AUTO else Candidate(model=candidate.model)

    def _settings(self, candidate: Candidate) -> dict[str, SettingValue]:
        settings: dict[str, SettingValue] = {"model": candidate.model}
        if candidate.side:
            settings["image_size"] = str(candidate.side)
        return settings | (GROWS if candidate.grows else {})

    def _resolve(self, settings: dict[str, SettingValue]) -> ResolvedRecipe:
        # Without the flip no image is decoded, and it costs next to nothing.
        recipe = self._recipe.filled({"flip": False, "tta": ONE, **settings})
        return resolve(recipe, self._found, self._cache_directory)

    def _views(self, resolved: ResolvedRecipe) -> tuple[str, ...]:
        """Return the views of test images to choose from, the fewest first; the last are the usual ones."""
        recipe = self._recipe
        if recipe.tta != AUTO:
            return (recipe.tta,)
        flips = recipe.flip is True or (recipe.flip == AUTO and resolved.decoding.channels == 3)
        usual = str(preset_values(recipe.preset, model=resolved.model, loss=resolved.loss)["tta"])
        return tuple(dict.fromkeys((ONE, "flip", usual))) if flips and usual != ONE else (ONE,)

    def _option(self, candidate: Candidate, resolved: ResolvedRecipe, rates: Rates) -> CandidatePlan:
        images, validated, tested = self.counts
        batch = min(resolved.batch_size, images)
        at_the_end = tested + validated if tested and resolved.recipe.calibrate else tested or validated
        costs = {
            views: rates.costs(
                ImageCounts(
                    batch=batch,
                    validated=validated,
                    tested=at_the_end,
                    views=view_count(views),
                    streamed=resolved.recipe.stream == "yes",
                )
            )
            for views in self._views(resolved)
        }
        budget = self._budget
        to_begin = SECONDS_TO_BEGIN + SHARE_TO_BEGIN * budget.seconds + self.seconds_to_decode
        return option_within(
            candidate,
            costs,
            sides_of(resolved),
            left=budget.deadline - MARGIN * budget.seconds - time.monotonic() - to_begin,
            epoch_steps=-(-images // batch),
            usual_epochs=max(1, resolved.epochs),
            most_times=MOST_TIMES_USUAL if budget.given else 1,
            shape=self.shape,
        )

    def _is_whole(self, option: CandidatePlan) -> bool:
        """Return whether the usual epochs fit, with the usual views."""
        return option.epochs >= self.usual.epochs and option.views == self._views(self.usual)[-1]

    def _measured(self, resolved: ResolvedRecipe) -> Rates:
        effort = min(1.0, SHARE_TO_MEASURE * self._budget.seconds / SECONDS_TO_MEASURE)
        return rates_on_noise(resolved, effort=effort, directory=self._directory)

    def _out_of_time(self) -> bool:
        return time.monotonic() - self._began > SHARE_TO_MEASURE * self._budget.seconds
