"""How much is held back, and what can be trained on what is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convscope.data.open import Probe, open_dataset, probe
from convscope.errors import RunError
from convscope.recipe.recipe import Recipe
from convscope.training.resolve.budget import rows_to_learn, validation_fraction
from convscope.training.resolve.resolve import resolve
from convscope.training.resolve.resolved_recipe import choice_lines
from data_makers import fill


def training_images(found: Probe, *, held_back: float | None = None, test_fraction: float = 0.1) -> int:
    listing = found.listing
    share = validation_fraction("auto", listing, test_fraction=test_fraction) if held_back is None else held_back
    return len(rows_to_learn(listing, held_back=share, test_fraction=test_fraction, seed=0)[0])


def test_held_back_images_are_not_counted() -> None:
    found = probe("digits")
    assert training_images(found) == open_dataset("digits").counts["train"] == 1439
    assert training_images(found, held_back=0.0, test_fraction=0.0) == 1797


def test_a_tenth_validates_but_no_more_than_can_be_told_apart() -> None:
    found = probe("digits")
    assert resolve(Recipe(), found).recipe.held_back == 0.1
    labels = np.resize(found.listing.labels, 60_000)
    many = replace(found, listing=replace(found.listing, labels=labels, parts={"train": 50_000, "test": 10_000}))
    assert resolve(Recipe(), many).recipe.held_back * 50_000 == 2_000
    assert resolve(Recipe(validation_fraction=0.3), many).recipe.held_back == 0.3
    assert resolve(Recipe(test_fraction=0.95), found).recipe.held_back == pytest.approx(0.025)


def test_one_image_a_step_is_too_few_to_normalise_over() -> None:
    with pytest.raises(RunError, match="take 2 or more"):
        resolve(Recipe(model="resnet18", batch_size=1), probe("digits"))


def test_held_back_images_of_a_train_folder_are_not_counted_either(tmp_path: Path) -> None:
    seed = fill(tmp_path / "train", {"cat": 7, "dog": 8})
    fill(tmp_path / "test", {"cat": 1, "dog": 1}, first_seed=seed)
    assert training_images(probe(str(tmp_path))) == open_dataset(str(tmp_path)).counts["train"] == 13
    assert training_images(probe(str(tmp_path)), held_back=0.0) == 15


@pytest.mark.parametrize("model", ["lenet5", "cifarnet"])
def test_a_step_has_no_more_images_than_there_are_and_their_rate(tmp_path: Path, model: str) -> None:
    fill(tmp_path, {"cat": 20, "dog": 20})
    found = probe(str(tmp_path))
    images = training_images(found)
    huge, fitting = (resolve(Recipe(model=model, batch_size=size), found) for size in (10**14, images))
    assert huge.recipe == fitting.recipe and huge.batch_size == images < 40
    assert huge.learning_rate == fitting.learning_rate
    assert [notice.text for notice in huge.notices] == [
        f"batch size {images}, not 100,000,000,000,000: there are no more images to train on"
    ]
    assert fitting.notices == resolve(huge.recipe, found).notices == ()


@pytest.mark.parametrize("recipe", ["fast", "classic"])
def test_a_step_of_a_recipe_has_no_more_images_than_there_are_either(tmp_path: Path, recipe: str) -> None:
    fill(tmp_path, {"cat": 5, "dog": 5})
    resolved = resolve(Recipe.from_preset(recipe), probe(str(tmp_path)))
    assert resolved.batch_size == 6 and resolved.notices == ()
    assert any(
        reason.endswith("batch size 6: for about 6 training images") for reason in choice_lines(resolved.choices)
    )
