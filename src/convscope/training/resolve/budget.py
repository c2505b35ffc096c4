"""Epochs, batch size and learning rate where they are left at auto, by the number of training images.

These rules are part of `convscope.training.resolve.resolve`.
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
from convscope.recipe.presets import completed, table
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO, value_or
from convscope.training.optim.optimizers import default_learning_rate
from convscope.training.resolve.resolved_recipe import Resolution
from convscope.training.start import FINE_TUNING_RATE, starts_trained

# Held back to choose the best weights by: a tenth, and no more than tell an accuracy to about half a percent.
VALIDATION_FRACTION, MOST_HELD_BACK = 0.1, 2_000


def validation_fraction(found: Probe, recipe: Recipe) -> float:
    """Return the share of the training images that is held back where there is no val folder."""
    images = found.counts["train"] if "train" in found.counts else len(found.listing.rows_of(WHOLE))
    share = min(VALIDATION_FRACTION, MOST_HELD_BACK / max(1, images))
    # A share that leaves too little beside a large test part gives way to it.
    return value_or(recipe.validation_fraction, min(share, (1 - recipe.test_fraction) / 2))


def training_images(found: Probe, recipe: Recipe) -> int:
    """Estimate the number of training images from the counts before the split."""
    return max(1, len(training_rows(found, recipe)))


def training_rows(found: Probe, recipe: Recipe) -> Labels:
    """Return the rows of the listing that will be trained on, but for what is known once they are decoded.

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


def choose_budget(recipe: Recipe, found: Probe, network: nn.Module, resolution: Resolution) -> Recipe:
    """Return the recipe with its epochs, batch size and learning rate.

    A batch has no more images than there are to train on, and the rate is that of the images that it has.

    Raises:
        RunError: a batch, or what one process has of it, that is too small to train on.
    """
    images = training_images(found, recipe)
    budget = table(recipe.preset, recipe.model).budget
    epochs = value_or(recipe.epochs, budget.epochs_for(images))
    asked = value_or(recipe.batch_size, budget.batch_size_for(images))
    check_batch(recipe, Rank.of(), network, asked, images)
    batch_size = min(asked, images)
    reason = f"for about {images:,} training images"
    if recipe.epochs == AUTO:
        resolution.choose("epochs", epochs, reason)
    if recipe.batch_size == AUTO:
        resolution.choose("batch_size", batch_size, reason)
    elif batch_size < asked:
        resolution.notify(f"batch size {batch_size:,}, not {asked:,}: there are no more images to train on")
    rate = usual_learning_rate(recipe, batch_size, network)
    if recipe.learning_rate != AUTO:
        rate = recipe.learning_rate
    elif starts_trained(recipe):
        resolution.choose("learning_rate", rate, f"{FINE_TUNING_RATE:g} of the usual rate, for trained weights")
    return recipe.changed({"epochs": epochs, "batch_size": batch_size, "learning_rate": rate})


def check_batch(recipe: Recipe, rank: Rank, network: nn.Module, batch_size: int, images: int) -> None:
    """Raise RunError where a batch, or what one process has of it, is too small to train on."""
    normalises = has_batch_norm(network)
    if recipe.sync_batchnorm and not normalises:
        raise RunError(f"sync_batchnorm: {recipe.model} has no batch normalization: leave it out")
    if batch_size == 1 < images and normalises:
        raise RunError(f"batch_size is 1, and {recipe.model} normalises over the batch: take 2 or more")
    if images < rank.size:
        raise RunError(f"{images} training images for {rank.size} processes: start {images} or fewer")
    alone = normalises and not recipe.sync_batchnorm and rank.size > 1
    least = rank.size * (2 if alone else 1)
    if batch_size < min(least, images):
        why = ", and each normalises over its own share (or take --sync-batchnorm)" if alone else ""
        raise RunError(f"batch_size is {batch_size} for {rank.size} processes{why}: take {least} or more")


def usual_learning_rate(recipe: Recipe, batch_size: int, network: nn.Module) -> float:
    """Return the rate where none is given: the preset's, else the optimizer's, and less of it for trained weights."""
    of_preset = completed(recipe.changed({"learning_rate": AUTO}), recipe.model, recipe.loss).learning_rate
    if of_preset != AUTO:
        return of_preset
    rate = default_learning_rate(recipe.optimizer, batch_size, network)
    return float(f"{rate * FINE_TUNING_RATE:.2g}") if starts_trained(recipe) else rate
