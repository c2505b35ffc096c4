"""Images with several labels, from a CSV table to predictions, through the real command line."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import data_makers as made
from commands import run_command
from convscope.cli.main import main
from convscope.recipe.recipe import Recipe
from convscope.runs.events import Silent
from convscope.training.train import train
from convscope.training.train_run import train_on
from trainings import StopAfter, train_watched


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `shapes/labels.csv`, and `runs/shapes`, trained on it."""
    folder = tmp_path_factory.mktemp("work")
    made.shapes_table(folder / "shapes", 180)
    with pytest.raises(SystemExit) as ended:
        main(
            f"train {folder / 'shapes'} --epochs 8 --threads 1 --precision fp32 --test-fraction 0.2 "
            f"--name shapes --runs {folder / 'runs'}".split()
        )
    assert ended.value.code == 0
    return folder


def test_it_learns_to_see_each_shape(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_command(capsys, "evaluate", work / "runs" / "shapes", "--json")
    found = json.loads(out)
    assert (code, found["split"], found["classes"]) == (0, "test", list(made.SHAPES))
    assert found["mean_average_precision"] > 0.85 and found["exact_match"] > 0.5
    assert "confusion_matrix" not in found
    code, out, _ = run_command(capsys, "evaluate", work / "runs" / "shapes")
    assert code == 0 and re.search(r"^mAP +\d+\.\d\d % \(mean over 3 classes\)$", out, re.MULTILINE)
    assert "Confusion" not in out and "ROC-AUC" in out


def test_the_run_says_what_its_columns_are(work: Path) -> None:
    run = work / "runs" / "shapes"
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"train/exact_match", "val/mean_average_precision"} <= rows[0].keys()
    best = max(rows, key=lambda row: (float(row["val/mean_average_precision"]), -float(row["val/loss"])))
    assert best["best"] == "1"
    assert json.loads((run / "model.json").read_text())["loss"] == "multi-label"
    with (run / "split.csv").open() as file:
        images = [row["image"] for row in csv.DictReader(file)]
    assert len(set(images)) == 180 and all(name.startswith("images/") for name in images)


def test_the_report_has_bars_and_no_confusion_matrix(work: Path) -> None:
    page = (work / "runs" / "shapes" / "report.html").read_text()
    assert "Confusion matrix" not in page
    for text in ("Average precision", "Exact match and mAP", "validation: mAP", "Class by class", "red square"):
        assert text in page
    assert re.search(r'alt="an image of (\w+ \w+, )+\w+ \w+"', page), "pictures are captioned with all of their labels"


