"""Stories of the forecast and of what a budget chooses, by the real command line on the digits."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from contextlib import nullcontext
from pathlib import Path

import pytest

from clocks import stop_clock
from commands import run_command
from convscope.experiments.ablation import trials_ahead
from convscope.experiments.ensemble import members_ahead
from convscope.hardware.run_queue import CoreWait
from convscope.training import planned_time
from convscope.training.autotune.kept_rates import MeasuredRates
from convscope.training.network_choice import network_search
from convscope.training.timing import time_budget
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
    memory = r"memory (about [\d.]+ [MG]B, )?[\d.]+ [kM]B a step"
    assert re.match(rf"forecast: about [\d.]+ s: .*{memory}; disk [\d.]+ [kM]B", line)
    assert sys.platform != "linux" or "memory about " in line
    assert err.index(line) < err.index("epoch  ")
    run = tmp_path / "runs" / "f"
    page = (run / "report.html").read_text()
    assert line in (run / "log.txt").read_text() and "Forecast" in page
    # What it took is said beside it: in all, and by parts.
    assert re.search(r"^trained 1 epoch in .*; .* in all, forecast ", out, re.MULTILINE)
    assert "<h2>Time</h2>" in page and "before the first step" in page and "than forecast" in page


def test_the_forecast_alone_trains_nothing(
    tmp_path: Path, places: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planned_time, "measured_costs", lambda *given, **parts: CHEAP)
    words = ("train", "digits", "--model", "lenet5", "--epochs", "3", "--autotune", "rules", "--forecast", *places)
    code, out, _ = run_command(capsys, *words)
    assert code == 0 and out.splitlines()[1] == "lenet5: 61,706 parameters, 3 epochs, 135 steps of 32 images"
    assert out.splitlines()[2].startswith("forecast: about ")
    code, out, err = run_command(capsys, *words, "--json")
    found = json.loads(out)
    assert code == 0 and not err and not (tmp_path / "runs").exists()
    assert (found["epochs"], found["steps"], found["images"]["train"]) == (3, 135, 1439)
    assert found["forecast"]["steps"] == pytest.approx(135 * 0.02) and found["recipe"]["data"] == "digits"
    assert any("batch size 32" in line for line in found["reasons"])
    for other in (("--resume", "x"), ("digits", "--ensemble", "2")):
        code, _, err = run_command(capsys, "train", *other, "--forecast")
        assert code == 2 and "--forecast and --" in err and "only the training of one new network" in err


@pytest.mark.parametrize(
    ("step", "epochs", "faster"),
    [
        # Of 51 steps. An epoch that takes longer than the minutes does not fit into them.
        (100.0, 2, "--epochs 1 about 1 h 25 min"),
        (25.0, 4, r"--epochs 2 about 42 min \d\d s, --epochs 1 about 21 min \d\d s, --minutes 30 about 30 min 00 s"),
    ],
)
def test_a_long_training_says_what_would_be_faster(
    step: float,
    epochs: int,
    faster: str,
    places: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dear = Costs(steps=((1.0, step),), epoch_end=0.1, finish=1.0)
    monkeypatch.setattr(planned_time, "measured_costs", lambda *given, **parts: dear)
    words = ("train", "digits", "--epochs", str(epochs), "--model", "lenet5", "--validation-fraction", "0")
    code, out, _ = run_command(capsys, *words, *places, "--forecast")
    assert code == 0
    assert re.search(rf"^forecast: over an hour; faster: {faster}$", out, re.MULTILINE)


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
    def rates(resolved: object, *, effort: float, directory: Path) -> MeasuredRates:
        return MeasuredRates(alone=Rates(steps=((1.0, 0.01),), prepare=0.0, validate=0.001, view=0.001, written=0.0))

    monkeypatch.setattr(network_search, "rates_on_noise", rates)
    monkeypatch.setattr(network_search, "known_rates", lambda resolved, directory: None)
    monkeypatch.setattr(planned_time, "measured_costs", lambda *given, **parts: CHEAP)
    stop_clock(monkeypatch)  # else the minutes might be over before the network is chosen
    monkeypatch.setattr(time_budget, "MOST_TIMES_USUAL", 0.1)  # of the epochs of the network that is chosen
    words = ("train", "digits", "--minutes", "0.7", "--name", "m", "--train-images", "80", *places)
    code, _, err = run_command(capsys, *words)
    assert code == 0
    line = next(line for line in err.splitlines() if line.startswith("auto: model "))
    assert "on the nearest reference set" in line and "would have" in line
    recipe = tomllib.loads((tmp_path / "runs" / "m" / "recipe.toml").read_text())
    assert recipe["model"] in line and recipe["minutes"] == 0


def _forecasts(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("forecast: ")]


def test_a_resumed_run_forecasts_what_is_left(
    tmp_path: Path, places: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planned_time, "measured_costs", lambda *given, **parts: CHEAP)
    words = ("train", "digits", "--train-images", "200", "--model", "lenet5", "--batch-size", "20", "--name", "r")
    run_command(capsys, *words, "--epochs", "1", *places)
    run, dear = tmp_path / "runs" / "r", Costs(steps=((1.0, 400.0),), epoch_end=0.1, finish=1.0)
    monkeypatch.setattr(planned_time, "measured_costs", lambda *given, **parts: dear)
    code, _, err = run_command(capsys, "train", "--resume", run, "--epochs", "3", "--cache", tmp_path / "cache")
    # Two epochs of nine steps, though three are asked for.
    assert code == 0 and "forecast: about 2 h 00 min: steps 2 h 00 min; memory " in err
    line = _forecasts(err)[1]
    assert "over an hour; faster: --epochs 2 about 1 h 00 min" in line and "--minutes 30 about 30 min" in line
    assert "image-size" not in line and err.index("resuming ") < err.index(line) < err.index("epoch  ")
    forecast = _forecasts(err)[0]
    assert forecast in (run / "log.txt").read_text()


def test_an_ensemble_forecasts_its_members_and_corrects_that(
    tmp_path: Path, places: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dear = Costs(steps=((1.0, 300.0),), epoch_end=0.0, finish=1.0, report=1.0)
    monkeypatch.setattr(members_ahead, "measured_costs", lambda *given, **parts: dear)
    words = ("--train-images", "200", "--model", "lenet5", "--batch-size", "20", "--epochs", "1", "--name", "e")
    code, out, err = run_command(capsys, "train", "digits", "--ensemble", "2", *words, *places, "--json")
    found = json.loads(out)["forecast"]
    assert code == 0 and (found["steps"], found["finish"], found["trainings"]) == (5400, 3, 2)
    lines = (tmp_path / "runs" / "e" / "log.txt").read_text().splitlines()
    said = [line.partition("  ")[2] for line in lines]
    assert next(line for line in said if line.startswith("forecast: about 1 h 30 min for 2 trainings: steps"))
    assert not any("--minutes" in line for line in said if line.startswith("forecast: over an hour"))
    assert any(re.match(r"1 of 2 members are trained; about .* left", line) for line in said)
    assert "2 of 2 members are trained" in said
    code, _, err = run_command(capsys, "train", "--resume", tmp_path / "runs" / "e", "--ensemble", "3")
    # What is trained is not trained again.
    assert code == 0 and _forecasts(err)[0].startswith("forecast: about 45 min ")


def test_an_ablation_forecasts_its_trainings_and_compares_epochs(
    places: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def rates(*given: object, **parts: object) -> Rates:
        return Rates(steps=((1.0, 30.0),), prepare=0.0, validate=0.0, view=0.0, written=9.0)

    monkeypatch.setattr(trials_ahead, "measured_rates", rates)
    monkeypatch.setattr(trials_ahead, "core_wait", lambda: nullcontext(CoreWait()))
    words = ("--train-images", "200", "--model", "lenet5", "--batch-size", "20", "--jobs", "1", "--seeds", "2")
    ablated = ("ablate", "digits", "--without", "momentum", *words, *places)
    code, _, err = run_command(capsys, *ablated, "--epochs", "1")
    forecast, faster = _forecasts(err)
    assert code == 0 and forecast.startswith("forecast: about 6 h 00 min for 4 trainings: steps 6 h 00 min; memory ")
    assert faster.startswith("forecast: over an hour; faster: --seeds 1 about 3 h 00 min") and "--minutes" not in faster
    assert re.search(r"1 of 4  everything on, seed 0: .* left\n", err)
    code, _, err = run_command(capsys, *ablated, "--steps", "30")
    refused = "steps 30: an ablation compares variants after whole epochs: give --epochs N --steps auto"
    assert (code, err) == (2, f"convscope: {refused}\n")


def test_a_probe_without_epochs_forecasts_its_features(
    tmp_path: Path, places: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ("train", "digits", "--train-images", "200", *places)
    run_command(capsys, *few, "--model", "lenet5", "--epochs", "1", "--name", "w")
    solved = (*few, "--weights", tmp_path / "runs" / "w", "--recipe", "probe", "--name", "p")
    code, out, err = run_command(capsys, *solved, "--mixup", "0.2", "--json")
    forecast = json.loads(out)["forecast"]
    assert code == 0 and forecast["features"] > 0 and forecast["steps"] == 0 and forecast["step_bytes"] is None
    lines = (tmp_path / "runs" / "p" / "log.txt").read_text()
    assert "--mixup 0.2: no effect without epochs; --epochs N trains with it" in lines
    assert lines.index("forecast: about ") < lines.index("features: ")
    dear = Costs(before=600.0, steps=((1.0, 0.0),), epoch_end=0.0, finish=1.0)
    monkeypatch.setattr(planned_time, "measured_costs", lambda *given, **parts: dear)
    code, _, err = run_command(capsys, *solved, "--minutes", "2", "--freeze", "backbone")
    assert code == 2 and re.search(r"minutes 2: features and head of 200 images take 10 min 0\d s, the test and", err)
    assert re.search(r"give --minutes 11\.\d, or --train-images \d+$", err)
