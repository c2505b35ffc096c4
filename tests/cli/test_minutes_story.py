"""Stories of a time budget, by the real command line on the digits: what it says, refuses and leaves in the run."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clocks import stop_clock
from commands import run_command
from convscope.training import planned_time, session
from convscope.training.autotune.kept_rates import MeasuredRates
from convscope.training.network_choice import network_search
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.timing import time_budget
from convscope.training.timing.costs import Costs
from convscope.training.timing.rates import Rates

# What a machine would measure, on a clock that stands still, so that no test depends on how busy this one is.
CHEAP = Costs(steps=((1.0, 0.1),), epoch_end=0.1, finish=0.5)
QUICK = Rates(steps=((1.0, 1e-6),), prepare=0.0, validate=0.0, view=0.0, written=0.0)


@pytest.fixture(autouse=True)
def _stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    stop_clock(monkeypatch)


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> Any:
    def take(costs: Costs) -> None:
        monkeypatch.setattr(planned_time, "measured_costs", lambda *given, **parts: costs)
        monkeypatch.setattr(network_search, "seconds_to_decode", lambda *given, **more: 0.0)
        monkeypatch.setattr(network_search, "rates_on_noise", lambda *given, **more: MeasuredRates(alone=QUICK))
        for known in ("known_rates", "certain_rates"):
            monkeypatch.setattr(network_search, known, lambda *given: QUICK)

    return take


@pytest.fixture
def train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    places = ("--runs", tmp_path / "runs", "--cache", tmp_path / "cache")

    def run(*words: str | Path) -> tuple[int, str, str]:
        return run_command(capsys, "train", *words, *(() if "--resume" in words else places))

    return run


def of_run(run: Path) -> dict[str, Any]:
    return tomllib.loads((run / "recipe.toml").read_text())


def test_a_budget_becomes_steps_that_are_said_written_and_gone_on_with(
    train: Any, costs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs(CHEAP)
    # Of 40 usual epochs with 45 steps each: whatever the machine, the plan is cut in its second epoch.
    monkeypatch.setattr(time_budget, "MOST_TIMES_USUAL", 70 / 1800)
    code, out, err = train("digits", "--minutes", "2", "--model", "lenet5", "--name", "m")
    run = tmp_path / "runs" / "m"
    recipe, status = of_run(run), json.loads((run / "status.json").read_text())
    assert code == 0 and "steps 70: " in err and "they fit into 2 minutes" in err and "test accuracy" in out
    assert (recipe["minutes"], recipe["steps"], recipe["epochs"]) == (0, 70, 2)
    assert [status[name] for name in ("step", "steps", "epoch", "epochs")] == [70, 70, 2, 2]
    history = (run / "metrics.csv").read_text().splitlines()
    # One-cycle ends at a thousandth of its highest rate.
    assert float(history[-1].split(",")[6]) == pytest.approx(recipe["learning_rate"] / 1000, rel=0.01)
    # Its recipe repeats the plan; a length that is given beside it goes first.
    code, _, err = train("digits", "--recipe", run / "recipe.toml", "--epochs", "1", "--name", "e")
    assert code == 0 and (of_run(tmp_path / "runs" / "e")["epochs"], of_run(tmp_path / "runs" / "e")["steps"]) == (
        1,
        "auto",
    )
    code, _, err = train("--resume", run)
    assert code == 2 and "has all of its" in err


def test_a_budget_too_small_for_an_epoch_says_what_fits(train: Any, costs: Any, tmp_path: Path) -> None:
    # So dear that it does not matter how busy this machine is.
    costs(Costs(steps=((1.0, 50.0),), epoch_end=1.0, finish=2.0))
    code, _, err = train("digits", "--minutes", "10", "--model", "lenet5")
    line = err.splitlines()[-1]
    assert code == 2 and line.startswith("convscope: minutes 10: an epoch of 45 steps does not fit: start, decoding ")
    assert "its steps 37 min 31 s, test and report 2.0 s; give --minutes 4" in line and "--steps " in line
    assert "network" not in line  # there is none that is cheaper
    assert "--image-size" not in line  # images of 32 pixels are not made smaller
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Network resnet18 takes 0.2 s an image, others next to nothing, and no image is decoded."""

    def rates(resolved: ResolvedRecipe, *given: Path, **more: object) -> Rates:
        return replace(QUICK, steps=((1.0, 0.2),)) if resolved.model == "resnet18" else QUICK

    def decoded(*given: object) -> None:
        raise AssertionError("images are decoded")

    monkeypatch.setattr(network_search, "rates_on_noise", lambda one, **more: MeasuredRates(alone=rates(one)))
    for known in ("known_rates", "certain_rates"):
        monkeypatch.setattr(network_search, known, rates)
    monkeypatch.setattr(network_search, "seconds_to_decode", lambda *given, **more: 0.0)
    monkeypatch.setattr(session, "open_images", decoded)


