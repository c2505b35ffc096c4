"""What is settled before an image is decoded: where the run finds its data again."""

from __future__ import annotations

from pathlib import Path

import pytest

import data_makers as made
from convscope.data.open import open_dataset, probe
from convscope.recipe.recipe import Recipe
from convscope.runs.events import Silent
from convscope.training.opening import Opening, settle


@pytest.mark.parametrize("kind", ["table", "folder"])
def test_data_behind_a_link_is_found_again_from_another_folder(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.fill(tmp_path / "set", {"a": 6, "b": 6})
    store = tmp_path / "store"
    store.mkdir()
    if kind == "table":  # as version control for data keeps it: a link to an object without an ending
        images = sorted((tmp_path / "set").glob("*/*.png"))
        rows = (f"{path.relative_to(tmp_path / 'set')},{path.parent.name}" for path in images)
        (store / "0c4f").write_text("\n".join(["image,label", *rows]))
        (tmp_path / "set" / "labels.csv").symlink_to(store / "0c4f")
        given, lasting = "labels.csv", tmp_path / "set" / "labels.csv"
    else:
        (tmp_path / "set" / "linked").symlink_to(tmp_path / "set")
        given, lasting = "linked", tmp_path / "set"
    monkeypatch.chdir(tmp_path / "set")
    recipe = Recipe(data=given, model="lenet5", epochs=1, optimizer="sgd", autotune="rules", threads=1)
    kept = settle(recipe, Opening(listener=Silent(), autotune=False)).resolved.recipe
    assert kept.data == str(lasting)
    monkeypatch.chdir(tmp_path)
    assert sum(open_dataset(probe(kept.data), cache_directory=tmp_path / "cache").counts.values()) == 12


def test_a_folder_that_is_called_as_what_is_built_in_is_kept_as_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.fill(tmp_path / "digits", {str(number): 4 for number in range(10)})
    monkeypatch.chdir(tmp_path)
    recipe = Recipe(data="digits", model="lenet5", epochs=1, optimizer="sgd", autotune="rules", threads=1)
    kept = settle(recipe, Opening(listener=Silent(), autotune=False)).resolved.recipe
    assert kept.data == str(tmp_path / "digits")
    assert (probe("digits").kind, probe("digits", of_run=True).kind) == ("folder", "digits")
    assert settle(recipe, Opening(listener=Silent(), autotune=False, of_run=True)).found.kind == "digits"
    monkeypatch.chdir("/")
    kept = settle(recipe, Opening(listener=Silent(), autotune=False)).resolved.recipe
    assert kept.data == "digits"
