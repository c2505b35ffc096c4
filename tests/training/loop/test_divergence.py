"""A loss that grows is shown as large as it is, and a training that only made it grow says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from convscope import evaluate
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.recipe.recipe import Recipe
from convscope.runs.events import EpochRow, Silent
from convscope.runs.training_display import epoch_line, header_line
from convscope.scoring.answer import scores_of_images
from convscope.scoring.losses import LEAST_PROBABILITY
from convscope.scoring.measured import measure
from convscope.scoring.objective import Objective
from convscope.training.loop import loop
from convscope.training.loop.nonfinite import DivergedError
from convscope.training.loop.state import Settings, TrainingState
from convscope.training.loop.step import StepInput
from convscope.training.train import train
from trainings import train_watched


class Recorded(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.rows: list[EpochRow] = []

    def notify(self, line: str) -> None:
        self.lines.append(line)

    def epoch_ended(self, row: EpochRow) -> None:
        self.rows.append(row)


def test_a_training_that_only_made_its_loss_grow_says_so(tmp_path: Path) -> None:
    found = Recorded()
    wild = Recipe(model="lenet5", epochs=2, batch_size=256, threads=1, autotune="fp32", learning_rate=1e6, flip=False)
    outcome = train_watched("digits", wild, runs_directory=tmp_path, name="wild", listener=found)
    assert outcome.ending == "done"
    (remark,) = [line for line in found.lines if "the training diverged" in line]
    assert "train anew, and lower the rate, of at most 1e+06, say to learning_rate=" in remark
    assert "convscope.lr_find" in remark and "\n" not in remark
    assert remark in (tmp_path / "wild" / "log.txt").read_text()
    assert "The training diverged" in (tmp_path / "wild" / "report.html").read_text()
    # What is validated grows with what is trained: nothing hides it.
    first, last = found.rows
    assert last.val_loss is not None and last.val_loss > -np.log(LEAST_PROBABILITY)
    assert 0.1 < last.val_loss / last.train_loss < 10 or last.train_loss > first.train_loss
    assert outcome.scores is not None
    assert evaluate(tmp_path / "wild").scores.loss == pytest.approx(outcome.scores.loss)


def test_a_training_that_went_well_does_not(tmp_path: Path) -> None:
    found = Recorded()
    train_watched("digits", Recipe(model="lenet5", epochs=1, threads=1), runs_directory=tmp_path, listener=found)
    assert not any("diverged" in line for line in found.lines)


@pytest.mark.parametrize("loss", ["softmax", "logistic", "hinge"])
def test_a_measured_loss_is_the_trained_ones_however_large(loss: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    network[1].weight.data *= 1e8
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), dtype=np.uint8)
    images = ImageSet(pixels, np.arange(6) % 3, [str(number) for number in range(6)])
    objective = Objective(loss=loss)
    scores = scores_of_images(network, images, Normalization((0.5,), (0.25,)))[:, 1]
    plain = float(objective.plain(torch.from_numpy(scores), torch.from_numpy(images.labels)))
    found = measure(scores, images, classes=("a", "b", "c"), split="val", objective=objective)
    assert found.loss == pytest.approx(plain) and plain > 1e6


def test_a_huge_loss_keeps_to_its_column() -> None:
    def row(train_loss: float, val_loss: float) -> EpochRow:
        return EpochRow(
            epoch=1, seconds=1.0, train_loss=train_loss, train_accuracy=0.1, val_loss=val_loss, val_accuracy=0.1,
            learning_rate=0.1, images_per_second=10.0, data_wait=0.0, best=False,
        )  # fmt: skip

    lengths = {len(epoch_line(row(loss, loss), 3)) for loss in (0.1, 99_999.99999, 1.26129145633e26, float("nan"))}
    assert lengths == {len(header_line(row(1.0, 1.0)))}
    assert "1.2613e+26" in epoch_line(row(1.26129145633e26, 0.5), 3)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_weights_that_are_not_finite_are_not_kept_though_every_loss_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    step = loop.guarded_step

    def spoilt(state: TrainingState, settings: Settings, inputs: StepInput, *others: object) -> object:
        stats = step(state, settings, inputs, *others)
        if inputs.step == 10:
            # A unit that nothing reads: no output shows it.
            state.network.register_parameter("unread", nn.Parameter(torch.tensor([value])))
        return stats

    monkeypatch.setattr(loop, "guarded_step", spoilt)
    recipe = Recipe(model="lenet5", epochs=2, threads=1, autotune="rules", batch_size=64)
    with pytest.raises(
        DivergedError, match=r"the largest weight became (inf|nan) at epoch 1, .*the weights unread are"
    ):
        train("digits", recipe, runs_directory=tmp_path, name="run")
    assert not (tmp_path / "run" / "weights.safetensors").exists()
