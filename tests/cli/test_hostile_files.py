"""Whatever lies under a file's name, a command ends at once: one line, exit 2, and nothing is waited for."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest

import data_makers as made
from commands import run_command
from convscope.cli.main import COMMANDS, cli
from convscope.recipe.recipe import names
from convscope.studio.exporting import static_course
from hostile_files import KINDS, put, untrained_run

LONGEST_SECONDS = 300  # on a machine that is busy with other work too
FITTING = ("--model", "lenet5", "--image-size", "32", "--epochs", "1")

# What is put in the place of a file, and the command line that reads it; and what is no mistake there.
READ: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("t.csv", ("train", "t.csv"), ()),
    ("t.tar", ("evaluate", "run", "t.tar"), ()),
    ("thing", ("train", "thing"), ()),
    ("thing", ("shard", "thing", "out"), ()),
    ("r.toml", ("train", "digits", "--recipe", "r.toml"), ("empty",)),
    ("r.toml", ("lr-find", "photos", "--recipe", "r.toml"), ("empty",)),
    ("r.toml", ("ablate", "photos", "--recipe", "r.toml"), ("empty",)),
    ("w.safetensors", ("train", "photos", "--weights", "w.safetensors", *FITTING), ()),
    ("w.pth", ("train", "photos", "--weights", "w.pth", *FITTING), ()),
    ("mnist/train-images-idx3-ubyte", ("train", "mnist", *FITTING), ()),
    ("mnist/t10k-labels-idx1-ubyte.gz", ("evaluate", "run", "mnist"), ()),
    ("cifar/data_batch_1.bin", ("train", "cifar", *FITTING), ()),
    ("cifar/batches.meta.txt", ("evaluate", "run", "cifar"), ("empty", "missing")),
    ("thing", ("train", "--resume", "thing"), ()),
    ("thing", ("ablate", "--resume", "thing"), ()),
    ("run/model.json", ("train", "--resume", "run"), ()),
    ("run/recipe.toml", ("evaluate", "run"), ("empty",)),
    ("run/weights.safetensors", ("evaluate", "run"), ()),
    ("run/split.csv", ("evaluate", "run"), ("empty", "missing")),
    ("run/ablation.json", ("ablate", "--resume", "run"), ()),
    ("run/weights.safetensors", ("inspect", "run"), KINDS),
    ("run/weights.safetensors", ("audit", "run"), ("missing",)),
    ("i.jpg", ("predict", "run", "i.jpg"), ()),
    ("i.jpg", ("explain", "lenet5", "i.jpg", "--layer", "c1", "--at", "1,1"), ()),
    ("i.jpg", ("look", "lenet5", "i.jpg"), ()),
    ("run/weights.safetensors", ("look", "run", "digits/0"), ("missing",)),
    ("run/weights.safetensors", ("look", "run", "--parts", "health"), ("missing",)),
    ("t.csv", ("look", "lenet5", "--data", "t.csv"), ()),
    ("thing", ("look", "run", "--against", "thing"), ()),
    ("i.jpg", ("studio", "--image", "i.jpg", "--no-browser"), ()),
    ("m.onnx", ("studio", "m.onnx", "--no-browser"), ("empty", "sparse")),
    ("m.py", ("explain", "m.py:make", "digits/0", "--layer", "c1"), ()),
    ("m.py", ("look", "lenet5", "digits/0", "--against", "m.py:make"), ()),
    ("m.py", ("inspect", "m.py:make", "-i", "3x8x8"), ()),
    ("m.py", ("compare", "lenet5", "m.py:make"), ()),
    ("m.py", ("field", "m.py", "--layer", "c1"), ()),
    ("m.py", ("train", "photos", "--model", "m.py:make", "--epochs", "1"), ()),
    ("m.py", ("evaluate", "run", "--model", "m.py:make"), ()),
    ("thing", ("predict", "thing", "photos"), ()),
)
WRITTEN: tuple[tuple[str, ...], ...] = (
    ("inspect", "lenet5", "--html", "o"),
    ("inspect", "lenet5", "--svg", "o"),
    ("inspect", "lenet5", "--field-svg", "o"),
    ("field", "lenet5", "--layer", "c1", "--svg", "o"),
    ("explain", "--demo", "edges", "--html", "o"),
    ("look", "lenet5", "digits/0", "--methods", "gradient", "--no-checks", "--html", "o"),
    ("look", "--random-conv", "2x3x3", "photos/a/000.png", "--html", "o"),
    ("look", "run", "--parts", "health", "--html", "o"),
    ("models", "--timeline", "--svg", "o"),
    ("studio", "--course", "o"),
    ("train", "photos", "--cache", "o", *FITTING),
    ("train", "photos", "--runs", "o", *FITTING),
    ("shard", "photos", "o"),
    ("evaluate", "run", "--predictions", "o"),
    ("check", "photos", "--page", "o"),
    ("studio", "--worksheet", "3a", "--html", "o"),
)
# Parameters of commands that no file can be given to.
PLAIN = {
    "all_warnings", "as_csv", "as_json", "at", "batch", "batch_size", "channel", "demo", "depth", "device", "ensemble",
    "formulas", "help", "images_per_shard", "input_text", "inputs", "jobs", "layer", "memory", "mode", "object_size",
    "open_page", "optimizer", "pixel", "pixels", "seed", "seeds", "shard_size", "source", "split", "steps", "strict",
    "sets", "threshold", "timeline", "top", "verdicts", "verify", "version", "wide", "without", "words", "wrong",
    "epilog", "exit_on_errors", "good_class", "help_all", "label_errors", "miss_rate", "near_duplicates", "no_tta",
    "deadline", "local_fields", "trust_code", "fields", "maps", "methods", "no_checks", "random_conv", "ranking",
    "scale", "target", "parts", "every", "equivariance", "robustness", "visualize", "answer", "show", "as_list",
    "forecast", "host", "i_know", "no_browser", "port", "state", "answers", "copies", "progress", "worksheet",
}  # fmt: skip
# Parameters that are held to above, by one command or another.
HELD = {
    "against", "cache", "code", "data", "field_file", "given", "html_file", "html_path", "images", "model", "models",
    "name", "folder", "image", "out", "recipe_file", "resume", "run", "runs_directory", "svg", "svg_file", "weights",
    "course_file", "page", "predictions", "runs",
}  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of each: images, IDX files, CIFAR binaries, a run."""
    folder = tmp_path_factory.mktemp("hostile")
    made.fill(folder / "photos", {"a": 6, "b": 6})
    made.mnist_folder(folder / "mnist", zipped=False)
    labels = folder / "mnist" / "t10k-labels-idx1-ubyte"
    labels.unlink()
    made.write_idx(labels.with_suffix(".gz"), np.arange(20, dtype=np.uint8) % 10, zipped=True)
    (folder / "cifar").mkdir()
    for name in ("data_batch_1.bin", "test_batch.bin"):
        made.cifar_records(20, label_bytes=1, classes=10).tofile(folder / "cifar" / name)
    run = untrained_run(folder / "run", str(folder / "photos"))
    run.write_table(run.split_path, ("image", "split"), [("a/000.png", "train")])
    return folder


