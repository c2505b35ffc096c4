"""What a time budget chooses, with fake rates: the network, its batch and its views, and nothing that was named."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from convscope.data.memory.source import list_memory
from convscope.data.open import Probe, probe
from convscope.recipe.recipe import Recipe
from convscope.training import choice_in_time
from convscope.training.choice_in_time import ChosenInTime, chosen_in_time
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.timing.rates import Rates
from convscope.training.timing.time_budget import TimeBudget

# Seconds of a step for each image, on a machine that a test makes up.
STEP = {"lenet5": 1e-4, "cifarnet-tiny": 4e-4, "cifarnet-small": 8e-4, "cifarnet": 2e-3, "resnet18": 1e-2}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Return the seconds of a step by network, which a test may change; how often each was measured is counted."""
    speeds = dict(STEP)

    def rates(resolved: ResolvedRecipe, *, effort: float, directory: Path) -> Rates:
        step = speeds.get(resolved.model, 5e-3)
        return Rates(steps=((1.0, step),), prepare=0.0, validate=step / 3, view=step / 2, written=0.01)

    monkeypatch.setattr(choice_in_time, "rates_on_noise", rates)
    monkeypatch.setattr(choice_in_time, "known_rates", lambda resolved, directory: None)
    return speeds


def images(count: int, side: int, channels: int) -> Probe:
    """Return images in memory of ten classes; all rows are one, so that they take no room."""
    pixels = np.broadcast_to(np.zeros((side, side, channels), np.uint8), (count, side, side, channels))
    return Probe(list_memory((pixels, np.arange(count) % 10)))


def chosen(found: Probe, minutes: float = 0.0, **settings: object) -> ChosenInTime:
    recipe = Recipe.from_dict({"data": "images", **settings})
    budget = TimeBudget(seconds=60 * (minutes or 10), began=time.monotonic(), given=bool(minutes))
    return chosen_in_time(recipe, found, budget)


@pytest.mark.usefixtures("machine")
def test_the_usual_network_stays_where_its_epochs_fit_and_nothing_is_said() -> None:
    assert chosen(probe("digits")) == ChosenInTime(recipe=Recipe(data="images"))
    assert chosen(images(4_000, 64, 1)) == ChosenInTime(recipe=Recipe(data="images"))


def test_a_network_that_would_take_hours_gives_way(machine: dict[str, float]) -> None:
    machine.update({"cifarnet": 0.1, "cifarnet-small": 0.004, "cifarnet-tiny": 0.002})
    found = chosen(images(12_000, 64, 1))
    assert str(found.recipe.model).startswith("cifarnet-")
    assert "cifarnet would have" in found.choices[0].reason


def test_a_machine_that_is_busy_now_keeps_the_usual_network(
    machine: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine["cifarnet"] = 0.1
    quiet = Rates(steps=((1.0, 1e-3),), prepare=0.0, validate=1e-4, view=1e-4, written=0.01)
    monkeypatch.setattr(choice_in_time, "known_rates", lambda resolved, directory: quiet)
    assert chosen(images(4_000, 64, 1)) == ChosenInTime(recipe=Recipe(data="images"))
    # Minutes that were given are kept to.
    monkeypatch.setattr(choice_in_time, "known_rates", lambda resolved, directory: None)
    assert chosen(images(4_000, 64, 1), 2).choices[0].value != "cifarnet"


@pytest.mark.usefixtures("machine")
def test_nothing_that_was_named_is_changed() -> None:
    found = chosen(images(12_000, 32, 3), 0.2, model="cifarnet", tta="flip-shift", batch_size=77, image_size="32")
    assert (found.recipe.model, found.recipe.tta, found.recipe.batch_size) == ("cifarnet", "flip-shift", 77)
    assert found.recipe.image_size == "32x32" and found.choices == ()


def test_a_test_whose_views_do_not_fit_has_fewer(machine: dict[str, float]) -> None:
    machine["cifarnet"] = 2.5e-3
    found = chosen(images(8_000, 32, 3), 1, model="cifarnet")
    assert found.recipe.tta in ("one", "flip") and found.choices[0].setting == "tta"
    assert "1 minute" in found.choices[0].reason
    longer = chosen(images(8_000, 32, 3), 60, model="cifarnet")
    assert longer.recipe.tta == "auto"


def test_a_batch_is_smaller_where_few_epochs_fit(machine: dict[str, float]) -> None:
    machine["cifarnet"] = 5e-3
    found = chosen(images(8_000, 32, 3), 2, model="cifarnet")
    long = chosen(images(8_000, 32, 3), 600, model="cifarnet")
    assert isinstance(found.recipe.batch_size, int) and long.recipe.batch_size == "auto"


def test_where_no_epoch_fits_the_fastest_is_taken(machine: dict[str, float]) -> None:
    machine.update(dict.fromkeys(machine, 10.0))
    found = chosen(images(12_000, 64, 1))
    assert found.recipe.model == "cifarnet-tiny"


@pytest.mark.usefixtures("machine")
def test_large_photographs_get_a_size_and_smaller_images_at_first() -> None:
    found = chosen(images(300, 256, 3), 5)
    assert found.recipe.model in ("mobilenet_v3_small", "mobilenet_v3_large", "resnet18", "resnet50")
    assert found.recipe.progressive_resize_start == 0.5
    kept = chosen(images(300, 256, 3), 5, image_size="96")
    assert kept.recipe.image_size == "96x96"


@pytest.mark.usefixtures("machine")
def test_trained_weights_and_other_presets_are_left_to_the_rules() -> None:
    found = images(4_000, 64, 3)
    assert chosen(found, 5, preset="finetune").choices == ()
    assert chosen(found, 5, preset="classic").recipe.model in ("auto", "alexnet-mini")
