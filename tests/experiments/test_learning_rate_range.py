"""The range test: what it proposes follows from its curve, and it leaves nothing behind."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from convscope.cli.main import cli
from convscope.errors import RunError
from convscope.experiments.learning_rate_range import LearningRateRangeTest, lr_find, range_test
from convscope.recipe.recipe import Recipe
from data_makers import fill
from trainings import Lines

RECIPE = Recipe(data="digits", model="lenet5", batch_size=64, threads=1, precision="fp32")


def curve(losses: list[float], *, exploded: bool = True) -> LearningRateRangeTest:
    """Rates 0.001, 0.01, ... with these smoothed losses."""
    return LearningRateRangeTest(
        model="lenet5",
        optimizer="sgd",
        batch_size=64,
        default=0.05,
        rates=tuple(1e-3 * 10 ** (step / 5) for step in range(len(losses))),
        losses=tuple(losses),
        smoothed=tuple(losses),
        exploded=exploded,
    )


def test_a_tenth_of_the_rate_with_the_lowest_loss_is_proposed() -> None:
    test = curve([2.3] * 5 + [2.2, 2.0, 1.0, 0.9, 0.8, 0.7, 1.5, 4.0])
    assert test.lowest == pytest.approx(1e-3 * 100)
    assert test.proposed == pytest.approx(0.01)
    assert test.steepest == pytest.approx(1e-3 * 10 ** (6 / 5))  # where 2.0 becomes 1.0
    assert "<svg" in test.svg


def test_a_step_has_no_more_images_than_there_are(tmp_path: Path) -> None:
    heard = Lines()
    fill(tmp_path, {"cat": 10, "dog": 10})
    recipe = Recipe(data=str(tmp_path), model="lenet5", batch_size=10**5, threads=1, precision="fp32")
    test = range_test(recipe, steps=20, listener=heard, cache_directory=None)
    assert test.batch_size == 16 and test.default < 0.1
    assert "batch size 16, not 100,000: there are no more images to train on" in heard.lines
    assert "classes: cat, dog" in heard.lines


def test_nothing_is_proposed_where_no_rate_made_the_loss_fall() -> None:
    test = curve([2.3] * 12 + [2.29], exploded=False)
    assert not test.fell and test.proposed is None


@pytest.fixture(scope="module")
def found() -> LearningRateRangeTest:
    torch.manual_seed(4)
    before = torch.get_rng_state()
    test = lr_find("digits", RECIPE, steps=60)
    assert torch.equal(torch.get_rng_state(), before)
    return test


def test_rates_grow_by_a_constant_factor_until_the_loss_explodes(found: LearningRateRangeTest) -> None:
    factors = [after / before for before, after in zip(found.rates, found.rates[1:], strict=False)]
    assert factors == pytest.approx([10 ** (6 / 59)] * len(factors))
    assert found.rates[0] == pytest.approx(found.default / 1000)
    assert found.exploded and len(found.rates) < 60
    assert found.losses[0] == pytest.approx(math.log(10), rel=0.15)
    mean = [sum(0.9 ** (len(found.losses[: n + 1]) - 1 - k) * found.losses[k] for k in range(n + 1)) for n in range(5)]
    assert found.smoothed[:5] == pytest.approx([m / sum(0.9**k for k in range(n + 1)) for n, m in enumerate(mean)])
    assert found.fell and found.default / 30 < found.proposed < found.default * 30
    assert found.steepest < found.lowest


def test_the_same_seed_gives_the_same_curve(found: LearningRateRangeTest) -> None:
    assert lr_find("digits", RECIPE, steps=60).losses == found.losses


def test_the_command_says_what_to_do_and_writes_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    typed = ["lr-find", "digits", "--model", "lenet5", "--flip", "no", "--steps", "40", "--threads", "1"]
    ended = CliRunner().invoke(cli, [*typed, "--batch-size", "64", "--svg", "rates.svg"])
    assert ended.exit_code == 0, ended.output
    assert [path.name for path in tmp_path.iterdir()] == ["rates.svg"]
    line = next(line for line in ended.output.splitlines() if "convscope train" in line)
    words = shlex.split(line.partition(": ")[2])
    assert words[:9] == ["convscope", "train", "digits", "--model", "lenet5", "--flip", "no", "--threads", "1"]
    assert "smoothed loss" in ended.output and "Table(" not in ended.output
    assert words[-2] == "--learning-rate" and float(words[-1]) > 0
    found = json.loads(CliRunner().invoke(cli, [*typed, "--batch-size", "64", "--json"]).stdout)
    assert found["proposed"] == float(words[-1]) and len(found["rates"]) == len(found["losses"])


def test_too_few_steps_show_nothing() -> None:
    with pytest.raises(RunError, match="take 20 or more"):
        lr_find("digits", RECIPE, steps=5)


def test_images_are_mirrored_in_turn_here_as_well() -> None:
    recipe = Recipe(data="digits", model="lenet5", flip=True, flip_mode="alternating", threads=1)
    in_turn, at_random, as_they_are = (
        lr_find("digits", recipe.changed(changes), steps=20).losses
        for changes in ({}, {"flip_mode": "random"}, {"flip": False, "flip_mode": "random"})
    )
    assert len({in_turn, at_random, as_they_are}) == 3