def test_predict_gives_every_label_over_the_threshold(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, images = work / "runs" / "shapes", work / "shapes" / "images"
    told_json = [
        json.loads(run_command(capsys, "predict", run, images, "--json", *more)[1])
        for more in ((), ("--threshold", "0.999"))
    ]
    usual, strict = ([item["labels"] for item in found["predictions"]] for found in told_json)
    first = told_json[0]["predictions"][0]
    assert first["probabilities"].keys() == set(made.SHAPES)
    assert all(set(few) <= set(many) for few, many in zip(strict, usual, strict=True)) and strict != usual
    code, out, _ = run_command(capsys, "predict", run, images, "--csv")
    rows = list(csv.DictReader(out.splitlines()))
    assert code == 0 and list(rows[0]) == ["image", "labels", *made.SHAPES]
    for row, labels in zip(rows, usual, strict=True):
        assert row["labels"] == "|".join(labels)
        assert set(labels) == {name for name in made.SHAPES if float(row[name]) >= 0.5}
    answers = {Path(row["image"]).name: set(filter(None, row["labels"].split("|"))) for row in rows}
    with (work / "shapes" / "labels.csv").open() as file:
        truth = {Path(row["image"]).name: set(filter(None, row["labels"].split("|"))) for row in csv.DictReader(file)}
    assert np.mean([answers[name] == truth[name] for name in truth]) > 0.6
    _, out, _ = run_command(capsys, "predict", run, images, "--threshold", "1")
    assert out.count("none (nearest: ") >= 170


def test_evaluate_on_another_table_goes_by_class_name(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, targets = made.shapes_table(tmp_path, 40, seed=7)
    path.write_text(path.read_text().replace("blue disc", "").replace("||", "|"))
    found = json.loads(run_command(capsys, "evaluate", work / "runs" / "shapes", path, "--json")[1])
    assert (found["split"], found["classes_without_images"]) == ("all", ["blue disc"])
    assert [row["images"] for row in found["per_class"]] == [0, *targets.sum(0)[1:]]
    assert found["per_class"][2]["average_precision"] > 0.85
    path.write_text(path.read_text().replace("red square", "red sqare"))
    code, _, err = run_command(capsys, "evaluate", work / "runs" / "shapes", path)
    assert code == 2 and "the run was not trained on: red sqare. Did you mean red square?" in err


MISTAKES = [
    ("train {shapes} --loss softmax", "loss is softmax, but the images of"),
    ("train digits --loss multi-label", "have one class each: take softmax, hinge or logistic"),
    ("train {shapes} --ensemble 2", "by the one class they predict; train one network instead"),
    ("ablate {shapes} --model no-such", "compares accuracies of one; train it with and without a part"),
    ("evaluate {run} {folders}", "has one class an image, and the run learned several labels"),
    ("predict {run} {shapes}/images --threshold 1.5", "threshold is 1.5: a probability is 0 to 1"),
    ("predict {run} {shapes}/images --top 2", "--threshold says which are shown"),
]


@pytest.mark.parametrize(("command", "message"), MISTAKES, ids=[command for command, _ in MISTAKES])
def test_what_does_not_go_together_is_one_line(
    work: Path, tmp_path: Path, command: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made.fill(tmp_path / "folders", {"blue disc": 2, "red square": 2})
    places = {"shapes": work / "shapes", "run": work / "runs" / "shapes", "folders": tmp_path / "folders"}
    code, out, err = run_command(capsys, *command.format(**places).split())
    assert (code, out) == (2, "") and message in err and "Traceback" not in err


def test_a_table_of_single_labels_trains_as_folders_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made.fill(tmp_path / "data", {"a": 8, "b": 8})
    files = sorted((tmp_path / "data").rglob("*.png"))
    lines = ["path,label", *(f"{path.relative_to(tmp_path)},{path.parent.name}" for path in files)]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    command = ("--model", "lenet5", "--epochs", "1", "--runs", tmp_path / "runs", "--json")
    by_table = json.loads(run_command(capsys, "train", tmp_path / "labels.csv", *command)[1])
    by_folder = json.loads(run_command(capsys, "train", tmp_path / "data", *command)[1])
    assert Path(by_table["run"]).name == "labels-lenet5"
    weights = [(Path(found["run"]) / "weights.safetensors").read_bytes() for found in (by_table, by_folder)]
    assert weights[0] == weights[1]
    code, _, err = run_command(capsys, "predict", by_table["run"], files[0], "--threshold", "0.5")
    assert code == 2 and "the run names one class for each image" in err
    code, _, err = run_command(capsys, "evaluate", by_table["run"], made.shapes_table(tmp_path / "shapes", 8)[0])
    assert code == 2 and "has several labels, or none, an image, and the run learned one class" in err


def test_a_resumed_run_notices_other_labels(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(work / "runs" / "shapes", tmp_path / "run")
    table = work / "shapes" / "labels.csv"
    before = table.read_text()
    lines = before.splitlines()
    row = next(number for number, line in enumerate(lines) if line.endswith(",green bar"))
    try:
        table.write_text("\n".join([*lines[:row], lines[row] + "|red square", *lines[row + 1 :]]))
        code, _, err = run_command(capsys, "train", "--resume", run, "--epochs", "10")
    finally:
        table.write_text(before)
    assert code == 2 and "have changed since" in err


def test_a_resumed_run_is_the_unbroken_one(tmp_path: Path) -> None:
    table, _ = made.shapes_table(tmp_path, 40)
    recipe = Recipe(model="lenet5", image_size="24", epochs=2, batch_size=16, threads=1, precision="fp32")
    whole = train(table, recipe, runs_directory=tmp_path / "runs")
    stopped = train_watched(table, recipe, runs_directory=tmp_path / "runs", listener=StopAfter(1))
    assert (stopped.ending, stopped.epochs, stopped.measured) == ("interrupted", 1, "mAP")
    resumed = train_on(stopped.run.path, {}, listener=Silent(), cache_directory=None)
    assert (resumed.ending, resumed.epochs) == ("done", 2)
    assert resumed.run.weights.read_bytes() == whole.run.weights.read_bytes()
    assert resumed.best is not None and whole.best is not None and resumed.best.accuracy == whole.best.accuracy
