"""The story of an ablation on digits, and its laws: it trains as `train` does, in any process, and resumes."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

import convscope
from ablations import RECIPE, results
from convscope.cli.main import main
from convscope.errors import RunError
from convscope.experiments.ablation import worker_pool as pool
from convscope.experiments.ablation.ablate import ablate, ablate_on, begin_ablation
from convscope.experiments.ablation.record import Ablation
from convscope.experiments.ablation.results import read_results
from convscope.runs.events import Silent
from convscope.training.resolve.memory import OutOfMemoryError
from convscope.training.train import train


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Ablation:
    """Two variants and the baseline with two seeds, one after the other."""
    folder = tmp_path_factory.mktemp("runs")
    return ablate("digits", RECIPE, without=["dropout", "relu"], seeds=2, jobs=1, runs_directory=folder)


def test_the_baseline_is_what_train_trains(whole: Ablation, tmp_path: Path) -> None:
    by_seed = {trial.seed: trial for trial in whole.trials if trial.variant == "baseline"}
    for seed, trial in by_seed.items():
        outcome = train("digits", RECIPE.changed({"seed": seed, "split_seed": 0}), runs_directory=tmp_path)
        assert outcome.scores is not None and outcome.best is not None
        assert trial.accuracy == outcome.scores.accuracy_top1
        assert trial.best_val_accuracy == outcome.best.accuracy
    assert set(by_seed) == {0, 1}


def test_accuracies_are_those_of_several_views_where_train_takes_several(tmp_path: Path) -> None:
    recipe = RECIPE.changed({"tta": "flip", "epochs": 2})
    found = ablate("digits", recipe, without=["test-views"], seeds=1, jobs=1, runs_directory=tmp_path)
    outcome = train("digits", recipe, runs_directory=tmp_path)
    assert outcome.scores is not None
    accuracies = {trial.variant: trial.accuracy for trial in found.trials}
    assert accuracies == {"baseline": outcome.scores.accuracy_top1, "test-views": outcome.one_view}


def test_workers_come_to_the_same_results(whole: Ablation, tmp_path: Path) -> None:
    shared = results(ablate("digits", RECIPE, without=["relu"], seeds=1, jobs=2, runs_directory=tmp_path))
    alone = results(whole)
    assert shared == {trial: alone[trial] for trial in (("baseline", 0), ("relu", 0))}


def test_what_is_written_and_told(whole: Ablation) -> None:
    written = {path.name for path in whole.run.path.iterdir()}
    assert written == {
        "ablation.json", "recipe.toml", "results.csv", "epochs.csv", "report.html", "log.txt", "events.jsonl",
        "status.json", "live",
    }  # fmt: skip
    with (whole.run.path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["variant"], row["seed"]) for row in rows] == [
        (name, str(seed)) for name in ("baseline", "dropout", "relu") for seed in (0, 1)
    ]
    assert results(whole).keys() == {(row["variant"], int(row["seed"])) for row in rows}
    text = str(whole)
    assert "order found: " in text and "sigmoid for ReLU" in text and "lecture notes" not in text
    page = whole.report.read_text()
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page) and "<script" not in page
    for heading in (
        "Ablation of alexnet-mini",
        "Accuracy by variant",
        "Validation accuracy by epoch",
        "Norms by layer",
        "What was done",
    ):
        assert heading in page
    values = json.loads(json.dumps(whole.to_dict()))
    assert values["order"][0] in ("baseline", "dropout") and values["findings"][2]["macs"] > 0
    assert "<svg" in whole._repr_html_()
    assert convscope.ablate is ablate


@pytest.mark.parametrize(("sigmoid", "far"), [(0.10, ("relu",)), (0.75, ())])
def test_a_variant_that_failed_does_not_press_the_others_together(
    whole: Ablation, sigmoid: float, far: tuple[str, ...]
) -> None:
    means = {"baseline": 0.80, "dropout": 0.81, "relu": sigmoid}
    findings = [
        replace(found, accuracy=replace(found.accuracy, mean=means[found.variant.name]))
        for found in whole.findings
        if found.accuracy is not None
    ]
    ablation = replace(whole, findings=tuple(findings))
    assert ablation.far_off() == far
    page = ablation.to_html()
    assert ("Closer: those that end near the baseline" in page) == bool(far)
    assert ("Not shown, so that the others can be distinguished: sigmoid for ReLU." in page) == bool(far)
    closer = ablation.figure(without=far).document()
    assert ("sigmoid for ReLU" in closer) != bool(far) and "no dropout" in closer


class _StopsAfter(Silent):
    """Presses Ctrl-C once `trainings` trainings are done."""

    def __init__(self, trainings: int) -> None:
        self._left = trainings

    def notify(self, line: str) -> None:
        if re.match(r"\d+ of \d+  ", line):
            self._left -= 1
            if not self._left:
                signal.raise_signal(signal.SIGINT)


def test_a_stopped_ablation_goes_on_where_it_was(
    whole: Ablation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = begin_ablation(
        RECIPE.changed({"data": "digits"}),
        without=["dropout", "relu"],
        seeds=2,
        jobs=1,
        runs_directory=tmp_path,
        listener=_StopsAfter(2),
    )
    assert (stopped.ending, stopped.exit_code) == ("interrupted", 130)
    done = {(trial.variant, trial.seed) for trial in read_results(stopped.run).trials}
    assert len(done) == 2
    trained: list[tuple[str, int]] = []
    run_trial = pool.run_trial

    def counting(bench: Any, variant: Any, seed: int, **options: Any) -> Any:
        trained.append((variant.name, seed))
        return run_trial(bench, variant, seed, **options)

    monkeypatch.setattr(pool, "run_trial", counting)
    (tmp_path / "digits").mkdir()  # a folder of the name that the recipe has for what is built in
    monkeypatch.chdir(tmp_path)
    resumed = ablate_on(stopped.run.path, jobs=1)
    assert resumed.ending == "done" and not done & set(trained) and len(trained) == 4
    accuracies = {key: value[:3] for key, value in results(resumed).items()}
    assert accuracies == {key: value[:3] for key, value in results(whole).items()}


def test_seeds_and_variants_can_be_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = ablate("digits", RECIPE, without=["dropout"], seeds=1, jobs=1, runs_directory=tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(f"ablate --resume {first.run} --without weight-decay --jobs 1 --json".split())
    assert ended.value.code == 0
    values = json.loads(capsys.readouterr().out)
    assert [found["variant"] for found in values["findings"]] == ["baseline", "dropout", "weight-decay"]
    assert all(found["difference"] is None or found["difference"]["low"] is None for found in values["findings"])
    same = {(t.variant, t.seed): t.accuracy for t in first.trials}
    assert {(f["variant"], 0): f["by_seed"]["0"] for f in values["findings"][:2]} == same


def test_fewer_seeds_than_it_was_begun_with_are_refused(whole: Ablation) -> None:
    with pytest.raises(RunError, match=r"was begun with 2 seeds: give more, not 1"):
        ablate_on(whole.run.path, seeds=1, jobs=1)


def test_an_ablation_of_which_every_training_diverged_says_so_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wild = RECIPE.changed({"learning_rate": 1e30, "schedule": "constant", "warmup": 0.0})
    found = ablate("digits", wild, without=["dropout"], seeds=1, jobs=1, runs_directory=tmp_path)
    assert [trial.ending for trial in found.trials] == ["diverged", "diverged"]
    line = "nothing to compare: 2 trainings ended, and every one diverged; lower the rate, of at most 1e+30, say to"
    assert found.exit_code == 2 and "order found" not in str(found) and line in str(found)
    assert line in (found.run.path / "log.txt").read_text() and line[1:] in found.report.read_text()
    with pytest.raises(SystemExit) as ended:
        main(["ablate", "--resume", str(found.run), "--jobs", "1"])
    assert ended.value.code == 2 and line in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("digits --without batchnorm", "has no batch normalization; what applies here: relu,"),
        ("digits --without relo", "Did you mean relu"),
        ("digits --jobs none", "give a number of at least 1, or auto"),
        (f"digits --jobs {5_000 * '9'}", "give a number of at least 1, or auto"),
        ("", "there is nothing to train on"),
        ("--resume nowhere", "not the directory of an ablation"),
        ("--resume nowhere --epochs 3", "takes data and settings from the folder"),
        ("--resume nowhere --runs elsewhere", "leave --runs out"),
        ("nowhere", "there is no folder nowhere"),
    ],
)
def test_what_can_not_be_is_said_in_one_line(
    arguments: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["ablate", *arguments.split()])
    err = capsys.readouterr().err
    assert ended.value.code == 2 and message in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_training_whose_row_is_cut_off_is_done_again(
    whole: Ablation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = shutil.copytree(whole.run.path, tmp_path / "copy")
    table = copied / "results.csv"
    rows = table.read_text()
    table.write_text(rows[:-30])
    with pytest.raises(SystemExit) as ended:
        main(["ablate", "--resume", str(copied), "--jobs", "1"])
    said = capsys.readouterr().err
    assert ended.value.code == 0
    assert f"{table}: its last row is cut off, and is dropped" in said
    assert "5 of 6 trainings are done" in said and "Traceback" not in said

    def measured(text: str) -> list[list[str]]:
        return [line.split(",")[:-1] for line in text.splitlines()]  # the last is a time

    assert measured(table.read_text()) == measured(rows)
    assert said.splitlines()[-1] in (copied / "log.txt").read_text()
    table.write_text(rows.replace("0,done,0.", "0,done,zero.", 1))
    with pytest.raises(RunError, match=r"results\.csv, row 2: accuracy is 'zero\.\d+', not a number; remove the row"):
        ablate_on(copied, jobs=1)


def test_a_step_that_does_not_fit_a_worker_is_told_from_other_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool halves the batch for the one, and ends for the others."""
    for error, of_memory in ((OutOfMemoryError("no memory"), True), (RunError("no data"), False)):
        replies = io.StringIO()

        def fail(*_: object, error: RunError = error) -> None:
            raise error

        monkeypatch.setattr(pool, "work", fail)
        pool.serve(SimpleQueue(), replies)
        assert json.loads(replies.getvalue()) == {"refused": str(error), "of_memory": of_memory}
