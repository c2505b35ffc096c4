"""The recipes of the networks to choose from: what a training would be with each, before an image is decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from convscope.data.listing import WHOLE
from convscope.data.open import Probe
from convscope.recipe.presets import preset_values
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO, SettingValue
from convscope.scoring.test_time_augmentation import ONE
from convscope.training.resolve import budget as budget_rules
from convscope.training.resolve.augmentation import views_to_choose_from
from convscope.training.resolve.resolve import resolve
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.start import starts_trained
from convscope.training.timing.accuracy_table import SetShape
from convscope.training.timing.candidates import Candidate, candidates_for

# Progressive resizing of large images.
GROWS: dict[str, SettingValue] = {"progressive_resize_start": 0.5, "progressive_resize_share": 0.6}
# Presets of which the weights are trained already.
OF_TRAINED = ("finetune", "probe")


@dataclass(frozen=True, kw_only=True, eq=False)
class CandidateRecipes:
    """A recipe with each network that it may take.

    Args:
        recipe: as the user gave it.
        found: the images.
        cache_directory: where decoded images are kept; None: the usual folder.
    """

    recipe: Recipe
    found: Probe
    cache_directory: Path | None = None
    _resolved: dict[Candidate, ResolvedRecipe] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def usual(self) -> ResolvedRecipe:
        """The recipe as the rules have it."""
        return self._with({})

    @property
    def usual_candidate(self) -> Candidate:
        """The network that the rules take."""
        return Candidate(model=self.usual.model)

    @property
    def starts_fresh(self) -> bool:
        """Whether a network may be chosen: trained weights and the names of frozen parts belong to one."""
        recipe = self.recipe
        trained = starts_trained(recipe.model, recipe.model_options, recipe.weights)
        return not (trained or recipe.freeze or recipe.preset in OF_TRAINED)

    @property
    def may_choose(self) -> bool:
        """Whether the network is to be chosen, and not only the batch size, the views and the epochs."""
        return self.recipe.model == AUTO and self.recipe.preset == "fast" and self.starts_fresh

    @property
    def in_table(self) -> bool:
        """Whether the table of accuracies speaks of such a training: from fresh weights, of one label an image."""
        return self.starts_fresh and not self.found.multi_label

    @cached_property
    def counts(self) -> tuple[int, int, int]:
        """How many images are trained on, validated on and tested on."""
        listing, recipe = self.found.listing, self.recipe
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
            classes=max(2, len(self.found.classes)),
            channels=self.usual.decoding.channels,
            side=min(self.found.image_size),
        )

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """The networks to choose from, the cheapest first; none where the network is not to be chosen."""
        return tuple(dict.fromkeys(map(self._fitting, candidates_for(self.shape)))) if self.may_choose else ()

    def resolved(self, candidate: Candidate) -> ResolvedRecipe:
        """Return the recipe with a network.

        Raises:
            ConvscopeError: the network does not take these images, or does not go with another setting.
        """
        if candidate not in self._resolved:
            # One that is not chosen from several stays as the rules have it, and so does what they say of it.
            own = candidate in self.candidates
            self._resolved[candidate] = self._with(self.settings(candidate)) if own else self.usual
        return self._resolved[candidate]

    def settings(self, candidate: Candidate) -> dict[str, SettingValue]:
        """Return the settings that a candidate is: its name, the size of its images, and whether they grow."""
        settings: dict[str, SettingValue] = {"model": candidate.model}
        if candidate.side:
            settings["image_size"] = str(candidate.side)
        return settings | (GROWS if candidate.grows else {})

    def views(self, resolved: ResolvedRecipe) -> tuple[str, ...]:
        """Return the views of test images to choose from, the fewest first; the last are the usual ones."""
        recipe = self.recipe
        flips = recipe.flip is True or (recipe.flip == AUTO and resolved.decoding.channels == 3)
        usual = str(preset_values(recipe.preset, model=resolved.model, loss=resolved.loss)["tta"])
        return views_to_choose_from(recipe.tta, usual, flipped=flips)

    def _fitting(self, candidate: Candidate) -> Candidate:
        """Return the candidate without a size of its own, where the user gave one."""
        return candidate if self.recipe.image_size == AUTO else Candidate(model=candidate.model)

    def _with(self, settings: dict[str, SettingValue]) -> ResolvedRecipe:
        # Without the flip no image is decoded, and it costs next to nothing.
        recipe = self.recipe.filled({"flip": False, "tta": ONE, **settings})
        return resolve(recipe, self.found, self.cache_directory)
