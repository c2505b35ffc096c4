"""The named recipes: what each takes, what goes before it, and that nothing in a table is misspelt."""

from __future__ import annotations

from pathlib import Path

import pytest

from convscope.cli.settings import read_recipe
from convscope.data.open import probe
from convscope.errors import RunError
from convscope.nets import catalogue
from convscope.recipe.presets import FAST_FOR, NAMED, table
from convscope.recipe.recipe import Recipe, choices
from convscope.recipe.recipe_file import to_toml
from convscope.recipe.setting import AUTO
from convscope.training.resolve.resolve import resolve


def test_every_name_has_a_table_whose_settings_may_be_auto_and_are_allowed() -> None:
    assert tuple(NAMED) == choices("preset")
    assert set(FAST_FOR) <= set(catalogue.names())
    for named in (*NAMED.values(), *FAST_FOR.values()):
        assert Recipe.from_dict(named.settings).to_dict().items() >= dict(named.settings).items()
        assert {Recipe().to_dict()[name] for name in named.settings} == {AUTO}


@pytest.mark.parametrize("name", ["fast", "classic"])
def test_a_table_is_taken_where_nothing_was_said(name: str) -> None:
    resolved = resolve(Recipe(preset=name, model="alexnet-mini", warmup=0.37), probe("digits")).recipe
    # What the digits' being grey and characters forbids whoever asks.
    never = {"progressive_resize_share": 0.0, "pca_lighting": 0.0, "tta": "one", "flip_mode": "random"}
    expected = {**table(name, "alexnet-mini").settings, "warmup": 0.37, "preset": name, **never}
    assert resolved.to_dict().items() >= expected.items()
    # These have an auto of their own: the whole range of 16 bits, and whole epochs.
    assert not resolved.left_open - {"value_range", "steps"}


def test_classic_is_alexnets() -> None:
    resolved = resolve(Recipe.from_preset("classic"), probe("digits"))
    taken = resolved.recipe
    assert (taken.optimizer, taken.momentum, taken.learning_rate, taken.weight_decay) == ("sgd", 0.9, 0.01, 5e-4)
    assert (resolved.batch_size, taken.schedule, taken.label_smoothing) == (128, "plateau", 0.0)
    mirrored = resolve(Recipe(preset="classic", flip=True, channels=3), probe("digits")).recipe
    assert (mirrored.pca_lighting, mirrored.tta) == (0.1, "ten-crop")


def test_a_tables_rate_is_for_its_own_optimizer() -> None:
    usual = resolve(Recipe(model="lenet5", optimizer="adamw", batch_size=128), probe("digits"))
    classic = resolve(Recipe(preset="classic", model="lenet5", optimizer="adamw"), probe("digits"))
    assert classic.learning_rate == usual.learning_rate == 0.002
    assert resolve(Recipe(preset="classic", model="lenet5", optimizer="muon"), probe("digits")).recipe.momentum == 0.6


def test_cifarnet_asks_for_muon_and_without_it_for_decay() -> None:
    asked = resolve(Recipe(model="cifarnet"), probe("digits")).recipe
    assert (asked.optimizer, asked.momentum, asked.schedule, asked.weight_decay) == ("muon", 0.6, "triangular", 0.0)
    without = resolve(Recipe(model="cifarnet", optimizer="sgd"), probe("digits")).recipe
    assert (without.momentum, without.schedule, without.weight_decay) == (0.9, "triangular", 5e-4)


def test_trained_weights_are_moved_gently(tmp_path: Path) -> None:
    recipe = Recipe(preset="finetune", model="alexnet-mini", weights="some.pth")
    resolved = resolve(recipe, probe("digits"))
    usual = resolve(Recipe(model="alexnet-mini"), probe("digits"))
    assert resolved.learning_rate < usual.learning_rate and resolved.epochs < usual.epochs
    assert resolved.recipe.layer_lr_decay == 0.7


def test_a_recipe_is_read_by_name_or_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(to_toml(Recipe(preset="classic", epochs=3)))
    assert read_recipe(None) == Recipe()
    assert read_recipe("classic") == Recipe(preset="classic")
    assert read_recipe(str(file)) == Recipe(preset="classic", epochs=3)
    with pytest.raises(RunError, match=r"no recipe 'clasic'.*Did you mean classic"):
        read_recipe("clasic")
    with pytest.raises(RunError, match="can't be read"):
        read_recipe(str(tmp_path / "other.toml"))
