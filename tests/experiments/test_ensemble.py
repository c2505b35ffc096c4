"""Ensembles: members share the split, their probabilities are averaged, and the directory is a run to those who ask."""

from __future__ import annotations

import json
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import convscope
from commands import told
from convscope.capture.load import load
from convscope.errors import CaptureError, ConvscopeError, RunError
from convscope.experiments.ensemble.scores import compare
from convscope.experiments.ensemble.train import EnsembleOutcome, train_ensemble, train_ensemble_on
from convscope.train.answers.members import Averaged
from convscope.train.directory.run import Run
from convscope.train.events import EpochRow, Silent
from convscope.train.loss.objective import Objective
from convscope.train.settings.recipe import Recipe
from convscope.train.training import train_on

RECIPE = Recipe(
    model="alexnet-mini",
    image_size="8",
    validation_fraction=0.2,
    test_fraction=0.5,
    epochs=2,
    batch_size=32,
    threads=1,
    precision="fp32",
    learning_rate=0.05,
    plan="rules",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> EnsembleOutcome:
    return train_ensemble("digits", RECIPE, members=2, runs_directory=tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize(("loss", "independent"), [("softmax", False), ("hinge", False), ("logistic", True)])
def test_probabilities_of_the_scores_are_the_mean_of_the_members(loss: str, independent: bool) -> None:
    torch.manual_seed(0)
    members = [nn.Linear(5, 3) for _ in range(3)]
    x = 20 * torch.randn(7, 5)  # sure answers, too
    objective = Objective(loss=loss)
    with torch.no_grad():
        wanted = torch.stack([objective.probabilities(member(x).double()) for member in members]).mean(0)
        found = objective.probabilities(Averaged(members, independent=independent)(x))
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


def test_members_share_what_is_held_back_and_nothing_else(whole: EnsembleOutcome) -> None:
    first, second = whole.members
    assert [member.path.name for member in whole.members] == ["seed-0", "seed-1"]
    splits = {run.split_path.read_bytes() for run in (whole.run, first, second)}
    assert len(splits) == 1
    assert first.weights.read_bytes() != second.weights.read_bytes()
    alone = convscope.train("digits", RECIPE.changed({"seed": 1, "split_seed": 0}), runs_directory=whole.run.path / "x")
    assert alone.run.weights.read_bytes() == second.weights.read_bytes()


def test_the_ensemble_is_a_run_to_evaluate_and_predict(
    whole: EnsembleOutcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert whole.scores is not None
    code, out, _ = told(capsys, "evaluate", whole.run, "--json")
    found = json.loads(out)
    assert (code, found["accuracy_top1"]) == (0, whole.scores.together.accuracy_top1)
    assert found["loss"] == pytest.approx(whole.scores.together.loss)
    for member, accuracy in zip(whole.members, whole.scores.alone, strict=True):
        assert convscope.evaluate(member.path).scores.accuracy_top1 == accuracy
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8), dtype=np.uint8)).save(tmp_path / "a.png")
    answers = [
        dict(convscope.predict(run.path, tmp_path / "a.png").images[0].ranked) for run in (whole.run, *whole.members)
    ]
    for name, probability in answers[0].items():
        assert probability == pytest.approx((answers[1][name] + answers[2][name]) / 2)


def test_the_ensemble_is_measured_as_evaluate_measures_it(tmp_path: Path) -> None:
    recipe = RECIPE.changed({"test_views": "flip", "epochs": 1})
    found = train_ensemble("digits", recipe, members=2, runs_directory=tmp_path)
    again = convscope.evaluate(found.run.path)
    assert found.scores is not None
    assert again.scores.to_dict() == found.scores.together.to_dict()


def test_what_is_written_and_told(whole: EnsembleOutcome) -> None:
    assert whole.scores is not None
    written = {path.name for path in whole.run.path.iterdir() if path.name != "x"}
    files = {"recipe.toml", "model.json", "members.csv", "report.html", "log.txt", "split.csv"}
    assert written == files | {"seed-0", "seed-1"}
    page = whole.run.report.read_text()
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page) and "<script" not in page
    for heading in ("Alone and together", "Its members, and where they agree", "Confusion matrix"):
        assert heading in page
    json.dumps(whole.to_dict())
    assert convscope.train_ensemble is train_ensemble