@pytest.mark.usefixtures("undecoded")
def test_minutes_that_surely_hold_no_epoch_are_refused_before_decoding(train: Any) -> None:
    words = ("digits", "--minutes", "2", "--model", "resnet18", "--image-size", "64", "--batch-size", "50")
    code, _, err = train(*words)
    line = err.splitlines()[-1]
    assert code == 2 and line.startswith("convscope: minutes 2: an epoch of 29 steps ")
    assert re.search(r"give --minutes \d\.\d, or --train-images \d{3}, or --image-size 32, or --model lenet5$", line)


@pytest.mark.usefixtures("undecoded")
def test_minutes_that_surely_do_not_hold_the_decoding_are_refused_before_it(
    train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_search, "seconds_to_decode", lambda *given, **more: 400.0)
    code, _, err = train("digits", "--minutes", "2", "--model", "lenet5")
    line = err.splitlines()[-1]
    assert code == 2 and line.startswith("convscope: minutes 2: decoding 1,797 images takes about 6 min 40 s")
    assert re.search(r"give --minutes \d\.\d, or --train-images \d{3}$", line)
    # What may be no more than a busy moment is left to the decoding itself.
    monkeypatch.setattr(network_search, "seconds_to_decode", lambda *given, **more: 125.0)
    with pytest.raises(AssertionError, match="images are decoded"):
        train("digits", "--minutes", "2", "--model", "lenet5")


@pytest.mark.usefixtures("undecoded")
def test_the_minutes_that_a_refusal_names_hold_a_training_of_which_no_step_was_timed(
    train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = stop_clock(monkeypatch)
    began = clock.now

    def decode_slowly(*given: object, **more: object) -> float:
        clock.now = began + 20.0
        return 400.0

    monkeypatch.setattr(network_search, "seconds_to_decode", decode_slowly)
    words, start = (
        ("digits", "--minutes", "2", "--model", "lenet5"),
        "minutes 2: the start took 20.0 s, decoding 1,797 ",
    )
    named = list[float]()
    for costs in (QUICK, None):
        clock.now = began
        monkeypatch.setattr(network_search, "certain_rates", lambda *given, costs=costs: costs)
        line = train(*words)[2].splitlines()[-1]
        assert line.startswith(f"convscope: {start}images takes about 6 min 40 s")
        named.append(float(line.split("give --minutes ")[1].split(",")[0]))
    # A tenth more than start and decoding take, 7 min; where no step was timed, room for steps and a test as well.
    assert named == [7.9, 11.4]


def test_minutes_that_are_over_at_the_start_say_so(train: Any, costs: Any) -> None:
    costs(CHEAP)
    code, _, err = train("digits", "--minutes", "0.005", "--model", "lenet5")
    took = r"minutes 0\.005: test and report take 0\.\d s: give --minutes 0\.\d"
    assert code == 2 and re.fullmatch(f"convscope: {took}", err.splitlines()[-1])


def test_without_a_budget_ten_minutes_are_given_and_said(train: Any, costs: Any, tmp_path: Path) -> None:
    costs(Costs(steps=((1.0, 600.0),), epoch_end=0.1, finish=0.1))
    code, _, err = train("digits", "--model", "lenet5", "--name", "d")
    assert code == 0 and of_run(tmp_path / "runs" / "d")["epochs"] == 1
    assert "epochs 1: one epoch takes 7 h 30 min here, more than the default budget of 10 minutes" in err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            "train digits --minutes 5 --epochs 3",
            "minutes 5 and epochs 3 contradict each other: leave one of them at auto",
        ),
        (
            "train digits --minutes 5 --steps 30",
            "minutes 5 and steps 30 contradict each other: leave one of them at auto",
        ),
        ("train digits --minutes -1", "minutes is -1.0: it must be at least 0, or auto"),
        ("train digits --minutes nan", "minutes is nan: it must be a finite number, or auto"),
        ("train digits --minutes soon", "minutes is 'soon': it must be a number, or auto"),
        ("train digits --minutes 99999", "minutes is 99999.0: it must be at most 10,080, or auto"),
        ("train digits --epochs 0", "--epochs is 0, and nothing would be learned: give at least 1, or --head solve"),
        (
            "train digits --minutes 5 --ensemble 2",
            "minutes 5: only the training of one network has a time budget: give epochs or steps",
        ),
        (
            "ablate digits --minutes 5",
            "minutes 5: only the training of one network has a time budget: give epochs or steps",
        ),
    ],
)
def test_a_mistake_is_one_line(
    words: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run_command(capsys, *words.split())
    assert (code, out, err) == (2, "", f"convscope: {line}\n")
    assert not list(tmp_path.iterdir())
