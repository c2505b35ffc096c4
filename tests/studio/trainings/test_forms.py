"""Forms, data sets and comparisons: every setting has a field, no path leaves or enters, what differs is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as drawn
from hypothesis import strategies as st

from convscope.data.open import probe
from convscope.errors import ConvscopeError, DataError
from convscope.recipe.recipe import Recipe, names, settings
from convscope.studio.protocol import StudioError
from convscope.studio.trainings.comparison import compared
from convscope.studio.trainings.data_sets import DIGITS, DataSets
from convscope.studio.trainings.recipe_fields import LEFT_OUT, recipe_fields, recipe_of, trainable
from convscope.studio.trainings.room import TrainRoom

FIELDS = {field["name"]: field for field in recipe_fields()}


def test_every_setting_has_a_field_with_its_help_and_limits() -> None:
    assert set(FIELDS) == set(names()) - set(LEFT_OUT)
    for item in settings():
        if item.name in FIELDS:
            field = FIELDS[item.name]
            assert field["help"] and field["group"] == item.metadata["group"] and field["default"] == item.default
            assert field["limits"]["at_least"] == item.metadata["at_least"]
    assert json.dumps(recipe_fields())


def test_defaults_and_choices_are_values_that_a_recipe_takes() -> None:
    for name, field in FIELDS.items():
        default = field["default"]
        text = {True: "yes", False: "no"}[default] if isinstance(default, bool) else str(default)
        assert recipe_of({name: text}, data="digits", weights={}).given == {"data": "digits"}, name
    for word in FIELDS["optimizer"]["choices"]:
        assert recipe_of({"optimizer": word}, data="digits", weights={}).optimizer == word
    assert set(trainable()) < set(FIELDS["model"]["choices"])


VALUES = st.text(max_size=20) | st.integers() | st.booleans()


@drawn(suppress_health_check=[HealthCheck.too_slow])  # on a machine that does other work
@given(st.dictionaries(st.sampled_from([*FIELDS, "data", "x"]), VALUES, max_size=3))
def test_any_form_is_a_recipe_or_refused_in_one_line(values: dict[str, Any]) -> None:
    said, recipe = "", None
    try:
        recipe = recipe_of(values, data="digits", weights={})
    except ConvscopeError as error:
        said = str(error)
    if recipe is None:
        assert said and "\n" not in said
    else:
        assert recipe.data == "digits" and recipe.weights == "" and recipe.model in ("auto", *trainable())


@pytest.mark.parametrize(
    "values",
    [
        {"data": "/etc"}, {"image_folder": "/etc"}, {"model": "x.py:f"}, {"model": "timm/resnet18"},
        {"weights": "/etc/x.pth"},
        {"epochs": "1e9"}, {"epochs": []}, {"minutes": "nan"}, {"layout": "train=../..,test=/etc"}, {"x": 1},
        {"group_by": "a" * 501}, {"epochs": 3, "minutes": 5},
    ],
)  # fmt: skip
def test_paths_code_and_values_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(StudioError):
        recipe_of(values, data="digits", weights={"run": "/runs/run"})


def test_weights_are_those_of_a_run() -> None:
    found = recipe_of({"weights": "run", "model": "lenet5"}, data="digits", weights={"run": "/runs/run"})
    assert found == Recipe(data="digits", weights="/runs/run", model="lenet5")


def test_the_built_in_set_is_trained_on_beside_a_folder_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / "digits" / name).mkdir(parents=True)
        (tmp_path / "digits" / name / "1.png").touch()
    recipe = TrainRoom(tmp_path / "runs").recipe("digits", {})
    assert [probe(source).listing.kind for source in (recipe.data, "digits")] == ["digits", "folder"]
    assert probe(recipe.data).listing.source == "digits"  # what the run keeps
    with pytest.raises(DataError, match="built-in:digits is no folder"):
        probe(recipe.data, layout="classes")


def test_sets_below_the_roots_are_listed_without_their_paths(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    below = "flowers/rose flowers/daisy split/train/a split/train/b split/test/a deep/er/x/1 deep/er/x/2 <b>/a <b>/b"
    for folder in (*below.split(), ".hidden/a", ".hidden/b", "docs/a", "docs/b"):
        (root / folder).mkdir(parents=True)
        (root / folder / ("0.png" if "docs" not in folder else "0.md")).write_bytes(b"")
    (root / "labels.csv").write_text("image,label\n")
    (outside / "a").mkdir(parents=True)
    (root / "link").symlink_to(outside)
    sets = DataSets((root, tmp_path / "missing"))
    found = {each.title: each for each in sets.listed()}
    assert set(found) == {DIGITS.title, "flowers", "split", "deep/er/x", "<b>", "labels.csv"}
    assert (found["flowers"].classes, found["split"].classes, found["labels.csv"].kind) == (2, 2, "table")
    assert str(tmp_path) not in json.dumps([each.to_dict() for each in found.values()])
    assert DataSets((root,)).find(found["flowers"].id).source == str(root / "flowers")
    for name in ("/etc", "../..", str(root / "flowers"), "set-0000000000000000", ""):
        with pytest.raises(StudioError, match="there is no data set"):
            sets.find(name)
    (root / "flowers").rename(outside / "flowers")
    with pytest.raises(StudioError, match="'flowers' is gone"):
        sets.find(found["flowers"].id)


def test_a_comparison_says_what_differs() -> None:
    def record(name: str, recall: float | None, split: str = "test", **given: Any) -> dict[str, Any]:
        score = {"name": "<b>", "images": 3, "recall": recall, "f1": None, "average_precision": None}
        scores = None if recall is None else {"split": split, "images": 3, "measure": 0.5, "classes": [score]}
        recipe = {**Recipe(data="digits").to_dict(), **given}
        return {"name": name, "rows": [], "scores": scores, "recipe": {"settings": recipe}, "state": "done"}

    found = compared([record("a", 0.5), record("b", 0.75, "val", epochs=3), record("c", None, flip=True)])
    assert found["settings"] == [
        {"name": "flip", "values": ["auto", "auto", True]},
        {"name": "epochs", "values": ["auto", 3, "auto"]},
    ]
    (scored,) = found["classes"]
    assert scored["name"] == "<b>" and [each and each["recall"] for each in scored["runs"]] == [0.5, 0.75, None]
    assert found["notes"] == ["the scores are of different images: a: 3 test; b: 3 val", "no scores by class yet: c"]
    # 0 and False, 1 and True are not the same.
    assert compared([record("a", None, seed=0), record("b", None, seed=0)])["settings"] == []
    unread = compared([record("a", None), {**record("b", None), "recipe": None}])
    assert unread["settings"] == []
