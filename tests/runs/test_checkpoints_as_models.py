"""A checkpoint of a run where a run is taken: its weights are those that were measured at the end of that epoch."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import convscope
from commands import run_command
from convscope.errors import ConvscopeError, RunError
from convscope.runs.run_directory import Run
from convscope.runs.run_like import run_of
from convscope.training.start import architecture_of, read_start, run_of_weights


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of LeNet-5 with two epochs."""
    folder = tmp_path_factory.mktemp("checkpoints")
    recipe = convscope.Recipe(model="lenet5", epochs=2, autotune="rules")
    outcome = convscope.train("digits", recipe, name="run", runs_directory=folder, cache_directory=folder / "cache")
    return outcome.run.path


def steps(run: Path) -> list[Path]:
    """Return the checkpoints of a run, oldest first."""
    return sorted((run / "checkpoint").iterdir())


def test_a_checkpoint_predicts_and_is_measured_with_its_weights(run: Path, tmp_path: Path) -> None:
    first, last = steps(run)
    measured = [convscope.evaluate(path, split="val", cache_directory=tmp_path) for path in (first, last)]
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for found, row in zip(measured, rows, strict=True):
        assert found.to_dict()["accuracy_top1"] == pytest.approx(float(row["val/accuracy_top1"]), abs=1e-5)
    assert measured[0].to_dict()["checkpoint"] == first.name and str(measured[0].run) == str(Run(first))
    assert measured[0].notes[0] == "the weights are those of epoch 1, not the best"
    predictors = [convscope.load(path) for path in (first, last, run)]
    assert [one.run.checkpoint for one in predictors if one.run] == [first.name, last.name, ""]
    shares = [one("digits/7").shares for one in predictors]
    assert not np.allclose(shares[0], shares[1])
    for path, own in zip((first, last), shares, strict=False):
        assert convscope.predict(path, ["digits/7"])[0].shares == pytest.approx(own)


def test_commands_take_a_checkpoint(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = steps(run)
    code, out, err = run_command(capsys, "predict", first, "digits/7", "--json")
    assert code == 0 and err == "" and len(json.loads(out)["predictions"]) == 1
    code, out, err = run_command(capsys, "evaluate", first)
    assert code == 0 and "the weights are those of epoch 1" in out and str(first.relative_to(run)) in out
    code, out, err = run_command(capsys, "inspect", first)
    assert code == 0 and "run (epoch 1)" in out
    for command in (["inspect", first], ["compare", first, run], ["look", first, "digits/7"], ["evaluate", first]):
        code, _, err = run_command(capsys, *command, "--trust-code")
        assert code == 2 and "is lenet5, which is not of your own code: leave --trust-code out" in err


def test_a_training_starts_from_the_weights_of_a_checkpoint(run: Path, tmp_path: Path) -> None:
    first, last = steps(run)
    recipe = convscope.Recipe(model="lenet5", epochs=0, autotune="rules")
    started = []
    for weights in (first, last):
        places = {"runs_directory": tmp_path, "cache_directory": tmp_path / "cache"}
        made = convscope.train("digits", recipe.changed({"weights": str(weights)}), **places)
        started.append(convscope.load(made)("digits/7").shares)
    shares = [convscope.load(path)("digits/7").shares for path in (first, last)]
    assert not np.allclose(shares[0], shares[1])
    for found, own in zip(started, shares, strict=True):
        assert np.argsort(found).tolist() == np.argsort(own).tolist()


def test_a_checkpoint_that_is_gone_is_no_reason_to_refuse_a_resumed_training(run: Path) -> None:
    gone = str(run / "checkpoint" / "step-000000001")
    assert run_of_weights(gone) is None  # which a resumed training asks, and reads its own checkpoint
    architecture = architecture_of("lenet5", "", classes=10, decoding=Run(run).spec().decoding)
    with pytest.raises(RunError, match="has no checkpoint step-000000001; it has step-"):
        read_start(gone, architecture, trained=True)


@pytest.mark.parametrize("name", ["step-7.safetensors", "step-7"])
def test_weights_that_are_named_as_a_checkpoint_are_read_as_what_they_are(
    name: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint" / name
    file = path if path.suffix else path / "weights.safetensors"
    file.parent.mkdir(parents=True)
    shutil.copy(run / "weights.safetensors", file)
    assert run_of_weights(str(path)) is None
    architecture = architecture_of("lenet5", "", classes=10, decoding=Run(run).spec().decoding)
    assert read_start(str(path), architecture, trained=True) is not None
    monkeypatch.chdir(steps(run)[0])
    assert run_of_weights("") is None


def test_what_is_no_checkpoint_and_what_takes_none_is_one_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = run / "checkpoint" / "step-000000001"
    names = " and ".join(path.name for path in steps(run))
    for command in (["predict", gone, "digits/7"], ["evaluate", gone], ["look", gone, "digits/7"], ["inspect", gone]):
        code, out, err = run_command(capsys, *command)
        assert code == 2 and out == "" and f"has no checkpoint step-000000001; it has {names}" in err
    with pytest.raises(RunError, match="is a checkpoint: give the run"):
        convscope.train(resume=steps(run)[0])
    code, _, err = run_command(capsys, "train", "--resume", steps(run)[0])
    assert code == 2 and "is a checkpoint: give the run" in err
    code, _, err = run_command(capsys, "predict", run / "checkpoint", "digits/7")
    assert code == 2 and "checkpoint holds checkpoints: give the run, " in err and str(steps(run)[0]) in err
    (run / "checkpoint" / "step-000000003").mkdir()
    with pytest.raises(ConvscopeError, match="step-000000003"):
        convscope.load(run / "checkpoint" / "step-000000003")
    (run / "checkpoint" / "step-000000003").rmdir()


def test_a_handle_of_a_checkpoint_stays_one(run: Path) -> None:
    found = run_of(steps(run)[1])
    assert found.checkpoint == steps(run)[1].name and run_of(found) == found != run_of(run)
    assert run_of(replace(found, checkpoint="")) == run_of(run)
    with pytest.raises(ConvscopeError, match="checkpoint is 3"):
        Run(run, checkpoint=3)  # type: ignore[arg-type]
