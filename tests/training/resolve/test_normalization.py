"""The setting normalization: what the weights expect, what was given, or what the images have; kept in model.json."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import convscope
from convscope.data.open import probe
from convscope.data.preprocessing import HALVES, Normalization
from convscope.data.sources.digits import load_digits
from convscope.errors import RunError
from convscope.nets import from_timm
from convscope.recipe.recipe import Recipe
from convscope.training.resolve.normalization import normalization
from convscope.training.resolve.resolve import resolve

IMAGENET = Normalization.default(3)
DIGITS = probe("digits")


def resolved(**settings: Any) -> tuple[Normalization | None, str]:
    """The normalisation of a recipe on the digits, and the lines of its choices."""
    found = resolve(Recipe(epochs=1, batch_size=8, **settings), DIGITS)
    return found.normalization, "\n".join(choice.text for choice in found.choices)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"model": "lenet5"}, None),
        ({"model": "resnet18", "channels": 3, "image_size": "32"}, None),
        ({"model": "lenet5", "weights": "x.pth"}, None),
        ({"model": "resnet18", "channels": 3, "image_size": "32", "weights": "x.pth"}, IMAGENET),
        ({"model": "resnet18", "image_size": "32", "weights": "x.pth"}, IMAGENET.averaged(1)),
        ({"model": "googlenet", "channels": 3, "image_size": "64", "weights": "x.pth"}, HALVES),
        ({"model": "resnet18", "image_size": "32", "weights": "x.pth", "normalization": "data"}, None),
        ({"model": "lenet5", "normalization": "imagenet"}, Normalization((0.449,), (0.226,))),
        ({"model": "lenet5", "mean": "0.1", "std": "0.3"}, Normalization((0.1,), (0.3,))),
        ({"model": "lenet5", "channels": 3, "mean": "0.1", "std": "0.3"}, Normalization((0.1,) * 3, (0.3,) * 3)),
        ({"model": "lenet5", "channels": 3, "mean": "0,1,.5", "std": "1,2,3"}, Normalization((0, 1, 0.5), (1, 2, 3))),
    ],
)
def test_what_a_recipe_becomes(settings: dict[str, Any], expected: Normalization | None) -> None:
    found, text = resolved(**settings)
    assert found == expected
    # A choice is shown where the weights decided.
    by_weights = "weights" in settings and expected is not None
    assert ("what published weights" in text) is by_weights and ("mean 0.5,0.5,0.5" in text) is (expected == HALVES)


def test_timms_own_is_taken_for_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"mean": (0.5, 0.4, 0.3), "std": (0.5, 0.5, 0.5)}
    monkeypatch.setattr(from_timm, "require_name", lambda name: name)
    monkeypatch.setattr(from_timm, "_on_meta", lambda name: SimpleNamespace(pretrained_cfg=facts))
    recipe = Recipe(model="timm/some", model_options="pretrained=true")

    def values(recipe: Recipe, channels: int) -> dict[str, object]:
        return {choice.setting: choice.value for choice in normalization(recipe, channels=channels)}

    assert values(recipe, 3) == {"mean": "0.5,0.4,0.3", "std": "0.5,0.5,0.5", "normalization": "given"}
    assert values(recipe, 1) == {"mean": "0.4", "std": "0.5", "normalization": "given"}
    assert values(Recipe(model="timm/some"), 3) == {"normalization": "data"}
    facts.clear()
    assert values(recipe, 3) == {"normalization": "imagenet"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mean": "0.5"}, "mean is given alone: give mean and std"),
        ({"normalization": "given"}, "normalization given: give mean and std"),
        ({"mean": "0.5", "std": "0.5", "normalization": "data"}, "contradict each other"),
        (
            {"mean": "124,117,104", "std": "58,57,57"},
            "mean is 124,117,104: it is 0 to 1, where 255 is 1.0: give it, div",
        ),
        ({"mean": "0.5", "std": "0"}, "std is 0: it is 1e-09 to 10"),
        ({"mean": "0.5,0.5", "std": "1,1"}, "it is one number, or one for each of three channels"),
        ({"mean": "half", "std": "1"}, "mean is 'half': it is one number, or three with commas"),
        ({"mean": "nan", "std": "1"}, "mean is nan: it is 0 to 1"),
        ({"mean": "0.5,0.5,0.5", "std": "1"}, "give as many numbers in both"),
        ({"mean": "0.5,0.5,0.5", "std": "1,1,1"}, "mean and std have 3 numbers, and images have 1 channel: give one"),
    ],
)
def test_what_is_no_normalisation_is_one_line(settings: dict[str, str], message: str) -> None:
    with pytest.raises(RunError) as raised:
        resolved(model="lenet5", **settings)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_a_run_keeps_it_and_starts_others_by_their_own_data(tmp_path: Path) -> None:
    recipe = Recipe(model="lenet5", epochs=1, normalization="imagenet", device="cpu", autotune="rules")
    places = {"runs_directory": tmp_path / "runs", "cache_directory": tmp_path / "cache"}
    outcome = convscope.train("digits", recipe, **places)
    kept = json.loads((outcome.run.path / "model.json").read_text())["preprocessing"]
    assert (kept["mean"], kept["std"]) == ([0.449], [0.226])
    predictor = convscope.load(outcome)
    image = load_digits()[0][7]
    seen: list[torch.Tensor] = []
    hook = predictor.network.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    predictor(image, tta=False)
    hook.remove()
    assert float(seen[0].min()) == pytest.approx((0 - 0.449) / 0.226, abs=1e-6)
    # The weights of a run were trained with its own data's, and so is what starts from them.
    again = convscope.train(
        "digits", Recipe(epochs=1, weights=str(outcome.run.path), device="cpu", autotune="rules"), **places
    )
    assert convscope.load(again).spec.normalization not in (IMAGENET.averaged(1), Normalization.default(1))
    # Features of a frozen backbone are as it was trained.
    probe = Recipe(weights=str(outcome.run.path), model="lenet5")
    assert {choice.value for choice in normalization(probe, channels=1, solved=True)} == {"given", "0.449", "0.226"}
