"""Stories of the forecast and of what a budget chooses, by the real command line on the digits."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from commands import run_command
from convscope.training import network_search, planned_time
from convscope.training.timing.costs import Costs
from convscope.training.timing.rates import Rates

CHEAP = Costs(steps=((1.0, 0.02),), epoch_end=0.1, finish=1.0)


@pytest.fixture
def places(tmp_path: Path) -> tuple[str | Path, ...]:
    return ("--runs", tmp_path / "runs", "--cache", tmp_path / "cache")


def test_a_forecast_is_said_before_the_first_epoch_and_kept(
    tmp_path: Path, places: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planned_time, "measured_costs", lambda *given, **parts: CHEAP)
    code, out, err = run_command(capsys, "train", "digits", "--epochs", "1", "--name", "f", *places)
    assert code == 0
    line = next(line for line in err.splitlines() if line.startswith("forecast: "))
    assert re.match(r"forecast: about [\d.]+ s: .*memory [\d.]+ [kM]B a step; disk [\d.]+ [kM]B", line)
    assert err.index(line) < err.index("epoch  ")
    run = tmp_path / "runs" / "f"
    page = (run / "report.html").read_text()
    assert line in (run / "log.txt").read_text() and "Forecast" in page
    # What it took is said beside it: in all, and by parts.
    assert re.search(r"^trained 1 epoch in .*; .* in all, forecast ", out, re.MULTILINE)
    assert "<h2>Time</h2>" in page and "before the first step" in page and "than forecast" in page


def test_a_long_training_says_what_would_be_faster(
    places: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dear = Costs(steps=((1.0, 100.0),), epoch_end=0.1, finish=1.0)
    monkeypatch.setattr(planned_time, "measured_costs", lambda *given, **parts: dear)
    words = ("train", "digits", "--epochs", "2", "--model", "lenet5", "--validation-fraction", "0")
    code, _, err = run_command(capsys, *words, *places)
    assert code == 0
    line = next(line for line in err.splitlines() if line.startswith("forecast: over an hour"))
    assert "--epochs 1 about 1 h 25 min" in line and "--minutes 30 about 30 min" in line


def test_fewer_images_are_taken_where_that_is_asked_for_and_measured_again(
    tmp_path: Path, places: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("train", "digits", "--train-images", "200", "--epochs", "1", "--name", "few", *places)
    code, out, err = run_command(capsys, *words)
    assert code == 0 and "images of 1,797 are taken" in err
    run = tmp_path / "runs" / "few"
    assert tomllib.loads((run / "recipe.toml").read_text())["train_images"] == 200
    tested = re.search(r"test accuracy [\d.]+ % \((\d+) of (\d+) images", out)
    assert tested is not None and 15 <= int(tested[2]) <= 30
    code, out, err = run_command(capsys, "evaluate", run, "--cache", tmp_path / "cache", "--json")
    assert code == 0 and json.loads(out)["images"] == int(tested[2]) and "trained on" not in err
    code, _, err = run_command(capsys, "train", "digits", "--train-images", "5", *places)
    assert code == 2 and "train_images 5: 10 classes need 20 images or more" in err


def test_a_budget_says_why_it_takes_a_network(
    tmp_path: Path, places: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def rates(resolved: object, *, effort: float, directory: Path) -> Rates:
        return Rates(steps=((1.0, 0.01),), prepare=0.0, validate=0.001, view=0.001, written=0.0)

    monkeypatch.setattr(network_search, "rates_on_noise", rates)
    monkeypatch.setattr(network_search, "known_rates", lambda resolved, directory: None)
    monkeypatch.setattr(planned_time, "measured_costs", lambda *given, **parts: CHEAP)
    words = ("train", "digits", "--minutes", "0.7", "--name", "m", "--train-images", "300", *places)
    code, _, err = run_command(capsys, *words)
    assert code == 0
    line = next(line for line in err.splitlines() if line.startswith("auto: model "))
    assert "on the nearest reference set" in line and "would have" in line
    recipe = tomllib.loads((tmp_path / "runs" / "m" / "recipe.toml").read_text())
    assert recipe["model"] in line and recipe["minutes"] == 0
