"""A head solved on a backbone of the user's: trained, repeated, resumed, and used as any run."""

from __future__ import annotations

import csv
import multiprocessing
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import convscope
from commands import run_command
from convscope.data.sources.digits import load_digits
from convscope.runs.run_directory import Run
from convscope.scoring.answer import evaluation_batch
from convscope.training import planned_time, session
from convscope.training.autotune import measured_costs
from convscope.training.probe import features
from convscope.training.timing.costs import Costs
from convscope.training.timing.rates import Rates


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("probe")


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Path:
    """Return a run of one epoch, whose network is not good yet."""
    convscope.train(
        "digits",
        convscope.Recipe(model="lenet5", epochs=1, tta="one"),
        name="begun",
        runs_directory=folder / "runs",
        cache_directory=folder / "cache",
    )
    return folder / "runs" / "begun"


@pytest.fixture(scope="module")
def files(folder: Path) -> Path:
    """Return a folder of 120 digits as files, one of which can't be read."""
    pixels, labels = load_digits()
    for row, label in enumerate(labels[:120].tolist()):
        file = folder / "files" / "train" / str(label) / f"{row}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[row][:, :, 0]).save(file)
    (folder / "files" / "train" / "0" / "0.png").write_bytes(b"no image")
    return folder / "files"


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
    # No augmentation was chosen, so none is listed, and figures are in four digits.
    assert "no flips" not in err and re.search(r"auto: mean 0\.\d{1,4}, std 0\.\d{1,4}: what ", err)
    assert "solved the head" in out and "epoch 0" not in out
    run = Run(folder / "runs" / "digits-lenet5")
    assert accuracy(run.path) > accuracy(backbone) + 0.03
    before, after = Run(backbone).read_weights(), run.read_weights()
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed == {"output.weight", "output.bias"}
    page = run.report.read_text()
    assert "head solved on features" in page and "Epoch 0 is the solved head" in page and "0 of 0" in page
    assert "Training figures are measured" not in page
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
    cached: list[float] = []
    measured = planned_time.measured_costs

    def costs(*given: Any, **parts: Any) -> Costs:
        cached.append(parts["cached"])
        return measured(*given, **parts)

    monkeypatch.setattr(planned_time, "measured_costs", costs)
    given = ["digits", "--weights", backbone, "--freeze", "backbone", "--head-l2", "0.01", "--tta", "one"]
    assert train(capsys, *given, "--name", "one")[0] == 0
    assert train(capsys, "--recipe", "runs/one/recipe.toml", "--name", "two")[0] == 0
    one, two = (Run(folder / "runs" / name) for name in ("one", "two"))
    assert all(torch.equal(tensor, one.read_weights()[name]) for name, tensor in two.read_weights().items())
    # The network's own normalization, not that of these training images: so images of another split are found too.
    assert one.spec().normalization == Run(backbone).spec().normalization
    code, _, err = train(capsys, *given, "--seed", "3", "--name", "three")
    found = re.search(r"([\d,]+) of ([\d,]+) from the cache", err)
    assert code == 0 and found is not None
    kept, wanted = (int(number.replace(",", "")) for number in found.groups())
    assert 0.7 * wanted < kept < wanted
    # The forecast counts the features that are left to compute.
    assert cached[1] == 1 and 0.7 < cached[2] < 1


def rows(run: Path) -> list[dict[str, str]]:
    """Return the losses and accuracies of each epoch of a run, without its times."""
    with (run / "metrics.csv").open() as file:
        return [{name: row[name] for name in row if "/" in name} for row in csv.DictReader(file)]


