"""What a time budget chooses, with fake rates: the network, its batch and its views, and nothing that was named."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from clocks import StoppedClock
from convscope.data.memory.source import list_memory
from convscope.data.open import Probe, probe
from convscope.recipe.recipe import Recipe
from convscope.training.autotune.kept_rates import MeasuredRates
from convscope.training.network_choice import network_search
from convscope.training.network_choice.candidate_recipes import CandidateRecipes
from convscope.training.network_choice.choice_in_time import ChosenInTime, chosen_in_time
from convscope.training.network_choice.network_search import NetworkSearch
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.timing.accuracy_table import NO_TABLE
from convscope.training.timing.rates import Rates
from convscope.training.timing.time_budget import TimeBudget

# Seconds of a step for each image, on a machine that a test makes up.
STEP = {"lenet5": 1e-4, "cifarnet-tiny": 4e-4, "cifarnet-small": 8e-4, "cifarnet": 2e-3, "resnet18": 1e-2}

# When each command began, on the clocks of that machine.
BEGAN = 1000.0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Return the seconds of a step by network, which a test may change; "delay" is how busy the machine is.

    Its clocks stand still: what this machine takes for a test, or to decode an image, changes no choice.
    """
    speeds = dict(STEP)
    for clock in ("monotonic", "perf_counter"):
        monkeypatch.setattr(time, clock, StoppedClock(BEGAN))

    def rates(resolved: ResolvedRecipe, *, effort: float, directory: Path) -> MeasuredRates:
        step = speeds.get(resolved.model, 5e-3)
        alone = Rates(steps=((1.0, step),), prepare=0.0, validate=step / 3, view=step / 2, written=0.01)
        return MeasuredRates(alone=alone, delay=speeds.get("delay", 1.0))

    monkeypatch.setattr(network_search, "rates_on_noise", rates)
    monkeypatch.setattr(network_search, "known_rates", lambda resolved, directory: None)
    return speeds


