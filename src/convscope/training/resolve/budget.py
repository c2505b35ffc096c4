"""How much is shown at a time and in all, and how fast is learned from it, where that is left at auto.

These rules are part of `training.resolve.resolve`; they go by about how many images there are to train on.
"""

from __future__ import annotations

from torch import nn

from convscope.data.listing import WHOLE
from convscope.data.open import Probe
from convscope.data.partition import split_rows
from convscope.data.records import Labels
from convscope.errors import RunError
from convscope.hardware.rank import Rank
from convscope.nets.modules import has_batch_norm
from convscope.recipe.presets import table
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO, value_or
from convscope.training.optim.optimizers import default_learning_rate
from convscope.training.start import FINE_TUNING_RATE, starts_trained

# Held back to choose the best weights by: a tenth, and no more than tell an accuracy to about half a percent.
VALIDATION_FRACTION, MOST_HELD_BACK = 0.1, 2_000


def validation_fraction(found: Probe, recipe: Recipe) -> float:
    """The share of the training images that is held back where there is no val folder."""
    images = found.counts["train"] if "train" in found.counts else len(found.listing.rows_of(WHOLE))
    share = min(VALIDATION_FRACTION, MOST_HELD_BACK / max(1, images))
    # A share that leaves too little beside a large test part gives way to it.
    return value_or(recipe.validation_fraction, min(share, (1 - recipe.test_fraction) / 2))


def training_images(found: Probe, recipe: Recipe) -> int:
    """About how many images will be trained on, told from the counts before anything is split."""
    return max(1, len(training_rows(found, recipe)))


def training_rows(found: Probe, recipe: Recipe) -> Labels:
    """The rows of the listing that will be trained on, but for what is known once they are decoded.

    Images that can't be read are among them, and equal ones may lie in two parts.
    """
    held_back = validation_fraction(found, recipe)
    fractions: tuple[float, ...] = (held_back, recipe.test_fraction)
    part = WHOLE
    if "train" in found.counts:
        if found.counts.get("val") or not held_back:
            return found.listing.rows_of("train")
        part, fractions = "train", (held_back,)
    rows = found.listing.rows_of(part)
    return rows[split_rows(found.listing, rows, fractions, seed=recipe.seed_of_split)[0]]


def choose_budget(recipe: Recipe, found: Probe, network: nn.Module, reasons: list[str], notes: list[str]) -> Recipe:
    """The recipe with its epochs, images a step and learning rate.

    A step has no more images than there are to train on, and the rate is that of the images that it has.

    Raises:
        RunError: a batch, or what one process has of it, that is too small to train on.
    """
    images = training_images(found, recipe)
    dose = table(recipe.preset, recipe.model).budget
    epochs = value_or(recipe.epochs, dose.epochs_for(images))
    asked = value_or(recipe.batch_size, dose.batch_size_for(images))
    _check_batch(recipe, Rank.of(), network, asked, images)
    batch_size = min(asked, images)
    if batch_size < asked and recipe.batch_size != AUTO:
        notes.append(f"batch size {batch_size:,}, not {asked:,}: there are no more images to train on")
    rate = value_or(recipe.learning_rate, _learning_rate(recipe, batch_size, network, reasons))
    chosen = [f"{epochs} epochs"] * (recipe.epochs == AUTO) + [f"batch size {batch_size}"] * (recipe.batch_size == AUTO)
    if chosen:
        reasons.append(f"{', '.join(chosen)}: for about {images:,} training images")
    return recipe.changed({"epochs": epochs, "batch_size": batch_size, "learning_rate": rate})


def _check_batch(recipe: Recipe, place: Rank, network: nn.Module, batch_size: int, images: int) -> None:
    """Raise RunError where a batch, or what one process has of it, is too small to train on."""
    normalises = has_batch_norm(network)
    if recipe.sync_batchnorm and not normalises:
        raise RunError(f"sync_batchnorm: {recipe.model} has no batch normalization: leave it out")
    if batch_size == 1 < images and normalises:
        raise RunError(f"batch_size is 1, and {recipe.model} normalises over the batch: take 2 or more")
    if images < place.size:
        raise RunError(f"{images} training images for {place.size} processes: start {images} or fewer")
    alone = normalises and not recipe.sync_batchnorm and place.size > 1
    least = place.size * (2 if alone else 1)
    if batch_size < min(least, images):
        why = ", and each normalises over its own share (or take --sync-batchnorm)" if alone else ""
        raise RunError(f"batch_size is {batch_size} for {place.size} processes{why}: take {least} or more")


def _learning_rate(recipe: Recipe, batch_size: int, network: nn.Module, reasons: list[str]) -> float:
    rate = default_learning_rate(recipe.optimizer, batch_size, network)
    if not starts_trained(recipe):
        return rate
    gentle = float(f"{rate * FINE_TUNING_RATE:.2g}")
    if recipe.learning_rate == AUTO:
        reasons.append(f"learning rate {gentle:g}, not {rate:g}: the weights are trained already")
    return gentle
