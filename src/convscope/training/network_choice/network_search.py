"""What of each network fits into a time budget, by its speed on this machine: kept from before, or measured now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from convscope.data.pixels.build import seconds_to_decode
from convscope.data.pixels.cache_budget import cache_directory as default_cache_directory
from convscope.errors import ConvscopeError
from convscope.recipe.setting import AUTO, SettingValue
from convscope.report.usage import settings_text
from convscope.scoring.test_time_augmentation import view_count
from convscope.training.autotune.kept_rates import certain_rates, known_rates, rates_on_noise
from convscope.training.autotune.measured_costs import seconds_to_solve, sides_of
from convscope.training.loop.running_statistics import images_measured_anew
from convscope.training.network_choice.candidate_recipes import CandidateRecipes
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.timing.accuracy_table import NO_TABLE, accuracy_table
from convscope.training.timing.candidates import Candidate, CandidatePlan, candidates_for, option_within
from convscope.training.timing.costs import Costs
from convscope.training.timing.pacer import MARGIN
from convscope.training.timing.rates import ImageCounts, Rates
from convscope.training.timing.time_budget import MOST_TIMES_USUAL, TimeBudget

# Candidates are measured for at most this share of the budget, and for this many seconds where there is time enough.
SHARE_TO_MEASURE, SECONDS_TO_MEASURE = 0.02, 6.0
# Of the time beyond the usual epochs of the network that was measured last, in which more of them gain little, the next
# ones are measured in this share.
SHARE_OF_SPARE = 0.15
# A usual training that takes less than this share of the budget needs no measuring again.
FAR_BELOW = 0.25
# What is still to come before the first step, beside decoding: choosing how a step is computed, fitting a first layer.
SHARE_TO_BEGIN, SECONDS_TO_BEGIN = 0.015, 0.5


class NetworkSearch:
    """Judges the candidates of a recipe by what of each fits into a budget.

    Args:
        recipes: with each network.
        budget: of the whole command.
        processes: that train together; each has its part of a batch and of the images that are measured.
    """

    def __init__(self, recipes: CandidateRecipes, budget: TimeBudget, *, processes: int = 1) -> None:
        self._recipes = recipes
        self._budget = budget
        self._processes = processes
        self._directory = recipes.cache_directory or default_cache_directory()
        self._began = time.monotonic()
        # How many times as long as before, when rates were kept, a step takes now on this machine without other work;
        # and how many times as long beside the work that was there when a network was measured last.
        self._slower = 1.0
        self._delay = 1.0

    @cached_property
    def seconds_to_decode(self) -> float:
        """Seconds in which the images are decoded; a stream decodes them while it trains."""
        usual = self._recipes.usual
        if usual.recipe.stream == "yes":
            return 0.0
        return seconds_to_decode(self._recipes.found.listing, usual.decoding, directory=self._directory)

    def usual_option(self) -> CandidatePlan | None:
        """Return what of the usual network fits; None where the whole of it does, and no more is asked for."""
        usual, given = self._recipes.usual, self._budget.given
        kept = known_rates(usual, self._directory)
        if kept is not None and not given:
            option = self._option(self._recipes.usual_candidate, usual, kept)
            if self._is_whole(option) and option.seconds < FAR_BELOW * self._budget.seconds:
                return None
        now = self._measured(usual)
        if kept is not None and not given and now.of_step(usual.batch_size) > kept.of_step(usual.batch_size):
            # Another job may end soon: the usual network stays, and the pacer takes as many steps as there is time.
            now = kept
        option = self._option(self._recipes.usual_candidate, usual, now)
        return None if self._is_whole(option) and not given else option

    def options(self, usual: CandidatePlan | None = None) -> list[CandidatePlan]:
        """Return what of each candidate fits, from the cheapest on, as long as there is time to measure them.

        Those after one of which no epoch fits are left out, but for the `usual` one, which is measured already.
        """
        options: list[CandidatePlan] = []
        for candidate in self._recipes.candidates:
            if usual is not None and candidate == usual.candidate:
                options.append(usual)
                continue
            if options and not self._may_be_better(candidate, options):
                continue
            try:
                resolved = self._recipes.resolved(candidate)
            except ConvscopeError:  # it does not take these images, or goes with no other setting
                continue
            if options and self._out_of_time(options[-1]) and known_rates(resolved, self._directory) is None:
                continue
            options.append(self._option(candidate, resolved, self._rates(resolved, anew=usual is None and not options)))
        # Where smaller images at first are a choice, the usual network is among them as well.
        there = usual is None or any(option.candidate.model == usual.candidate.model for option in options)
        return options if there or usual is None else [*options, usual]

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many images are trained on, validated on and tested on."""
        return self._recipes.counts

    def costs(self, resolved: ResolvedRecipe) -> Costs | None:
        """Return what a training costs at the fastest rates of this machine without other work; None: not known."""
        rates = certain_rates(resolved, self._directory)
        return None if rates is None else self._costs(resolved, rates, resolved.tta)

    def cheapest_instead(self, of: str) -> str:
        """Return the setting of the cheapest network, if an epoch of it fits into what is left of the time; else ""."""
        self.__dict__.pop("seconds_to_decode", None)  # what was decoded meanwhile takes no more time
        recipes, recipe = self._recipes, self._recipes.recipe
        cheapest = candidates_for(recipes.shape)[0]
        if recipe.preset != "fast" or recipe.model_options or not recipes.starts_fresh or cheapest.model == of:
            return ""
        settings: dict[str, SettingValue] = {"model": cheapest.model}
        if cheapest.side and recipe.image_size == AUTO:
            settings["image_size"] = str(cheapest.side)
        try:
            resolved = replace(recipes, recipe=recipe.changed(settings)).usual
        except ConvscopeError:
            return ""
        rates = known_rates(resolved, self._directory) or self._measured(resolved)
        return settings_text(**settings) if self._option(cheapest, resolved, rates).epochs >= 1 else ""

    def _rates(self, resolved: ResolvedRecipe, *, anew: bool) -> Rates:
        """Return the rates that were kept, as slow as the machine is now, or those that are measured."""
        kept = known_rates(resolved, self._directory)
        if kept is not None and not anew:
            return kept.times(self._slower)
        now = self._measured(resolved)
        if anew and kept is not None and (before := kept.of_step(resolved.batch_size)) > 0:
            self._slower = now.of_step(resolved.batch_size) / before
        return now

    def _option(self, candidate: Candidate, resolved: ResolvedRecipe, rates: Rates) -> CandidatePlan:
        """Return what of a candidate fits once other work has ended, where an epoch of it fits beside that work too.

        Other work may end soon, and the pacer takes as many steps as there is time; but an epoch must fit in any case.
        """
        option = self._option_at(candidate, resolved, rates)
        if self._delay > 1 and option.epochs >= 1:
            delayed = self._option_at(candidate, resolved, rates.times(self._delay))
            return option if delayed.epochs >= 1 else delayed
        return option

    def _option_at(self, candidate: Candidate, resolved: ResolvedRecipe, rates: Rates) -> CandidatePlan:
        images, _, _ = self._recipes.counts
        budget = self._budget
        to_begin = SECONDS_TO_BEGIN + SHARE_TO_BEGIN * budget.seconds + self.seconds_to_decode
        return option_within(
            candidate,
            {views: self._costs(resolved, rates, views) for views in self._recipes.views(resolved)},
            sides_of(resolved),
            left=budget.deadline - MARGIN * budget.seconds - time.monotonic() - to_begin,
            epoch_steps=-(-images // min(resolved.batch_size, images)),
            usual_epochs=max(1, resolved.epochs),
            most_times=MOST_TIMES_USUAL if budget.given else 1,
            shape=self._recipes.shape,
            table=accuracy_table() if self._recipes.in_table else NO_TABLE,
        )

    def _costs(self, resolved: ResolvedRecipe, rates: Rates, views: str) -> Costs:
        """Return the costs of a training in the process that has the most to do."""
        images, validated, tested = self._recipes.counts
        at_the_end = tested + validated if tested and resolved.recipe.calibrate else tested or validated
        batch = min(resolved.batch_size, images)
        counts = ImageCounts(
            trained=images,
            batch=batch,
            validated=validated,
            tested=at_the_end,
            views=view_count(views),
            statistics=images_measured_anew(-(-images // batch), batch),
            streamed=resolved.recipe.stream == "yes",
        )
        solving = seconds_to_solve(resolved, rates, trained=images, validated=validated)
        return rates.costs(counts.shared_by(self._processes), before=solving / self._processes)

    def _is_whole(self, option: CandidatePlan) -> bool:
        """Return whether the usual epochs fit, with the usual views."""
        usual = self._recipes.usual
        return option.epochs >= usual.epochs and option.views == self._recipes.views(usual)[-1]

    def _measured(self, resolved: ResolvedRecipe) -> Rates:
        effort = min(1.0, SHARE_TO_MEASURE * self._budget.seconds / SECONDS_TO_MEASURE)
        measured = rates_on_noise(resolved, effort=effort, directory=self._directory)
        self._delay = measured.delay
        return measured.alone

    def _may_be_better(self, candidate: Candidate, options: Sequence[CandidatePlan]) -> bool:
        """Return whether a candidate may be taken, after those that were judged: the cheaper ones."""
        if options[-1].epochs < 1:
            return False
        usual = self._recipes.usual.model
        judged = [option.candidate.model for option in options]
        # Where no accuracy is expected, no network above the usual one is taken.
        return options[-1].accuracy is not None or candidate.model == usual or usual not in judged

    def _out_of_time(self, last: CandidatePlan) -> bool:
        """Return whether no further network is measured, after the `last` one."""
        now = time.monotonic()
        of_usual = min(1.0, self._recipes.resolved(last.candidate).epochs / max(1.0, last.epochs))
        spare = max(0.0, self._budget.deadline - now - of_usual * last.seconds)
        return now - self._began > SHARE_TO_MEASURE * self._budget.seconds + SHARE_OF_SPARE * spare
