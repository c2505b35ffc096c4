"""Settings that contradict each other, whatever the images and the machine are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convscope.errors import RunError
from convscope.recipe.setting import AUTO

if TYPE_CHECKING:
    from convscope.recipe.recipe import Recipe


def refuse_contradictions(recipe: Recipe) -> None:
    """Raise RunError where settings that each may be can't be meant together; the message says which to change."""
    if recipe.held_back + recipe.test_fraction >= 1:
        raise RunError(
            f"validation_fraction {recipe.validation_fraction} and test_fraction {recipe.test_fraction} leave no image "
            "to train on: let their sum be below 1"
        )
    if recipe.autotune == "fp32" and recipe.precision not in (AUTO, "fp32"):
        raise RunError(f"plan fp32 and precision {recipe.precision} contradict each other: leave one of them out")
    if recipe.loss == "hinge" and recipe.label_smoothing not in (AUTO, 0):
        raise RunError(
            f"label_smoothing {recipe.label_smoothing} with the hinge loss: a margin needs the one right class; "
            "take 0, or loss softmax"
        )
    if recipe.loss == "hinge" and (recipe.mixup or recipe.cutmix):
        raise RunError("mixup and cutmix make soft labels, and the hinge loss needs the one right class: take softmax")