def test_agreement_and_growth_by_hand(whole: EnsembleOutcome) -> None:
    from convscope.data.records import ImageSet

    first = np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]])
    second = np.array([[0.8, 0.2], [0.9, 0.1], [0.3, 0.7]])
    card = whole.run.card()
    images = ImageSet(np.zeros((3, 8, 8, 1), np.uint8), np.array([0, 0, 0]), ["a", "b", "c"])
    from dataclasses import replace

    found = compare(
        [np.log(first), np.log(second)], images, card=replace(card, classes=("x", "y"), members=None), split="test"
    )
    assert found.alone == (2 / 3, 2 / 3) and found.mean == 2 / 3
    assert found.first == (2 / 3, 1.0) and found.together.accuracy_top1 == 1.0
    assert found.agreement.tolist() == [[1, 1 / 3], [1 / 3, 1]] and found.mean_agreement == 1 / 3


class _StopsAfter(Silent):
    """Presses Ctrl-C after so many epochs of all members together."""

    def __init__(self, epochs: int) -> None:
        self._left = epochs

    def epoch_ended(self, row: EpochRow) -> None:
        self._left -= 1
        if not self._left:
            signal.raise_signal(signal.SIGINT)


def test_a_stopped_ensemble_goes_on_to_the_same_members(
    whole: EnsembleOutcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = train_ensemble("digits", RECIPE, members=2, runs_directory=tmp_path, listener=_StopsAfter(3))
    assert (stopped.ending, stopped.exit_code, len(stopped.members)) == ("stopped", 130, 1)
    assert convscope.evaluate(stopped.run.path).scores.images > 0  # what is trained can be used
    code, _, err = told(capsys, "train", "--resume", stopped.run, "--epochs", "9")
    assert code == 2 and "epochs can't change when an ensemble is resumed" in err
    code, out, _ = told(capsys, "train", "--resume", stopped.run)
    assert code == 0 and "2 members, test accuracy of each" in out
    for mine, other in zip(whole.members, (stopped.run.path / "seed-0", stopped.run.path / "seed-1"), strict=True):
        assert mine.weights.read_bytes() == Run(other).weights.read_bytes()
    with pytest.raises(RunError, match=r"has all of its 2 members: add some with --ensemble 3"):
        train_ensemble_on(stopped.run.path)


@pytest.mark.parametrize("count", [0, 1, -3])
def test_too_few_members_are_refused(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = told(capsys, "train", "digits", "--ensemble", str(count))
    assert code == 2 and "averaging takes at least 2 members" in err and err.count("\n") == 1


def test_whoever_wants_one_network_is_told_to_name_a_member(
    whole: EnsembleOutcome, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CaptureError, match=r"is an ensemble of 2 networks: name one of them, such as .*seed-0"):
        load(str(whole.run.path))
    assert load(str(whole.members[0].path)).build() is not None
    code, _, err = told(capsys, "inspect", whole.run)
    assert code == 2 and "name one of them" in err
    code, _, err = told(capsys, "train", "digits", "--model", "alexnet-mini", "--weights", whole.run)
    assert code == 2 and "holds several networks' weights: name one" in err
    with pytest.raises(RunError, match="is an ensemble"):
        train_on(whole.run.path, {}, listener=Silent(), cache_directory=None)
    with pytest.raises(RunError, match="not an ensemble"):
        train_ensemble_on(whole.members[0].path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ensemble": {"names": ["seed-0", "../elsewhere"], "planned": 2}}, "is not the name of a folder in it"),
        ({"ensemble": {"names": ["seed-9"], "planned": 2}}, "there is no run at"),
        ({"ensemble": {"names": [], "planned": 2}}, "none of the 2 members"),
        ({"ensemble": {"planned": 2}}, "it has no ensemble.names"),
        ({"classes": [str(n) for n in range(9)] + ["ten"]}, "does not belong to the ensemble"),
    ],
)
def test_members_that_do_not_fit_are_refused(
    whole: EnsembleOutcome, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(whole.run.path, copied, ignore=shutil.ignore_patterns("checkpoint", "x"))
    card = json.loads((copied / "model.json").read_text())
    (copied / "model.json").write_text(json.dumps({**card, **change}))
    with pytest.raises(ConvscopeError, match=message):
        convscope.evaluate(copied)
