"""The story of an ablation on digits, and its laws: it trains as `train` does, in any process, and resumes."""

from __future__ import annotations

import csv
import gc
import json
import re
import shutil
import signal
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import convscope
from convscope.cli.main import main
from convscope.data.open import probe
from convscope.errors import RunError
from convscope.experiments.ablation import crew, sharing
from convscope.experiments.ablation import trial as one_trial
from convscope.experiments.ablation.ablate import Ablation, Unwatched, ablate, ablate_on
from convscope.experiments.ablation.plan import read_plan, read_results
from convscope.train import fitting, train
from convscope.train.choose import settle
from convscope.train.machine import this_machine
from convscope.train.recipe import Recipe

# 8 pixels, 539 images and one epoch: enough to compare, over in a second.
RECIPE = Recipe(
    model="alexnet-mini",
    image_size="8",
    validation_fraction=0.2,
    test_fraction=0.5,
    epochs=1,
    batch_size=32,
    threads=1,
    precision="fp32",
    learning_rate=0.05,
    plan="rules",
)


def results(ablation: Ablation) -> dict[tuple[str, int], tuple[Any, ...]]:
    """What every training came to, without what a clock says."""
    return {
        (t.variant, t.seed): (t.accuracy, t.train_accuracy, t.best_val_accuracy, t.rows[-1].train_loss)
        for t in ablation.trials
    }


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
    recipe = RECIPE.changed({"test_views": "flip", "epochs": 2})
    found = ablate("digits", recipe, without=["test-views"], seeds=1, jobs=1, runs_directory=tmp_path)
    outcome = train("digits", recipe, runs_directory=tmp_path)
    assert outcome.scores is not None
    accuracies = {trial.variant: trial.accuracy for trial in found.trials}
    assert accuracies == {"baseline": outcome.scores.accuracy_top1, "test-views": outcome.one_view}


def test_workers_come_to_the_same_results(whole: Ablation, tmp_path: Path) -> None:
    shared = ablate("digits", RECIPE, without=["dropout", "relu"], seeds=2, jobs=2, runs_directory=tmp_path)
    assert results(shared) == results(whole)
    assert shared.ending == "done"


def test_what_is_written_and_told(whole: Ablation) -> None:
    written = {path.name for path in whole.run.path.iterdir()}
    assert written == {"ablation.json", "recipe.toml", "results.csv", "epochs.csv", "report.html", "log.txt"}
    with (whole.run.path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["variant"], row["seed"]) for row in rows] == [
        (name, str(seed)) for name in ("baseline", "dropout", "relu") for seed in (0, 1)
    ]
    assert results(whole).keys() == {(row["variant"], int(row["seed"])) for row in rows}
    told = str(whole)
    assert "order found: " in told and "sigmoid for ReLU" in told and "lecture notes" not in told
    page = whole.report.read_text()
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page) and "<script" not in page
    for heading in ("What each part is worth", "In numbers", "How they learned", "What was done"):
        assert heading in page
    values = json.loads(json.dumps(whole.to_dict()))
    assert values["order"][0] in ("baseline", "dropout") and values["findings"][2]["macs"] > 0
    assert "<svg" in whole._repr_html_()
    assert convscope.ablate is ablate


@pytest.mark.parametrize(
    ("jobs", "threads", "runs", "step_bytes", "wanted"),
    [
        ("auto", "auto", 15, None, (8, 1)),
        ("auto", "auto", 3, None, (3, 2)),
        ("auto", 2, 15, None, (4, 2)),
        ("auto", "auto", 15, 3 * 10**9, (1, "auto")),  # two such steps would take more than half of the memory
        (4, "auto", 15, 10**12, (4, 2)),
        (1, 3, 15, None, (1, 3)),
    ],
)
def test_cores_and_memory_are_shared_out(
    jobs: Any, threads: Any, runs: int, step_bytes: int | None, wanted: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "this_machine", lambda: replace(this_machine(), cores=8))
    monkeypatch.setattr(sharing, "available_memory", lambda: 10**10)
    assert sharing.share_out(jobs, threads, runs=runs, device="cpu", step_bytes=step_bytes) == wanted
    assert sharing.share_out("auto", threads, runs=runs, device="cuda", step_bytes=None) == (1, threads)


class _StopsAfter(Unwatched):
    """Presses Ctrl-C once so many trainings are done."""

    def __init__(self, trainings: int) -> None:
        self._left = trainings

    def said(self, line: str) -> None:
        if re.match(r"\d+ of \d+  ", line):
            self._left -= 1
            if not self._left:
                signal.raise_signal(signal.SIGINT)