def test_epochs_after_the_head_move_the_layers_before_it_and_resume_exactly(
    backbone: Path, folder: Path, files: Path
) -> None:
    recipe = convscope.Recipe(preset="probe", weights=str(backbone), epochs=2, batch_size=16, tta="one")
    places = {"runs_directory": folder / "runs", "cache_directory": folder / "cache"}
    seen: list[int] = []

    def stop(row: convscope.EpochRow) -> None:
        seen.append(row.epoch)
        raise convscope.StopTraining

    whole = convscope.train(files, recipe, name="whole", **places).run.path
    broken = convscope.train(files, recipe, name="broken", on_epoch=stop, **places).run.path
    convscope.train(resume=broken, on_epoch=stop, cache_directory=folder / "cache")
    assert rows(broken) == rows(whole)[:2]
    convscope.train(resume=broken, cache_directory=folder / "cache")
    assert seen == [0, 1] and rows(broken) == rows(whole) and len(rows(whole)) == 3
    assert (broken / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
    run = Run(whole)
    assert run.recipe().freeze == "c1,c3,c5"
    best = max(float(row["val/accuracy_top1"]) for row in rows(whole))
    assert run.measures_of_weights()["accuracy"] == pytest.approx(best, abs=1e-6)
    before, after = Run(backbone).read_weights(), run.read_weights()
    assert torch.equal(before["c5.weight"], after["c5.weight"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks")
def test_killed_amid_its_features_it_resumes_with_those_it_has(backbone: Path, folder: Path) -> None:
    recipe = convscope.Recipe(preset="probe", weights=str(backbone), head_l2=0.01, tta="one")
    cache = folder / "cache-of-killed"
    own, batches = features._of_batch, 0

    def of_batch(*given: Any) -> Any:
        nonlocal batches
        batches += 1
        if batches == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return own(*given)

    def killed() -> None:
        features.WRITE_SECONDS, features._of_batch = 0.0, of_batch
        convscope.train("digits", recipe, name="killed", runs_directory=folder / "runs", cache_directory=cache)

    child = multiprocessing.get_context("fork").Process(target=killed)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    run = folder / "runs" / "killed"
    assert not (run / "weights.safetensors").exists()
    convscope.train(resume=run, cache_directory=cache)
    unbroken = convscope.train(
        "digits", recipe, name="unbroken", runs_directory=folder / "runs", cache_directory=folder / "none"
    ).run.path
    of_batch_size = evaluation_batch(convscope.load(run).spec.decoding.image_shape)
    assert f"{3 * of_batch_size} of " in (run / "log.txt").read_text()
    assert (run / "weights.safetensors").read_bytes() == (unbroken / "weights.safetensors").read_bytes()


def test_a_stream_is_decoded_once_and_what_cannot_be_read_is_left_out(
    backbone: Path, folder: Path, files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    given = [files, "--recipe", "probe", "--weights", backbone, "--validation-fraction", "0", "--head-l2", "0.01"]
    for stream in ("yes", "no"):
        code, _, err = train(capsys, *given, "--stream", stream, "--name", f"stream-{stream}")
        assert code == 0 and "features: 84 of each of 119 images" in err, err
    assert "119 of 119 from the cache" in err
    streamed, cached = (Run(folder / "runs" / f"stream-{kind}").read_weights() for kind in ("yes", "no"))
    assert torch.allclose(streamed["output.weight"], cached["output.weight"], atol=1e-3)


def test_images_have_the_channels_that_the_weights_read(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8), np.arange(60) % 3
    recipe = convscope.Recipe(model="cifarnet-tiny", epochs=1)
    convscope.train((images, labels), recipe, name="colour", runs_directory="runs", cache_directory="cache")
    code, _, err = train(capsys, "digits", "--recipe", "probe", "--weights", "runs/colour", "--name", "grey")
    assert code == 0, err
    assert "with colour images at 32x32 pixels" in err and "no weights that fit" not in err
    # Of settings that no step reads nothing is said.
    assert "batch size" not in err and "learning rate" not in err
    assert Run("runs/grey").spec().decoding.channels == 3
    # The other way round, and as it was asked for.
    convscope.train(
        (images, labels),
        convscope.Recipe(preset="probe", weights="runs/begun", image_size="32"),
        name="of-grey",
        runs_directory="runs",
        cache_directory="cache",
    )
    assert Run("runs/of-grey").spec().decoding.channels == 1
    code, _, err = train(
        capsys, "digits", "--recipe", "probe", "--weights", "runs/colour", "--name", "one", "--channels", "1"
    )
    assert code == 2 and "got no weights that fit" in err and "--channels 3 takes more of the file" in err


@pytest.mark.parametrize(("forward", "epochs"), [(1e-6, True), (0.03, False)])
def test_minutes_that_are_left_train_the_last_parts(
    forward: float,
    epochs: bool,
    backbone: Path,
    folder: Path,
    files: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The times are given here: an image takes a microsecond to compute features of, or so long that no epoch fits."""
    monkeypatch.chdir(folder)
    step = 1e-5 if epochs else 1.0
    rates = Rates(steps=((1.0, step),), prepare=0.0, validate=forward, view=forward, written=0.0)
    monkeypatch.setattr(measured_costs, "measured_rates", lambda *_, **__: rates)
    given = [files, "--recipe", "probe", "--weights", backbone, "--tta", "one", "--minutes", "2", "--head-l2", "0.01"]
    code, _, err = train(capsys, *given, "--name", f"minutes-{epochs}")
    assert code == 0, err
    run = Run(folder / "runs" / f"minutes-{epochs}")
    recipe = run.recipe()
    assert recipe.minutes == 0 and (recipe.epochs > 0) == epochs
    assert ("no epoch fits after that into 2 minutes" in err) != epochs
    if epochs:
        assert recipe.freeze == "c1,c3,c5"
    assert len((run.path / "metrics.csv").read_text().splitlines()) == 2 + recipe.epochs


def test_minutes_that_do_not_hold_the_fit_of_the_head_are_refused(
    backbone: Path,
    folder: Path,
    files: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fit is given 100 s here, after features that take no time, as where they are in the cache."""
    monkeypatch.chdir(folder)
    rates = Rates(steps=((1.0, 1e-5),), prepare=0.0, validate=0.0, view=0.0, written=0.0)
    for measured in ("measured_rates", "_rates_of_views"):
        monkeypatch.setattr(measured_costs, measured, lambda *_, **__: rates)
    monkeypatch.setattr(session, "seconds_to_fit", lambda *_, **__: 100.0)
    given = [files, "--freeze", "backbone", "--weights", backbone, "--minutes"]
    code, _, err = train(capsys, *given, "1", "--name", "unfitted")
    assert code == 2 and "minutes 1: features and head of 119 images take 1 min 40 s, " in err.splitlines()[-1]
    assert not (folder / "runs" / "unfitted").exists()
    code, out, _ = train(capsys, *given, "5", "--forecast")
    assert code == 0 and "features and head 1 min 40 s" in out


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
