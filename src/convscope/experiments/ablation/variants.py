"""The variants of an ablation, as records for the command, the table and the page.

A variant applies to a training where it changes something; that is found out by trying, not listed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from convscope.data.records import ImageSet
from convscope.data.split import stratified_split
from convscope.errors import RunError, did_you_mean
from convscope.experiments.ablation import surgery
from convscope.recipe.recipe import Recipe, choices, settings
from convscope.recipe.setting import SettingValue
from convscope.report.short_repr import ShortRepr
from convscope.scoring.test_time_augmentation import ONE

BASELINE = "baseline"
# What is removed by default, as far as the network and the recipe have it.
USUAL = ("relu", "dropout", "augmentation", "batchnorm", "weight-decay", "label-smoothing")
# How a word setting says "nothing".
OFF_WORDS = ("off", "none", "no", "never", "random")


def _same_recipe(recipe: Recipe) -> Recipe:
    return recipe


def _same_network(network: nn.Module, batch: Tensor | None) -> int:
    return 0


def _same_images(images: ImageSet, seed: int) -> ImageSet:
    return images


@dataclass(frozen=True, kw_only=True, repr=False)
class Variant(ShortRepr):
    """One thing to remove.

    Args:
        name: as it is typed after `--without`.
        label: what is trained then, in tables and plots.
        how: what is done, in one sentence.
        needs: what a training must have for it, to say so where it has none.
        recipe: the settings with it removed.
        surgery: takes it out of a network, in place, knowing the first batch (or None); says how many modules changed.
        images: the training images that are left, by the seed of the split.
        gone: the operation that no longer occurs then, as a Graph names it; "" where the surgery takes out none.
    """

    name: str
    label: str
    how: str
    needs: str
    recipe: Callable[[Recipe], Recipe] = _same_recipe
    surgery: Callable[[nn.Module, Tensor | None], int] = _same_network
    images: Callable[[ImageSet, int], ImageSet] = _same_images
    gone: str = ""


def _with(**changes: SettingValue) -> Callable[[Recipe], Recipe]:
    return lambda recipe: recipe.changed(changes)


def without_augmentation(recipe: Recipe) -> Recipe:
    """Return every setting of the recipe's group "augmentation" at what does nothing.

    >>> without_augmentation(Recipe(flip=True, random_crop_padding=4)).flip
    False
    """
    off = {item.name: _off(item.name) for item in settings() if item.metadata["group"] == "augmentation"}
    return recipe.changed(off)


def _off(name: str) -> SettingValue:
    """Return the value of a setting that does nothing: no, 0, or the word for nothing."""
    words = choices(name)
    if words:
        return next(word for word in OFF_WORDS if word in words)
    tried: list[SettingValue] = [False, 0, 0.0, ""]
    for value in tried:
        try:
            Recipe.from_dict({name: value})
        except RunError:
            continue
        return value
    raise AssertionError(f"nothing switches {name} off")


def _half(images: ImageSet, seed: int) -> ImageSet:
    """Return half of the images of each class."""
    rows, _ = stratified_split(images.labels, (0.5,), seed=seed)
    names = [images.names[row] for row in rows.tolist()]
    targets = None if images.targets is None else images.targets[rows]
    return replace(
        images, images=np.asarray(images.images[rows]), labels=images.labels[rows], names=names, targets=targets
    )


def _twice_the_epochs(recipe: Recipe) -> Recipe:
    assert isinstance(recipe.epochs, int)
    return recipe.changed({"epochs": 2 * recipe.epochs})


VARIANTS: Mapping[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant(
            name="relu",
            label="sigmoid for ReLU",
            how="a sigmoid in the place of each ReLU, on the same initial weights",
            needs="ReLU modules",
            surgery=surgery.sigmoid_for_relu,
            gone="relu",
        ),
        Variant(
            name="relu-tanh",
            label="tanh for ReLU",
            how="a hyperbolic tangent in the place of each ReLU, on the same initial weights",
            needs="ReLU modules",
            surgery=surgery.tanh_for_relu,
            gone="relu",
        ),
        Variant(
            name="dropout",
            label="no dropout",
            how="nothing in the place of each dropout",
            needs="dropout",
            surgery=surgery.without_dropout,
        ),
        Variant(
            name="augmentation",
            label="no augmentation",
            how="training images as they are",
            needs="augmentation",
            recipe=without_augmentation,
        ),
        Variant(
            name="batchnorm",
            label="no BatchNorm",
            how=(
                "a learned scale and shift of each channel in the place of batch normalization, which start as what "
                "it does to the first training images: the network starts the same, and stops normalizing"
            ),
            needs="batch normalization",
            surgery=surgery.without_batch_norm,
            gone="batch_norm",
        ),
        Variant(
            name="weight-decay",
            label="no weight decay",
            how="weight decay 0",
            needs="weight decay",
            recipe=_with(weight_decay=0.0),
        ),
        Variant(
            name="label-smoothing",
            label="no label smoothing",
            how="label smoothing 0",
            needs="label smoothing",
            recipe=_with(label_smoothing=0.0),
        ),
        Variant(
            name="momentum",
            label="no momentum",
            how="momentum 0 at the same learning rate",
            needs="momentum",
            recipe=_with(momentum=0.0),
        ),
        Variant(
            name="test-views",
            label="one test view",
            how="each test image seen once, not in several views",
            needs="several views of a test image",
            recipe=_with(tta=ONE),
        ),
        Variant(
            name="max-pooling",
            label="average for max pooling",
            how="the average of each window in the place of its maximum",
            needs="max pooling",
            surgery=surgery.average_for_max_pooling,
            gone="max_pool",
        ),
        Variant(
            name="half-the-data",
            label="half of the data",
            how="half of the training images of each class, for twice the epochs: as many steps",
            needs="two training images of a class",
            recipe=_twice_the_epochs,
            images=_half,
        ),
    )
}
EVERYTHING = Variant(name=BASELINE, label="everything on", how="nothing is removed", needs="")


def find_variant(name: str) -> Variant:
    """Return a variant, or the baseline, by its name; raises RunError."""
    if name == BASELINE:
        return EVERYTHING
    if name not in VARIANTS:
        raise RunError(
            f"{name!r} is no part that can be removed.{did_you_mean(name, VARIANTS)} Known: {', '.join(VARIANTS)}"
        )
    return VARIANTS[name]


def applies(variant: Variant, recipe: Recipe, network: Callable[[], nn.Module]) -> bool:
    """Return whether the variant changes anything in a training; `network` makes one that it may change."""
    if variant.images is not _same_images or variant.recipe(recipe) != recipe:
        return True
    with torch.device("meta"):
        return variant.surgery(network(), None) > 0


def choose_variants(without: Sequence[str] | None, recipe: Recipe, network: Callable[[], nn.Module]) -> list[Variant]:
    """Return the variants that were asked for, or the usual ones that apply.

    Raises:
        RunError: an unknown name, one that does not apply here, or none at all; the message lists those that do.
    """
    fit = [name for name, variant in VARIANTS.items() if applies(variant, recipe, network)]
    if without is None:
        return [VARIANTS[name] for name in USUAL if name in fit]
    asked = [find_variant(name) for name in dict.fromkeys(without)]
    for variant in asked:
        if variant.name == BASELINE:
            raise RunError("the baseline is always trained: name what to remove, like relu,dropout")
        if variant.name not in fit:
            raise RunError(
                f"{variant.name} can't be removed: this training of {recipe.model} has no {variant.needs}; "
                f"what applies here: {', '.join(fit)}"
            )
    if not asked:
        raise RunError(f"there is nothing to remove: name some of {', '.join(fit)}")
    return asked
