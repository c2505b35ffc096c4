"""Views of test images that are decided at the end of a training, by the time that is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convscope
from clocks import StoppedClock, stop_clock
from convscope.recipe.presets import TrainingBudget
from convscope.recipe.recipe_file import read_recipe
from convscope.runs.run_directory import Run
from convscope.training import end_views, planned_time
from convscope.training.autotune.kept_rates import MeasuredRates
from convscope.training.end_views import most_views
from convscope.training.network_choice import network_search
from convscope.training.timing.costs import Costs
from convscope.training.timing.rates import Rates

CHOICES = ("one", "flip", "flip-shift")
FREE = Costs(steps=((1.0, 0.01),), epoch_end=0.1, finish=3.0)
BUSY = Rates(steps=((1.0, 0.2),), prepare=0.0, validate=0.5, view=0.5, written=0.01)
SECONDS = 600.0  # of a command that is given none


def test_the_most_views_that_fit_are_taken_and_at_least_the_first() -> None:
    fitting = [most_views(CHOICES, planned="one", finish=2.0, report=1.0, left=left) for left in (0.0, 1.0, 3.1, 7.1)]
    assert fitting == ["one", "one", "flip", "flip-shift"]
    assert most_views(CHOICES, planned="flip-shift", finish=7.0, report=1.0, left=3.5) == "flip"


def test_views_of_no_images_or_of_few_stay_where_the_time_runs_out() -> None:
    for finish in (1.4, 1.45):
        assert most_views(CHOICES, planned="flip-shift", finish=finish, report=1.4, left=0.5) == "flip-shift"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that sets how fast networks are when one is chosen, and the seconds that pass in training.

    No other time passes, and the usual training has two epochs.
    """
    clock = stop_clock(monkeypatch)
    monkeypatch.setattr(TrainingBudget, "epochs_for", lambda self, images: 2)

    def take(rates: Rates, *, passed: float = 0.0) -> None:
        monkeypatch.setattr(network_search, "rates_on_noise", lambda *given, **more: MeasuredRates(alone=rates))
        monkeypatch.setattr(network_search, "known_rates", lambda *given: None)
        monkeypatch.setattr(planned_time, "measured_costs", lambda *given, **more: FREE)
        monkeypatch.setattr(end_views, "time", StoppedClock(clock.now + passed))

    return take


def trained(folder: Path, **settings: Any) -> Run:
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 256, (300, 16, 16, 3), dtype=np.uint8), np.arange(300) % 4
    recipe = convscope.Recipe.from_dict({"model": "cifarnet-tiny", "flip": True, **settings})
    cache = folder / "cache"
    return convscope.train((images, labels), recipe, runs_directory=folder / "runs", cache_directory=cache).run


def test_a_machine_that_is_free_again_gives_the_usual_views(tmp_path: Path, machine: Any) -> None:
    machine(BUSY)
    run = trained(tmp_path)
    assert "test-time augmentation flip-shift, not " in run.log_path.read_text()
    assert run.spec().tta == read_recipe(run.recipe_path).tta == "flip-shift"
    assert "there is time for it at the end" in run.report.read_text()


def test_views_for_which_the_time_runs_out_are_fewer_and_those_that_were_named_stay(
    tmp_path: Path, machine: Any
) -> None:
    fast = Rates(steps=((1.0, 1e-6),), prepare=0.0, validate=0.0, view=0.0, written=0.0)
    machine(fast, passed=SECONDS - 1.0)
    run = trained(tmp_path)
    assert run.spec().tta in ("one", "flip") and "the time runs out" in run.log_path.read_text()
    run = trained(tmp_path, tta="flip-shift")
    assert run.spec().tta == "flip-shift" and "test-time augmentation flip" not in run.log_path.read_text()
