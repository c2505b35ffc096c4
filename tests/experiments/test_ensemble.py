"""Ensembles: members share the split, their probabilities are averaged, and the directory is read as a run."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import convscope
from commands import run_command
from convscope.capture.load import load
from convscope.data.records import ImageSet
from convscope.errors import ConvscopeError, RunError
from convscope.experiments.ensemble.outcome import EnsembleOutcome
from convscope.experiments.ensemble.scores import compare
from convscope.experiments.ensemble.train import begin_ensemble, train_ensemble, train_ensemble_on
from convscope.recipe.recipe import Recipe
from convscope.runs.events import EpochRow, Silent
from convscope.runs.run_directory import Run
from convscope.scoring.ensemble import Averaged
from convscope.scoring.objective import Objective
from convscope.training.train_run import train_on

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
    autotune="rules",
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
    code, out, _ = run_command(capsys, "evaluate", whole.run, "--json")
    found = json.loads(out)
    assert (code, found["accuracy_top1"]) == (0, whole.scores.ensemble.accuracy_top1)
    assert found["loss"] == pytest.approx(whole.scores.ensemble.loss)
    for member, accuracy in zip(whole.members, whole.scores.members, strict=True):
        assert convscope.evaluate(member.path).scores.accuracy_top1 == accuracy
    calibrated = []
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8), dtype=np.uint8)).save(tmp_path / "a.png")
    for run in (whole.run, *whole.members):  # each is calibrated: what is averaged are the probabilities before that
        spec = run.spec()
        assert spec.temperature != 1
        run.write_spec(replace(spec, temperature=1.0))
        calibrated.append(spec)
    answers = [
        dict(convscope.predict(run.path, tmp_path / "a.png", top=10)[0].top) for run in (whole.run, *whole.members)
    ]
    for run, spec in zip((whole.run, *whole.members), calibrated, strict=True):
        run.write_spec(spec)
    for name, probability in answers[0].items():
        assert probability == pytest.approx((answers[1][name] + answers[2][name]) / 2)


def test_the_ensemble_is_measured_as_evaluate_measures_it(tmp_path: Path) -> None:
    recipe = RECIPE.changed({"tta": "flip", "epochs": 1})
    found = train_ensemble("digits", recipe, members=2, runs_directory=tmp_path)
    again = convscope.evaluate(found.run.path)
    assert found.scores is not None
    assert again.scores.to_dict() == found.scores.ensemble.to_dict()


def test_what_is_written_and_told(whole: EnsembleOutcome) -> None:
    assert whole.scores is not None
    written = {path.name for path in whole.run.path.iterdir() if path.name != "x"}
    files = {
        "recipe.toml",
        "model.json",
        "members.csv",
        "report.html",
        "log.txt",
        "events.jsonl",
        "status.json",
        "split.csv",
    }
    assert written == files | {"seed-0", "seed-1"}
    page = whole.run.report.read_text()
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page) and "<script" not in page
    for heading in ("Members and ensemble", "Members, and their agreement", "Confusion matrix"):
        assert heading in page
    json.dumps(whole.to_dict())
    assert convscope.train_ensemble is train_ensemble


def test_agreement_and_growth_by_hand(whole: EnsembleOutcome) -> None:
    first = np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]])
    second = np.array([[0.8, 0.2], [0.9, 0.1], [0.3, 0.7]])
    spec = whole.run.spec()
    images = ImageSet(np.zeros((3, 8, 8, 1), np.uint8), np.array([0, 0, 0]), ["a", "b", "c"])
    of_two = replace(spec, preprocessing=replace(spec.preprocessing, classes=("x", "y")), members=None)
    found = compare([np.log(first), np.log(second)], images, spec=of_two, split="test")
    assert found.members == (2 / 3, 2 / 3) and found.mean == 2 / 3
    assert found.first_members == (2 / 3, 1.0) and found.ensemble.accuracy_top1 == 1.0
    assert found.agreement.tolist() == [[1, 1 / 3], [1 / 3, 1]] and found.mean_agreement == 1 / 3


class _StopsAfter(Silent):
    """Presses Ctrl-C after `epochs` epochs of all members together."""

    def __init__(self, epochs: int) -> None:
        self._left = epochs

    def epoch_ended(self, row: EpochRow) -> None:
        self._left -= 1
        if not self._left:
            signal.raise_signal(signal.SIGINT)


def test_a_stopped_ensemble_goes_on_to_the_same_members(
    whole: EnsembleOutcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = begin_ensemble(
        RECIPE.changed({"data": "digits"}), members=2, runs_directory=tmp_path, listener=_StopsAfter(3)
    )
    assert (stopped.ending, stopped.exit_code, len(stopped.members)) == ("interrupted", 130, 1)
    assert convscope.evaluate(stopped.run.path).scores.images > 0  # what is trained can be used
    code, _, err = run_command(capsys, "train", "--resume", stopped.run, "--epochs", "9")
    assert code == 2 and "epochs can't change when an ensemble is resumed" in err
    code, out, _ = run_command(capsys, "train", "--resume", stopped.run)
    assert code == 0 and "2 members, test accuracy of each" in out
    for mine, other in zip(whole.members, (stopped.run.path / "seed-0", stopped.run.path / "seed-1"), strict=True):
        assert mine.weights.read_bytes() == Run(other).weights.read_bytes()
    with pytest.raises(RunError, match=r"has all of its 2 members: add some, members=3"):
        train_ensemble_on(stopped.run.path)


@pytest.mark.parametrize("count", [0, 1, -3])
def test_too_few_members_are_refused(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run_command(capsys, "train", "digits", "--ensemble", str(count))
    assert code == 2 and "averaging takes at least 2 members" in err and err.count("\n") == 1


def test_whoever_wants_one_network_is_told_to_name_a_member(
    whole: EnsembleOutcome, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunError, match=r"is an ensemble of 2 networks: name one of them, .*seed-0, .*seed-1"):
        load(str(whole.run.path))
    assert load(str(whole.members[0].path)).build() is not None
    code, _, err = run_command(capsys, "inspect", whole.run)
    assert code == 2 and "name one of them" in err
    code, _, err = run_command(capsys, "train", "digits", "--model", "alexnet-mini", "--weights", whole.run)
    assert code == 2 and "is an ensemble of 2 networks: name one of them" in err
    with pytest.raises(RunError, match="is an ensemble"):
        train_on(whole.run.path, {}, listener=Silent(), cache_directory=None)
    with pytest.raises(RunError, match="not an ensemble"):
        train_ensemble_on(whole.members[0].path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ensemble": {"names": ["seed-0", "../elsewhere"], "planned": 2}}, "is not the name of a folder in it"),
        ({"ensemble": {"names": ["seed-9"], "planned": 2}}, "is missing: convscope.train.resume="),
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
    spec = json.loads((copied / "model.json").read_text())
    (copied / "model.json").write_text(json.dumps({**spec, **change}))
    with pytest.raises(ConvscopeError, match=message):
        convscope.evaluate(copied)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "folder": shutil.rmtree,
    "no model.json": lambda member: (member / "model.json").unlink(),
    "model.json": lambda member: cut(member / "model.json"),
    "no recipe.toml": lambda member: (member / "recipe.toml").unlink(),
    "recipe.toml": lambda member: cut(member / "recipe.toml"),
    "no weights": lambda member: (member / "weights.safetensors").unlink(),
    "weights": lambda member: cut(member / "weights.safetensors"),
    "no checkpoint": lambda member: shutil.rmtree(member / "checkpoint"),
    "checkpoints": lambda member: [cut(path) for path in member.glob("checkpoint/*/state.json")],
    "no split.csv": lambda member: (member / "split.csv").unlink(),
}
OF_SETTINGS = ("no model.json", "recipe.toml", "no split.csv")
LOST = ("weights", "checkpoints")
# One damage, and each together with lost weights.
PAIRS = [
    *[(one,) for one in DAMAGES],
    *[("no weights", other) for other in DAMAGES if other not in ("no weights", "weights")],
    *[("weights", other) for other in DAMAGES if other not in ("no weights", "weights")],
]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damaged(whole: EnsembleOutcome, folder: Path, *damages: tuple[int, str]) -> Path:
    """A copy of an ensemble, with the members damaged so."""
    copied = shutil.copytree(whole.run.path, folder, ignore=shutil.ignore_patterns("x"))
    for number, damage in damages:
        if (member := copied / f"seed-{number}").is_dir():
            DAMAGES[damage](member)
    return copied


def test_damaged_members_are_mended_or_trained_again_as_they_were(
    whole: EnsembleOutcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_first, of_second = ("weights", *OF_SETTINGS), LOST
    copied = damaged(whole, tmp_path / "copy", *((0, one) for one in of_first), *((1, one) for one in of_second))
    code, _, err = run_command(capsys, "evaluate", copied)
    assert code == 2 and f"train its member again: convscope train --resume {copied}" in err
    code, _, err = run_command(capsys, "train", "--resume", copied)
    assert code == 0 and "Traceback" not in err, err
    first = copied / "seed-0"
    for line in (
        f"{first / 'model.json'} is missing: it is written again",
        "recipe.toml",
        "the weights are taken from its checkpoint",
        "the member is trained again, and what is left of it is kept in seed-1.damaged",
        "member 2 of 2, seed 1",
    ):
        assert line in err and line in (copied / "log.txt").read_text()
    assert "member 1 of 2" not in err
    for member in whole.members:
        for name in ("weights.safetensors", "recipe.toml", "split.csv"):
            assert (copied / member.path.name / name).read_bytes() == (member.path / name).read_bytes()
        # What validation chose, the temperature, is not known of a model.json that was lost.
        assert Run(copied / member.path.name).spec().of_training == member.spec().of_training
    again = json.loads((copied / "model.json").read_text())
    assert again == json.loads(whole.run.spec_path.read_text())
    code, _, err = run_command(capsys, "train", "--resume", copied)
    assert code == 2 and "has all of its 2 members" in err


def test_members_are_checked_before_another_is_trained(
    whole: EnsembleOutcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Recipe] = []
    monkeypatch.setattr("convscope.experiments.ensemble.train.train_new", lambda recipe, **_: trained.append(recipe))
    copied = damaged(whole, tmp_path / "copy")
    spec = json.loads((copied / "seed-1" / "model.json").read_text())
    (copied / "seed-1" / "model.json").write_text(json.dumps({**spec, "classes": spec["classes"][::-1]}))
    with pytest.raises(RunError, match=r"seed-1 does not belong to the ensemble .*: move it|differ; move it"):
        train_ensemble_on(copied, members=3)
    (copied / "seed-1").rename(copied / "mine")
    listed = json.loads((copied / "model.json").read_text())
    listed["ensemble"]["names"][1] = "mine"
    (copied / "model.json").write_text(json.dumps(listed))
    with pytest.raises(RunError, match=r"lists a member 'mine', and the members of this ensemble are seed-0 to seed-2"):
        train_ensemble_on(copied, members=3)
    assert not trained


def test_an_ensemble_that_was_killed_before_it_was_measured_is_measured(whole: EnsembleOutcome, tmp_path: Path) -> None:
    copied = damaged(whole, tmp_path / "copy")
    (copied / "report.html").unlink()
    assert whole.scores is not None
    outcome = train_ensemble_on(copied)
    assert outcome.scores is not None and outcome.scores.members == whole.scores.members
    assert outcome.run.report.is_file()


@pytest.mark.long
@pytest.mark.parametrize("damages", PAIRS, ids=" and ".join)
def test_every_damaged_combination_comes_out_as_it_was(
    whole: EnsembleOutcome, tmp_path: Path, damages: tuple[str, ...]
) -> None:
    copied = damaged(whole, tmp_path / "copy", *((1, one) for one in damages))
    assert whole.scores is not None
    if set(damages) <= {"no checkpoint", "checkpoints", "no split.csv"}:  # a complete member needs its weights only
        with pytest.raises(RunError, match="has all of its 2 members"):
            train_ensemble_on(copied)
    else:
        scores = train_ensemble_on(copied).scores
        assert scores is not None and scores.members == whole.scores.members
    for member in whole.members:
        assert (copied / member.path.name / "weights.safetensors").read_bytes() == member.weights.read_bytes()
    assert convscope.evaluate(copied).scores.accuracy_top1 == whole.scores.ensemble.accuracy_top1
