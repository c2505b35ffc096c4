"""Whether images are mirrored where that is left at auto: by their channels, their classes' names, and their pixels.

This rule is part of `resolve.resolve`, and the only one that decodes images: a sample of those to train on, the
same for one split seed. It is done once, for the settled recipe says yes or no.
"""

from __future__ import annotations

from torch import Tensor

from convscope.data.open import Probe
from convscope.data.records import Decoding
from convscope.recipe.recipe import Recipe
from convscope.training.resolve.budget import training_rows
from convscope.training.resolve.label_names import changed_by_mirror, changed_by_turning
from convscope.training.resolve.mirror_test import find_confusion, read_sample

TURNS = "trivial_augment turns images by up to 135 degrees, which changes labels here"


def choose_flip(recipe: Recipe, found: Probe, decoding: Decoding, notes: list[str]) -> tuple[bool, str]:
    """Return whether images are mirrored, and why not where nothing was said and they are not.

    Adds a note where what was asked for, a flip or TrivialAugment's turns, changes labels.
    """
    turning = changed_by_turning(found.classes) if recipe.trivial_augment else None
    if turning:
        notes.append(f"{TURNS}: {turning}")
    by_names = changed_by_mirror(found.classes)
    if isinstance(recipe.flip, bool):
        if recipe.flip and by_names:
            notes.append(f"flip yes mirrors images whose labels a mirror can change: {by_names}")
        return recipe.flip, ""
    if by_names or decoding.channels != 3:
        return False, by_names or "grey"
    seed = recipe.seed_of_split
    sample = read_sample(found.listing, training_rows(found, recipe), decoding, seed=seed)
    if sample is None:
        return True, ""
    if recipe.trivial_augment and not turning and (turned := find_confusion(sample, _turned, seed=seed)):
        notes.append(f"{TURNS}: {turned.told('turned')}")
    mirrored = find_confusion(sample, _mirrored, seed=seed)
    return mirrored is None, "" if mirrored is None else mirrored.told("mirrored")


def _mirrored(images: Tensor) -> Tensor:
    return images.flip(3)


def _turned(images: Tensor) -> Tensor:
    return images.rot90(1, (2, 3))
