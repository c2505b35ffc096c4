"""A head solved on a backbone of the user's: trained, repeated, resumed, and used as any run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

import convscope
from commands import run_command
from convscope.data.sources.digits import load_digits
from convscope.runs.run_directory import Run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("probe")


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Path:
    """Return a run of two epochs, whose network is not good yet."""
    convscope.train(
        "digits",
        convscope.Recipe(model="lenet5", epochs=2),
        name="begun",
        runs_directory=folder / "runs",
        cache_directory=folder / "cache",
    )
    return folder / "runs" / "begun"


def train(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    return run_command(capsys, "train", *arguments, "--cache", "cache")


def accuracy(run: Path) -> float:
    rows = (run / "metrics.csv").read_text().splitlines()
    return float(rows[-1].split(",")[5])


def test_the_head_is_solved_and_the_rest_stays_bit_for_bit(
    backbone: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    code, out, err = train(capsys, "digits", "--recipe", "probe", "--weights", "runs/begun", "--neighbors", "5")
    assert code == 0, err
    assert "epochs 0: the head is solved" in err and "L2 penalty" in err and "k-nearest neighbours (k 5)" in err
    assert "solved the head" in out and "epoch 0" not in out
    run = Run(folder / "runs" / "digits-lenet5")
    assert accuracy(run.path) > accuracy(backbone) + 0.03
    before, after = Run(backbone).read_weights(), run.read_weights()
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed == {"output.weight", "output.bias"}
    page = run.report.read_text()
    assert "head solved on features" in page and "Epoch 0 is the solved head" in page and "0 of 0" in page
    spec = run.spec()
    assert spec.name == "lenet5" and spec.temperature != 1 and run.status().state == "done"
    for use in (["evaluate", run.path], ["predict", run.path, "digits/7"], ["train", "--resume", run.path]):
        code, out, err = run_command(capsys, *use)
        assert code == (2 if "--resume" in use else 0), err
    assert "epochs" in err


def test_the_recipe_of_the_run_repeats_it_from_the_cache(
    backbone: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    again = ["--weights", backbone, "--freeze", "backbone", "--seed", "3", "--name"]
    assert train(capsys, "digits", *again, "one")[0] == 0
    code, _, err = train(capsys, "digits", *again, "two")  # another split: images are found all the same
    assert code == 0 and "from the cache" in err
    assert train(capsys, "--recipe", "runs/one/recipe.toml", "--name", "three")[0] == 0
    weights = [Run(folder / "runs" / name).read_weights() for name in ("one", "two", "three")]
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]) and torch.equal(tensor, weights[2][name])


def test_epochs_after_the_head_move_the_layers_before_it_and_resume_exactly(
    backbone: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    given = ["digits", "--recipe", "probe", "--weights", backbone, "--autotune", "rules", "--precision", "fp32"]
    code, _, err = train(capsys, *given, "--epochs", "2", "--name", "whole")
    assert code == 0 and "frozen: 3 parts, c1, c3, c5" in err
    run = Run(folder / "runs" / "whole")
    rows = (run.path / "metrics.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["0", "1", "2"]
    assert run.recipe().freeze == "c1,c3,c5"
    best = max(float(row.split(",")[5]) for row in rows)
    assert run.measures_of_weights()["accuracy"] == pytest.approx(best, abs=1e-6)
    before, after = Run(backbone).read_weights(), run.read_weights()
    assert torch.equal(before["c5.weight"], after["c5.weight"])


def test_a_stream_is_decoded_once_and_what_cannot_be_read_is_left_out(
    backbone: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    pixels, labels = load_digits()
    for row, label in enumerate(labels[:120].tolist()):
        file = folder / "files" / "train" / str(label) / f"{row}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[row][:, :, 0]).save(file)
    (folder / "files" / "train" / "0" / "0.png").write_bytes(b"no image")
    given = ["files", "--recipe", "probe", "--weights", backbone, "--validation-fraction", "0", "--head-l2", "0.01"]
    given += ["--mean", "0.3", "--std", "0.3"]  # else measured on the images, among which a stream has no gap
    for stream in ("yes", "no"):
        code, _, err = train(capsys, *given, "--stream", stream, "--name", f"stream-{stream}")
        assert code == 0 and "features: 84 of each of 119 images" in err, err
    assert "119 of 119 from the cache" in err
    streamed, cached = (Run(folder / "runs" / f"stream-{kind}").read_weights() for kind in ("yes", "no"))
    assert torch.allclose(streamed["output.weight"], cached["output.weight"], atol=1e-3)


@pytest.mark.parametrize(("forward", "epochs"), [(1e-6, True), (0.03, False)])
def test_minutes_that_are_left_train_the_last_parts(
    forward: float,
    epochs: bool,
    backbone: Path,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The times are given here: an image takes a microsecond to compute features of, or so long that no epoch fits."""
    from convscope.training.autotune import measured_costs

    monkeypatch.chdir(folder)
    monkeypatch.setattr(measured_costs, "_forward_seconds", lambda *_, **__: forward)
    monkeypatch.setattr(measured_costs, "_timed_step", lambda *_, **__: 1e-5 if epochs else 1.0)
    given = ["--recipe", "probe", "--weights", backbone, "--minutes", "2", "--head-l2", "0.01"]
    code, _, err = train(capsys, "digits", *given, "--name", f"minutes-{epochs}")
    assert code == 0, err
    run = Run(folder / "runs" / f"minutes-{epochs}")
    recipe = run.recipe()
    assert recipe.minutes == 0 and (recipe.epochs > 0) == epochs
    assert ("no epoch fits after that into 2 minutes" in err) != epochs
    if epochs:
        assert recipe.freeze == "c1,c3,c5"
    assert len((run.path / "metrics.csv").read_text().splitlines()) == 2 + recipe.epochs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "probe"], "head solve: without trained weights the features are random: give --weights FILE"),
        (["--recipe", "probe", "--weights", "RUN", "--loss", "hinge"], "head solve has no hinge loss"),
        (["--epochs", "0", "--model", "lenet5"], "nothing would be learned: give at least 1, or --head solve"),
        (["--recipe", "probe", "--weights", "RUN", "--ensemble", "2"], "a solved head is the start of one training"),
    ],
)
def test_what_cannot_be_solved_is_one_line(
    arguments: list[str],
    message: str,
    backbone: Path,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    code, _, err = train(capsys, "digits", *[str(backbone) if word == "RUN" else word for word in arguments])
    assert code == 2 and message in err.splitlines()[-1]
