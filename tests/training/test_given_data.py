"""What a run that is resumed from Python takes of the recipe that it is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import to_toml
from convscope.recipe.setting import SettingValue
from convscope.runs.run_directory import Run
from convscope.training.given_data import changes_of

OF_RUN = Recipe(model="lenet5", epochs=3, patience=5, threads=1)


@pytest.mark.parametrize(
    "changes",
    [{}, {"epochs": 8}, {"patience": 0}, {"patience": 2, "threads": 2}, {"device": "cpu"}],
)
def test_what_a_recipe_says_is_changed_and_nothing_else(changes: dict[str, SettingValue], tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.recipe_path.write_text(to_toml(OF_RUN))
    assert changes_of(Recipe.from_dict(changes), run) == changes
    assert changes_of(OF_RUN.changed(changes), run) == changes
