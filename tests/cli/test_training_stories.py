"""Stories of the commands train, evaluate, predict and demo, run_command through the command line."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from PIL import Image

from commands import run_command
from convscope.cli.main import main
from convscope.scoring.metrics import score
from convscope.scoring.scores import matrix_table

COLOURS = {"blue": (30, 40, 200), "green": (20, 180, 40), "red": (210, 30, 30)}
RUN_FILES = {"recipe.toml", "model.json", "weights.safetensors", "checkpoint", "metrics.csv", "report.html", "log.txt",
             "events.jsonl", "status.json", "live", "scores.json"}  # fmt: skip


def paint(folder: Path, images: int) -> Path:
    """Class folders of noisy plain colours: a few pixels tell them apart."""
    draw = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(images):
            pixels = np.clip(draw.normal(colour, 25, (20, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `photos/` (one image of it broken), and `runs/colours`, trained on them."""
    folder = tmp_path_factory.mktemp("work")
    photos = paint(folder / "photos", 12)
    (photos / "red" / "torn.png").write_bytes((photos / "red" / "0.png").read_bytes()[:200])
    with pytest.raises(SystemExit) as ended:
        main(
            f"train {photos} --model alexnet-mini --epochs 4 --batch-size 8 --learning-rate 0.01 --threads 1 "
            f"--test-fraction 0.25 --name colours --runs {folder / 'runs'}".split()
        )
    assert ended.value.code == 0
    return folder


def test_a_run_directory_holds_what_it_promises(work: Path) -> None:
    run = work / "runs" / "colours"
    assert {path.name for path in run.iterdir()} == RUN_FILES | {"split.csv"}
    recipe = tomllib.loads((run / "recipe.toml").read_text())
    assert (recipe["epochs"], recipe["model"], recipe["flip"]) == (4, "alexnet-mini", True)
    # By each image's own kind; and as many as the epochs have.
    assert [name for name, value in recipe.items() if value == "auto"] == ["value_range", "steps"]
    spec = json.loads((run / "model.json").read_text())
    assert spec["classes"] == sorted(COLOURS)
    assert spec["preprocessing"]["channels"] == len(spec["preprocessing"]["mean"]) == 3
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert all(row["train/loss"] and row["val/accuracy_top1"] and float(row["lr"]) > 0 for row in rows)
    with (run / "split.csv").open() as file:
        images = [row["image"] for row in csv.DictReader(file)]
    assert len(images) == len(set(images)) == 36


def test_the_report_stands_alone_and_names_the_broken_image(work: Path) -> None:
    page = (work / "runs" / "colours" / "report.html").read_text()
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "<script" not in page and "url(" not in page
    assert "torn.png" in page and "1 image skipped" in page
    for heading in ("Training curves", "Confusion matrix", "Training images", "First-layer filters"):
        assert heading in page