@pytest.fixture(autouse=True)
def at_once(work: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in that folder; what would wait for ever fails there."""

    def too_long(*_: object) -> None:
        raise AssertionError("it waits")

    monkeypatch.chdir(work)
    monkeypatch.setenv("CONVSCOPE_CACHE", str(work / "cache"))
    # The course as a file takes seconds to make, before it is written.
    monkeypatch.setattr(static_course, "static_course", lambda: b"<!doctype html>")
    before = signal.signal(signal.SIGALRM, too_long)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(("name", "words", "fine"), READ, ids=[f"{name}-{words[0]}" for name, words, _ in READ])
def test_what_is_no_such_file_ends_a_command_in_one_line(
    work: Path, name: str, words: tuple[str, ...], fine: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    path = work / name
    kept = path.read_bytes() if path.is_file() else None
    # Where a kind is fine, the command does its work, which other tests pay for; of all kinds, one is tried.
    kinds = [kind for kind in KINDS if kind not in fine] or ["pipe"]
    for kind in kinds:
        signal.alarm(LONGEST_SECONDS)
        with put(path, kind):
            code, _, err = run_command(capsys, *words)
        lines = [line for line in err.splitlines() if "image can't be read:" not in line]
        if fine != KINDS:
            assert (code, len(lines)) == (2, 1), (kind, err)
            assert Path(name).name.partition(".")[0] in lines[0], (kind, err)
    if kept is not None:
        path.write_bytes(kept)


@pytest.mark.parametrize("words", WRITTEN, ids=" ".join)
def test_what_can_not_be_written_into_ends_a_command_in_one_line(
    work: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = ("pipe", "socket", "circle", "zeros") if words[0] in ("train", "shard") else ("pipe", "socket", "folder")
    for kind in kinds:
        signal.alarm(LONGEST_SECONDS)
        with put(work / "o", kind):
            code, _, err = run_command(capsys, *words)
        assert (code, len(err.splitlines())) == (2, 1), (kind, err)


def test_every_parameter_that_takes_a_file_is_held_to_this() -> None:
    context = click.Context(cli)
    for name in COMMANDS.keys() - {"size"}:  # which takes numbers alone
        command = cli.get_command(context, name)
        assert command is not None
        for parameter in command.params:
            assert parameter.name in PLAIN | HELD | set(names()), f"{name}: say whether {parameter.name} takes a file"