@pytest.fixture
def no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expect no accuracy of any network, so that views are chosen by the time that they take."""
    monkeypatch.setattr(network_search, "accuracy_table", lambda: NO_TABLE)


def images(count: int, side: int, channels: int, *, several: bool = False) -> Probe:
    """Return images in memory of ten classes, one or two an image; all rows are one, so that they take no room."""
    pixels = np.broadcast_to(np.zeros((side, side, channels), np.uint8), (count, side, side, channels))
    targets = np.eye(10, dtype=np.uint8)[np.arange(count) % 10]
    return Probe(list_memory((pixels, targets | np.roll(targets, 1, 1) if several else np.arange(count) % 10)))


def search(found: Probe, processes: int, *, minutes: float, **settings: object) -> NetworkSearch:
    """Return the search of minutes that are given."""
    recipes = CandidateRecipes(recipe=Recipe.from_dict({"data": "images", "minutes": minutes, **settings}), found=found)
    budget = TimeBudget(seconds=60 * minutes, began=BEGAN, given=True)
    return NetworkSearch(recipes, budget, processes=processes)


def chosen(found: Probe, minutes: float = 0.0, **settings: object) -> ChosenInTime:
    recipe = Recipe.from_dict({"data": "images", "minutes": minutes or "auto", **settings})
    budget = TimeBudget(seconds=60 * (minutes or 10), began=BEGAN, given=bool(minutes))
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
    monkeypatch.setattr(network_search, "known_rates", lambda resolved, directory: quiet)
    assert chosen(images(4_000, 64, 1)) == ChosenInTime(recipe=Recipe(data="images"))
    # Minutes that were given are kept to.
    monkeypatch.setattr(network_search, "known_rates", lambda resolved, directory: None)
    assert chosen(images(4_000, 64, 1), 2).choices[0].value != "cifarnet"


def test_beside_other_work_the_choice_is_that_of_the_machine_alone_where_an_epoch_fits(
    machine: dict[str, float],
) -> None:
    found = images(20_000, 32, 3)
    alone = chosen(found, 2)
    machine["delay"] = 3.0
    assert chosen(found, 2).recipe == alone.recipe
    # Of no network would an epoch fit beside that work but of the cheapest.
    machine["delay"] = 12.0
    assert chosen(found, 2).recipe.model == "cifarnet-tiny" != alone.recipe.model


@pytest.mark.usefixtures("machine")
def test_nothing_that_was_named_is_changed() -> None:
    found = chosen(images(12_000, 32, 3), 0.2, model="cifarnet", tta="flip-shift", batch_size=77, image_size="32")
    assert (found.recipe.model, found.recipe.tta, found.recipe.batch_size) == ("cifarnet", "flip-shift", 77)
    assert found.recipe.image_size == "32x32" and found.choices == ()


@pytest.mark.usefixtures("no_table")
def test_a_test_whose_views_do_not_fit_has_fewer(machine: dict[str, float]) -> None:
    machine["cifarnet"] = 2.5e-3
    found = chosen(images(8_000, 32, 3), 1, model="cifarnet")
    assert found.recipe.tta in ("one", "flip") and found.choices[0].setting == "tta"
    assert "1 minute" in found.choices[0].reason
    longer = chosen(images(8_000, 32, 3), 60, model="cifarnet")
    assert longer.recipe.tta == "auto"
    # Of few images the test takes next to nothing beside the report, however short the time.
    assert chosen(images(60, 32, 3), 0.1, model="cifarnet").recipe.tta == "auto"


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
    assert found.recipe.progressive_resize_start == 0.5 and " pixels in " in found.choices[0].reason
    kept = chosen(images(300, 256, 3), 5, image_size="96")
    assert kept.recipe.image_size == "96x96"


@pytest.mark.usefixtures("machine")
def test_other_presets_keep_the_network_of_the_rules() -> None:
    assert chosen(images(4_000, 64, 3), 5, preset="classic").recipe.model == "auto"


def test_trained_weights_keep_their_network_and_have_views_and_a_batch_for_the_time(machine: dict[str, float]) -> None:
    machine["cifarnet"] = 2.5e-3
    found, weights = images(8_000, 32, 3), {"weights": "w.safetensors"}
    short = chosen(found, 0.8, **weights)
    assert short.recipe.model == "auto" and {choice.setting for choice in short.choices} == {"tta", "batch_size"}
    # Without a table of accuracies, views are taken where they take a small part of the time.
    assert short.recipe.tta == "flip"
    frozen = chosen(found, 0.8, **weights, freeze="whiten,stage1")
    assert frozen.recipe.batch_size == short.recipe.batch_size and frozen.recipe.freeze == "whiten,stage1"
    assert chosen(found, 60, **weights) == ChosenInTime(recipe=Recipe(data="images", minutes=60, **weights))
    # A recipe whose test has one view, and whose batches are no smaller in few epochs, leaves nothing to choose.
    assert chosen(found, 0.8, **weights, preset="finetune").choices == ()


@pytest.mark.usefixtures("machine")
def test_a_solved_head_counts_its_features_and_without_epochs_leaves_nothing_to_choose() -> None:
    found = images(8_000, 32, 3)
    solved = {"weights": "w.safetensors", "preset": "probe"}
    assert chosen(found, 5, **solved, freeze="backbone") == ChosenInTime(
        recipe=Recipe(data="images", minutes=5, freeze="backbone", **solved)
    )
    options = [
        search(found, 2, minutes=3.0, weights="w.safetensors", model="resnet18", head=head).usual_option()
        for head in ("train", "solve")
    ]
    trained, after = (option for option in options if option is not None)
    # 7,200 training and 800 validation images of a forward pass each, in two processes; less a validation or so.
    fewer = (trained.steps - after.steps) * 64 / 2 * 1e-2
    assert 1.15 * 8_000 * 5e-3 / 2 - 4 < fewer < 1.15 * 8_000 * 5e-3 / 2 + 1


def test_several_labels_take_the_most_capable_network_that_has_epochs_enough(machine: dict[str, float]) -> None:
    machine.update({"cifarnet": 0.1, "cifarnet-small": 0.05, "cifarnet-tiny": 0.004})
    found = chosen(images(2_000, 64, 1, several=True), 5)
    assert found.recipe.model == "cifarnet-tiny"
    assert "expected" not in found.choices[0].reason and "cifarnet would have 2 epochs" in found.choices[0].reason


@pytest.mark.usefixtures("machine", "no_table")
def test_several_processes_share_the_steps_and_the_test() -> None:
    found = images(20_000, 32, 3)
    one, four = (search(found, count, minutes=1.0, model="cifarnet").usual_option() for count in (1, 4))
    assert one is not None and four is not None
    assert 3.5 * one.epochs < four.epochs and (one.views, four.views) == ("flip", "flip-shift")


def test_networks_are_judged_after_the_time_to_measure_by_kept_rates_or_in_time_that_is_left_over(
    machine: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = images(200, 64, 3), images(30_000, 64, 3)

    def judged(found: Probe) -> int:
        return len(search(found, 1, minutes=0.5).options())

    # As if more than that share had passed: fake rates take no time.
    monkeypatch.setattr(network_search, "SHARE_TO_MEASURE", -0.1)
    # Of few images the usual epochs of the cheapest network leave time over, and of many they do not.
    assert judged(few) > 1 == judged(many)
    assert chosen(few, 0.5).choices[0].value == "cifarnet"
    rates = network_search.rates_on_noise
    monkeypatch.setattr(
        network_search, "known_rates", lambda one, folder: rates(one, effort=1.0, directory=folder).alone
    )
    assert judged(many) > 1


def test_without_a_table_no_network_above_the_usual_one_is_measured(
    machine: dict[str, float], no_table: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    rates = network_search.rates_on_noise

    def noted(resolved: ResolvedRecipe, *, effort: float, directory: Path) -> MeasuredRates:
        measured.append(resolved.model)
        return rates(resolved, effort=effort, directory=directory)

    monkeypatch.setattr(network_search, "rates_on_noise", noted)
    assert chosen(images(300, 64, 3), 5).recipe.model == "cifarnet"
    assert measured == ["cifarnet-tiny", "cifarnet-small", "cifarnet"]
