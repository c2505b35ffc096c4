"""How much is held back, and what can be trained on what is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from convscope.data.open import open_dataset, probe
from convscope.errors import RunError
from convscope.train.auto.choose import settle
from convscope.train.auto.dosing import training_images
from convscope.train.settings.recipe import Recipe


def test_held_back_images_are_not_counted() -> None:
    found = probe("digits")
    assert training_images(found, Recipe()) == open_dataset("digits").counts["train"] == 1439
    assert training_images(found, Recipe(test_fraction=0.0, validation_fraction=0.0)) == 1797


def test_a_tenth_validates_but_no_more_than_can_be_told_apart() -> None:
    found = probe("digits")
    assert settle(Recipe(), found).recipe.held_back == 0.1
    labels = np.resize(found.listing.labels, 60_000)
    many = replace(found, listing=replace(found.listing, labels=labels, parts={"train": 50_000, "test": 10_000}))
    assert settle(Recipe(), many).recipe.held_back * 50_000 == 2_000
    assert settle(Recipe(validation_fraction=0.3), many).recipe.held_back == 0.3
    assert settle(Recipe(test_fraction=0.95), found).recipe.held_back == pytest.approx(0.025)


def test_one_image_a_step_is_too_few_to_normalise_over() -> None:
    with pytest.raises(RunError, match="take 2 or more"):
        settle(Recipe(model="resnet18", batch_size=1), probe("digits"))