def test_evaluate_measures_the_held_out_part(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_command(capsys, "evaluate", work / "runs" / "colours", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["split"], found["images"], found["images_skipped"]) == ("test", 9, 1)
    assert found["accuracy_top1"] >= 0.9
    assert found["accuracy_top5"] is None
    assert np.sum(found["confusion_matrix"]) == 9
    code, out, _ = run_command(capsys, "evaluate", work / "runs" / "colours")
    assert "top-1 accuracy" in out and "Confusion matrix" in out and "torn" not in out


def test_evaluate_refuses_a_file_of_predictions_before_it_measures(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)
    command = ("evaluate", work / "runs" / "colours", tmp_path / "no images", "--predictions")
    for file, why in ((tmp_path / "a.csv", "no permission to write"), (tmp_path, "it is a folder")):
        code, _, err = run_command(capsys, *command, file)
        assert code == 2 and f"{file} can't be written: {why}" in err


def test_evaluate_on_other_images_goes_by_class_name(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = paint(tmp_path / "others", 3)
    for path in (others / "blue").iterdir():
        path.unlink()
    (others / "blue").rmdir()
    code, out, _ = run_command(capsys, "evaluate", work / "runs" / "colours", others, "--json")
    found = json.loads(out)
    assert (code, found["split"], found["images"], found["notes"]) == (0, "all", 6, [])
    assert [row["images"] for row in found["per_class"]] == [0, 3, 3]
    assert found["accuracy_top1"] >= 0.8
    (others / "red").rename(others / "rd")
    code, _, err = run_command(capsys, "evaluate", work / "runs" / "colours", others)
    assert code == 2
    assert "classes that the run was not trained on: rd. Did you mean red?" in err


def test_evaluate_measures_a_single_class(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, others = work / "runs" / "colours", paint(tmp_path / "others", 3)
    for name in ("blue", "green"):
        shutil.rmtree(others / name)
    red = [f"others/red/{number}.png" for number in range(3)]
    (tmp_path / "one.csv").write_text("\n".join(["image,label", *(f"{path},red" for path in red)]))
    code, _, err = run_command(capsys, "shard", work / "photos", tmp_path / "shards")
    assert code == 0, err
    with tarfile.open(tmp_path / "red.tar", "w") as archive:
        for number in range(3):
            archive.add(others / "red" / f"{number}.png", f"{number}.png")
            label = tarfile.TarInfo(f"{number}.cls")
            label.size = 3
            archive.addfile(label, io.BytesIO(b"red"))
    for data in (others, tmp_path / "one.csv", tmp_path / "red.tar"):
        code, out, err = run_command(capsys, "evaluate", run, data, "--json")
        assert code == 0, err
        assert [row["images"] for row in json.loads(out)["per_class"]] == [0, 0, 3]
        code, _, err = run_command(capsys, "train", data, "--runs", tmp_path / "runs")
        assert code == 2 and "has one class only, 'red'" in err


def test_evaluate_says_what_to_type_where_the_images_have_moved(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(work / "runs" / "colours", tmp_path / "my run")
    recipe = (run / "recipe.toml").read_text()
    (run / "recipe.toml").write_text(recipe.replace(str(work / "photos"), str(tmp_path / "gone")))
    code, _, err = run_command(capsys, "evaluate", run)
    assert code == 2 and f"no longer at {tmp_path / 'gone'}" in err
    assert f"convscope evaluate '{run}' DATA" in err


def test_predict_says_that_shards_are_measured(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = tmp_path / "日 本"
    code, out, err = run_command(capsys, "shard", work / "photos", shards)
    assert code == 0 and f"to train on them: convscope train '{shards}'" in out, err
    for given in (shards, shards / "all-000000.tar"):
        code, _, err = run_command(capsys, "predict", work / "runs" / "colours", given)
        assert code == 2 and "holds its images in shards (.tar), and predict takes image files" in err
        assert f"convscope evaluate RUN '{given}'" in err


def test_evaluate_says_when_a_held_out_image_was_trained_on(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(work / "runs" / "colours", tmp_path / "run")
    (run / "split.csv").write_text((run / "split.csv").read_text().replace(",test", ",train"))
    _, out, _ = run_command(capsys, "evaluate", run)
    assert "· 9 of these images were trained on: the folder has changed" in out


def test_evaluate_says_when_the_named_images_are_the_runs_own(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, photos = work / "runs" / "colours", work / "photos"
    learned = (run / "split.csv").read_text().count(",train")
    code, out, _ = run_command(capsys, "evaluate", run, photos, "--json")
    (said,) = (note for note in json.loads(out)["notes"] if "trained on" in note)
    assert code == 0 and said.startswith(
        f"{learned} of these images were trained on, so scores flatter: convscope evaluate"
    )


def test_predict_names_images_and_lists_the_broken_ones(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, red = work / "runs" / "colours", work / "photos" / "red"
    code, out, err = run_command(capsys, "predict", run, red / "0.png", red / "torn.png", red / "none.png", "--json")
    found = json.loads(out)
    assert code == 2
    assert [Path(item["image"]).name for item in found["problems"]] == ["torn.png", "none.png"]
    assert found["predictions"][0]["class"] == "red"
    assert "2 images can't be read" in err
    shares = [item["probability"] for item in found["predictions"][0]["top"]]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1)


def test_predict_takes_folders_patterns_and_writes_csv(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, photos = work / "runs" / "colours", work / "photos"
    code, out, _ = run_command(capsys, "predict", run, photos / "green", photos / "b*" / "1*.png", "--csv")
    rows = list(csv.DictReader(out.splitlines()))
    assert code == 0
    assert list(rows[0]) == ["image", "class", "confidence", "blue", "green", "red"]
    assert [Path(row["image"]).parent.name for row in rows] == ["green"] * 12 + ["blue"] * 3
    code, out, _ = run_command(capsys, "predict", run, photos / "green" / "3.png")
    assert code == 0 and "green" in out


def test_a_run_is_never_overwritten(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("train", work / "photos", "--model", "lenet5", "--epochs", "1", "--runs", tmp_path, "--json")
    first = json.loads(run_command(capsys, *command)[1])
    before = {path: path.read_bytes() for path in Path(first["run"]).rglob("*") if path.is_file()}
    second = json.loads(run_command(capsys, *command)[1])
    assert (Path(first["run"]).name, Path(second["run"]).name) == ("photos-lenet5", "photos-lenet5-2")
    assert before == {path: path.read_bytes() for path in Path(first["run"]).rglob("*") if path.is_file()}


def test_a_written_recipe_trains_again(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = work / "runs" / "colours" / "recipe.toml"
    code, out, _ = run_command(capsys, "train", "--recipe", recipe, "--runs", tmp_path, "--json")
    assert code == 0
    again = Path(json.loads(out)["run"]) / "weights.safetensors"
    assert again.read_bytes() == (work / "runs" / "colours" / "weights.safetensors").read_bytes()


def test_a_loss_that_is_no_number_ends_the_run(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wild = ("--learning-rate", "1e30", "--warmup", "0", "--epochs", "3", "--runs", tmp_path)
    code, _, err = run_command(capsys, "train", work / "photos", "--model", "alexnet-mini", *wild)
    assert code == 2
    assert re.search(r"became (nan|inf) at epoch \d, step \d+, with learning rate 1e\+30: ", err)
    assert "no weights to keep" in err or "are kept in" in err
    assert "--learning-rate" in err
    assert (next(tmp_path.iterdir()) / "report.html").is_file()


def test_no_image_is_kept_for_validation(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = ("--validation-fraction", "0", "--test-fraction", "0", "--epochs", "1", "--runs", tmp_path)
    code, out, _ = run_command(capsys, "train", work / "photos", "--model", "lenet5", *parts, "--json")
    found = json.loads(out)
    assert (code, found["best_validation"], found["scores"], found["best_epoch"]) == (0, None, None, 1)


def test_the_demo_says_what_it_reached_and_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from convscope.training import demo

    monkeypatch.setattr(demo, "RECIPE", demo.RECIPE.changed({"epochs": 2}))
    (tmp_path / "here" / "digits").mkdir(parents=True)  # which is not what the demo trains on
    monkeypatch.chdir(tmp_path / "here")
    code, out, err = run_command(capsys, "demo", "--runs", tmp_path)
    assert code == 0
    assert re.search(r"test accuracy \d\d\.\d\d % \(\d+ of 359 images; 95 % interval", out)
    assert str(tmp_path / "demo" / "report.html") in out and "convscope train FOLDER" in out
    assert "images/s" in err


MISTAKES = [
    (["train"], "there is nothing to train on"),
    (["train", "nowhere"], "there is no folder nowhere"),
    (["train", "digits", "--model", "resnet8"], "Did you mean resnet18"),
    (["train", "digits", "--image-size", "2", "--model", "lenet5"], "lenet5 can't take an input of 2x2"),
    (["train", "digits", "--model", "lenet5", "--batch-size", "0"], "batch_size is 0: it must be at least 1"),
    (["train", "digits", "--model", "resnet18", "--batch-size", "1"], "resnet18 normalises over the batch"),
    (["train", "digits", "--model", "unet"], "unet answers for every pixel"),
    (["train", "digits", "--model", "c3d"], "3 spatial axes"),
    (["train", "digits", "--runs", "/dev/null/runs"], "no run directory can be made"),
    (["train", "digits", "--epochs", "ten"], "epochs is 'ten': it must be a whole number, or auto"),
    (["train", "digits", "--model-options", "variant=modern"], "variant"),
    (["train", "digits", "--random-crop-padding", "40"], "random_crop_padding 40"),
    (["train", "digits", "--recipe", "none.toml"], "the recipe none.toml can't be read"),
    (["train", "--resume", "none"], "there is no run at none"),
    (["train", "digits", "--resume", "none"], "leave DATA"),
    (["train", "--resume", "runs/a", "--runs", "elsewhere"], "whose folder is not elsewhere: leave --runs out"),
    (["train", "digits", "--optimizer", "adam"], "adamw"),
    (["train", "digits", "--threads", "100000"], "threads is 100000: it must be below 1025"),
    (["train", "digits", "--threads", "1024"], "threads is 1024, and this machine has"),
    (["ablate", "digits", "--threads", "1024"], "threads is 1024, and this machine has"),
    (["lr-find", "digits", "--threads", "1024"], "threads is 1024, and this machine has"),
    (["train", "digits", "--patience", "1", "--validation-fraction", "0"], "let validation_fraction be above 0, or"),
    (["train", "digits", "--layer-lr-decay", "0"], "layer_lr_decay is 0.0: only the last part would learn"),
    (
        ["train", "digits", "--ensemble", "2", "--seed", str(2**63 - 1)],
        "the largest is 9223372036854775807: take a lower",
    ),
    (
        ["ablate", "digits", "--seeds", "2", "--seed", str(2**63 - 1)],
        "the largest is 9223372036854775807: take a lower",
    ),
    (
        ["train", "digits", "--class-weights", "3=2,rose=1"],
        "no class 'rose': its classes are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9\n",
    ),
    (["train", "digits", "--name", ""], "give the name of one folder"),
    (["ablate", "digits", "--name", "../up"], "give the name of one folder"),
    (["train", "digits", "--ensemble", "2", "--name", "../up"], "give the name of one folder"),
    (["train", "digits", "--seed", str(2**70)], f"seed is {2**70}: it must be below"),
    (["train", "digits", "--name", "../up"], "give the name of one folder"),
    (["train", "digits", "--name", ".."], "give the name of one folder"),
    (["train", "digits", "--name", "two\nlines"], "give the name of one folder"),
    (["evaluate", "none"], "there is no run at none"),
    (["evaluate", "none", "--device", "banana"], "device is 'banana': it must be one of auto, cpu, cuda, mps"),
    (["predict", "none", "a.png", "--device", "banana"], "device is 'banana'"),
    (["evaluate", "."], "is not a run directory: it has no model.json"),
    (["predict", "none", "a.png"], "there is no run at none"),
    (["predict", "none"], "Missing argument"),
    (["predict", "none", "a.png", "--csv", "--top", "2"], "--csv has the probability of every class"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(case[0]) for case in MISTAKES])
def test_a_mistake_is_one_line_and_exit_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run_command(capsys, *arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err and out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_resumed_in_its_folder_by_a_link_to_it_and_from_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs" / "a" / "live").mkdir(parents=True)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "latest").symlink_to(tmp_path / "runs" / "a")
    monkeypatch.chdir(tmp_path / "runs" / "a" / "live")
    for run, folder in ((tmp_path / "links/latest", tmp_path / "runs"), ("..", tmp_path / "runs"), ("..", "../..")):
        code, _, err = run_command(capsys, "train", "--resume", run, "--runs", folder)
        assert code == 2 and "is not a run directory" in err
    code, _, err = run_command(capsys, "train", "--resume", "..", "--runs", "..")
    assert code == 2 and "leave --runs out" in err


def test_a_run_that_lacks_files_says_which(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.json").write_text("{}")
    assert "model.json can't be used" in run_command(capsys, "predict", run, "a.png")[2]
    (run / "model.json").write_bytes((work / "runs" / "colours" / "model.json").read_bytes())
    assert "has no weights.safetensors" in run_command(capsys, "predict", run, "a.png")[2]
    (run / "weights.safetensors").write_bytes(b"not weights")
    assert "is no file of weights: it is text" in run_command(capsys, "predict", run, "a.png")[2]
    (run / "weights.safetensors").write_bytes((work / "runs" / "colours" / "weights.safetensors").read_bytes())
    assert "recipe.toml can't be read" in run_command(capsys, "evaluate", run)[2]


def test_weights_without_a_checkpoint_are_not_trained_over(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(work / "runs" / "colours", run)
    shutil.rmtree(run / "checkpoint")
    before = (run / "weights.safetensors").read_bytes()
    code, _, err = run_command(capsys, "train", "--resume", run, "--epochs", "6")
    assert code == 2 and "has weights but no checkpoint" in err and "--recipe" in err
    assert (run / "weights.safetensors").read_bytes() == before


def test_columns_of_long_class_names_go_by_number() -> None:
    names = [f"a class with a rather long name, number {i}" for i in range(3)]
    answers = np.array([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    scores = score(answers, np.arange(3), classes=names, names=["a", "b", "c"], split="test")
    table = matrix_table(scores)
    assert table is not None
    assert [column.header for column in table.columns] == ["true \\ predicted", "1", "2", "3"]
    assert table.rows[1].cells == (f"2 {names[1]}", "1", ".", ".")


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], IO[str], IO[str]]]:
    """A command as a process of its own, in a folder, with its stdout and stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "convscope", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None and process.stderr is not None
        try:
            yield process, process.stdout, process.stderr
        finally:
            process.kill()


def wait_for(stream: IO[str], beginning: str) -> None:
    """Read lines until one begins so."""
    assert any(line.lstrip().startswith(beginning) for line in stream), f"no line begins with {beginning!r}"


def test_ctrl_c_keeps_the_best_weights_and_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("train", "digits", "--model", "lenet5", "--epochs", "10000", "--autotune", "rules")
    with started(tmp_path, *command) as (process, stdout, stderr):
        wait_for(stderr, "2/10000")
        process.send_signal(signal.SIGINT)
        said, out = stderr.read(), stdout.read()
        assert process.wait(timeout=300) == 130
    assert "Traceback" not in said
    assert "convscope train --resume runs/digits-lenet5" in out
    run = tmp_path / "runs" / "digits-lenet5"
    assert {path.name for path in run.iterdir()} == RUN_FILES | {"split.csv"}
    assert "stopped before its last epoch" in (run / "report.html").read_text()
    monkeypatch.chdir(tmp_path)
    code, out, _ = run_command(capsys, "evaluate", "runs/digits-lenet5", "--json")
    assert code == 0 and json.loads(out)["accuracy_top1"] > 0.2


# A network whose first step of a training ends with the process: it begins, and waits.
WAITS = """
import time
from pathlib import Path
from torch import nn

class Waits(nn.Sequential):
    def __init__(self, num_classes, in_channels):
        super().__init__(nn.Conv2d(in_channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))

    def forward(self, x):
        if list(Path("runs").glob("*/log.txt")):
            Path("waiting").touch()
            time.sleep(3600)
        return super().forward(x)
"""


def test_ctrl_c_twice_stops_at_once(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(WAITS)
    command = ("train", "digits", "--model", "net.py:Waits", "--epochs", "1", "--autotune", "rules")
    with started(tmp_path, *command) as (process, _, stderr):
        while not (tmp_path / "waiting").exists():
            assert process.poll() is None, stderr.read()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        wait_for(stderr, "stopping")
        process.send_signal(signal.SIGINT)
        said = stderr.read()
        assert process.wait(timeout=300) == 130
    assert "Traceback" not in said
    assert "interrupted" in said


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_training_outlives_its_terminal_and_stops_well_when_told_that_it_is_gone(tmp_path: Path) -> None:
    command = ("train", "digits", "--model", "lenet5", "--epochs", "10000", "--autotune", "rules")
    log = tmp_path / "runs" / "digits-lenet5" / "log.txt"
    with started(tmp_path, *command) as (process, stdout, stderr):
        wait_for(stderr, "1/10000")
        stdout.close()
        stderr.close()
        while not re.search(r"epoch [4-9]", log.read_text()):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGHUP)  # the shell sends it as well
        assert process.wait(timeout=300) == 143
    # There is no time to measure.
    assert {path.name for path in log.parent.iterdir()} == RUN_FILES - {"scores.json"} | {"split.csv"}
    said = log.read_text().splitlines()
    assert "stopping: the best weights" in said[-4] and "to go on: convscope train --resume" in said[-3]
    assert said[-1].endswith(f"report {Path('runs', 'digits-lenet5', 'report.html')}")