def test_a_stopped_ablation_goes_on_where_it_was(
    whole: Ablation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = ablate(
        "digits",
        RECIPE,
        without=["dropout", "relu"],
        seeds=2,
        jobs=1,
        runs_directory=tmp_path,
        watcher=_StopsAfter(2),
    )
    assert (stopped.ending, stopped.exit_code) == ("stopped", 130)
    done = {(trial.variant, trial.seed) for trial in read_results(stopped.run)}
    assert len(done) == 2
    trained: list[tuple[str, int]] = []
    run_trial = crew.run_trial

    def counting(bench: Any, variant: Any, seed: int, **options: Any) -> Any:
        trained.append((variant.name, seed))
        return run_trial(bench, variant, seed, **options)

    monkeypatch.setattr(crew, "run_trial", counting)
    resumed = ablate_on(stopped.run.path, jobs=1)
    assert resumed.ending == "done" and not done & set(trained) and len(trained) == 4
    accuracies = {key: value[:3] for key, value in results(resumed).items()}
    assert accuracies == {key: value[:3] for key, value in results(whole).items()}


class _Lines(Unwatched):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def said(self, line: str) -> None:
        self.lines.append(line)


def memory_for(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let so large a share of what the usual recipe's step needs be all that can be taken."""
    found = probe("digits")
    needed = fitting.step_bytes(settle(RECIPE.changed({"data": "digits"}), found), len(found.classes))
    assert needed is not None
    for module in (fitting, sharing):
        monkeypatch.setattr(module, "available_memory", lambda: int(share * needed / fitting.USABLE))


def test_a_batch_too_large_is_halved_for_all_variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = _Lines()
    with monkeypatch.context() as patch:
        memory_for(0.97, patch)
        smaller = ablate("digits", RECIPE, without=["dropout"], seeds=1, jobs=1, runs_directory=tmp_path, watcher=heard)
    assert any(line.startswith("memory: a step of 32 images needs") for line in heard.lines)
    batch = smaller.recipe.batch_size
    assert batch < 32 and smaller.run.recipe().batch_size == batch
    asked = RECIPE.changed({"batch_size": batch, "learning_rate": smaller.recipe.learning_rate})
    same = ablate("digits", asked, without=["dropout"], seeds=1, jobs=1, runs_directory=tmp_path)
    assert results(same) == results(smaller)


def test_what_is_complete_keeps_the_batch_when_the_memory_is_less(
    whole: Ablation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(whole.run.path, copied)
    plan = read_plan(whole.run)
    settled = settle(whole.recipe, probe("digits"))
    memory_for(2.5, monkeypatch)
    jobs, lines = sharing.jobs_that_fit(4, plan, settled, 10)
    assert jobs == 2 and "2 trainings at once, not 4" in lines[0]
    assert sharing.jobs_that_fit(2, plan, settled, 10) == (2, ())
    memory_for(0.9, monkeypatch)
    with pytest.raises(RunError, match=r"not hold a step of 32 images, and the complete trainings had such steps"):
        ablate_on(copied, seeds=3, jobs=1)


@pytest.mark.parametrize("after", [0, 1])
def test_a_step_that_finds_no_memory_halves_all_or_ends_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    real, trained = one_trial.fit, 0
    refused: list[weakref.ref[Any]] = []

    def full(state: Any, settings: Any, *given: Any, **options: Any) -> str:
        nonlocal trained
        gc.collect()
        # What did not fit is gone before it is tried with less.
        assert all(network() is None for network in refused)
        if settings.batch_size == 32 and trained >= after:
            refused.append(weakref.ref(state.network))
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        trained += 1
        return real(state, settings, *given, **options)

    monkeypatch.setattr(one_trial, "fit", full)
    heard = _Lines()
    given: dict[str, Any] = {"seeds": 1, "jobs": 1, "runs_directory": tmp_path, "watcher": heard}
    if after:
        with pytest.raises(RunError, match="a step of 32 images of no dropout, and the complete trainings had such"):
            ablate("digits", RECIPE, without=["dropout"], **given)
        return
    found = ablate("digits", RECIPE, without=["dropout"], **given)
    assert found.ending == "done" and found.recipe.batch_size == 16 and len(found.trials) == 2 and len(refused) == 1
    assert any("steps of 16 images, learning rate" in line for line in heard.lines)


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("digits --without batchnorm", "has no batch normalization; what applies here: relu,"),
        ("digits --without relo", "Did you mean relu"),
        ("digits --jobs none", "give a number of at least 1, or auto"),
        ("", "there is nothing to train on"),
        ("--resume nowhere", "not the directory of an ablation"),
        ("--resume nowhere --epochs 3", "takes data and settings from the folder"),
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


def test_results_that_are_damaged_are_refused(whole: Ablation, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(whole.run.path, copied)
    (copied / "results.csv").write_text("variant,seed\nbaseline,one\n")
    with pytest.raises(RunError, match=r"the results in .* can't be read"):
        ablate_on(copied)
