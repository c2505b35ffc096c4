"""Rules of resolve: the split, epochs, batch size, learning rate and weight decay, by the number of training images."""

from __future__ import annotations

from convscope.data.listing import WHOLE, Listing
from convscope.data.partition import split_rows
from convscope.data.records import Labels
from convscope.errors import RunError
from convscope.hardware.rank import Rank
from convscope.recipe.presets import TrainingBudget
from convscope.recipe.setting import AUTO, Auto, value_or
from convscope.report.units import plural
from convscope.report.usage import Placeholder, settings_text
from convscope.training.resolve.resolved_recipe import Choice

# Held back to choose the best weights by: a tenth, and no more than tell an accuracy to about half a percent.
VALIDATION_FRACTION, MOST_HELD_BACK = 0.1, 2_000
# Trained weights are moved gently: this share of the rate that fresh weights learn at.
FINE_TUNING_RATE = 0.2


def validation_fraction(asked: float | Auto, listing: Listing, *, test_fraction: float) -> float:
    """Return the share of the training images that is held back where there is no val folder."""
    share = min(VALIDATION_FRACTION, MOST_HELD_BACK / max(1, len(listing.rows_of(_part_to_learn(listing)))))
    # A share that leaves too little beside a large test part gives way to it.
    return value_or(asked, min(share, (1 - test_fraction) / 2))


def rows_to_learn(listing: Listing, *, held_back: float, test_fraction: float, seed: int) -> tuple[Labels, Labels]:
    """Return the rows of the listing for training and those for validation, but for what is known once decoded.

    Images that can't be read are among them, and equal ones may lie in two parts.
    """
    part = _part_to_learn(listing)
    rows = listing.rows_of(part)
    if part != WHOLE and (listing.parts.get("val") or not held_back):
        return rows, listing.rows_of("val")
    fractions = (held_back, test_fraction) if part == WHOLE else (held_back,)
    train, val, *_ = split_rows(listing, rows, fractions, seed=seed)
    return train, val


def _part_to_learn(listing: Listing) -> str:
    return "train" if "train" in listing.parts else WHOLE


def require_means(preset: str, schedule: str, patience: int, *, trained: bool, validated: bool) -> None:
    """Raise RunError where there are no trained weights to fine-tune, or no validation to follow."""
    if preset == "finetune" and not trained:
        raise RunError(
            f"the recipe finetune moves trained weights: give {settings_text(weights=Placeholder('FILE'))}, "
            f"or a timm network with {settings_text(model_options='pretrained=true')}"
        )
    if validated:
        return
    if schedule == "plateau":
        raise RunError("schedule plateau follows the validation, and there is none: let validation_fraction be above 0")
    if patience:
        raise RunError(
            f"patience {patience} waits for a better validation, and there is none: let validation_fraction be "
            "above 0, or leave patience out"
        )


def epochs(asked: int | Auto, images: int, budget: TrainingBudget) -> Choice[int]:
    """Return the number of epochs for a number of training images.

    >>> from convscope.recipe.presets import table
    >>> epochs("auto", 20_000, table("fast", "resnet18").budget).text
    'epochs 23: for about 20,000 training images'
    """
    return Choice.of("epochs", asked, budget.epochs_for(images), _by_images(images))


def batch_size(asked: int | Auto, images: int, budget: TrainingBudget, *, epochs: int | None = None) -> Choice[int]:
    """Return the batch size: no more images than there are to train on, and smaller where few epochs leave few steps.

    >>> from convscope.recipe.presets import table
    >>> batch_size(64, 40, table("fast", "resnet18").budget).notices
    ('batch size 40, not 64: there are no more images to train on',)
    """
    if asked == AUTO:
        usual, taken = budget.batch_size_for(images), budget.batch_size_for(images, epochs=epochs)
        reason = _by_images(images) + ("" if taken == usual else f", in {plural(epochs or 0, 'epoch')}")
        return Choice("batch_size", min(taken, images), reason)
    notice = f"batch size {images:,}, not {asked:,}: there are no more images to train on"
    return Choice("batch_size", min(asked, images), notices=(notice,) if asked > images else ())


def _by_images(images: int) -> str:
    return f"for about {images:,} training images"


def require_batch(batch_size: int, images: int, *, model: str, normalizes: bool, synchronized: bool) -> None:
    """Raise RunError where a batch, or what one process has of it, is too small for a model that `normalizes` over it.

    >>> require_batch(1, 40, model="resnet18", normalizes=True, synchronized=False)
    Traceback (most recent call last):
    ...
    convscope.errors.RunError: batch_size is 1, and resnet18 normalises over the batch: take 2 or more
    """
    processes = Rank.of().size
    if synchronized and not normalizes:
        raise RunError(f"sync_batchnorm: {model} has no batch normalization: leave it out")
    if batch_size == 1 < images and normalizes:
        raise RunError(f"batch_size is 1, and {model} normalises over the batch: take 2 or more")
    if images < processes:
        raise RunError(f"{images} training images for {processes} processes: start {images} or fewer")
    alone = normalizes and not synchronized and processes > 1
    least = processes * (2 if alone else 1)
    if batch_size < min(least, images):
        why = (
            f", and each normalises over its own share (or take {settings_text(sync_batchnorm=True)})" if alone else ""
        )
        raise RunError(f"batch_size is {batch_size} for {processes} processes{why}: take {least} or more")


def learning_rate(asked: float | Auto, default: float, *, trained: bool) -> Choice[float]:
    """Return the learning rate: as asked, else the optimizer's default, and less of it for trained weights.

    >>> learning_rate("auto", 0.035, trained=True).text
    'learning rate 0.007: 0.2 of the usual rate, for trained weights'
    """
    usual = float(f"{default * FINE_TUNING_RATE:.2g}") if trained else default
    why = f"{FINE_TUNING_RATE:g} of the usual rate, for trained weights" if trained else ""
    return Choice.of("learning_rate", asked, usual, why)


def weight_decay(asked: float | Auto, of_preset: float, *, decays: bool, model: str, optimizer: str) -> float:
    """Return the weight decay: 0 where it would do nothing; raise RunError where that was asked for.

    >>> weight_decay("auto", 5e-4, decays=False, model="cifarnet", optimizer="muon")
    0.0
    """
    if decays:
        return value_or(asked, of_preset)
    if asked not in (AUTO, 0):
        raise RunError(f"weight_decay {asked} does nothing to what {model} trains with {optimizer}: leave it out")
    return 0.0
