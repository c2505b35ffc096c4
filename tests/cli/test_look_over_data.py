"""Stories of `convscope look RUN` without an image: the page in the run, parts by name, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import convscope
import data_makers as made
from commands import run_command
from convscope.runs import built_in


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `runs/run` and `runs/other`, LeNet-5 on the digits, and `runs/photos`, whose images may go."""
    folder = tmp_path_factory.mktemp("over")
    recipe = convscope.Recipe(model="lenet5", epochs=1, autotune="rules")
    for name, seed in (("run", 0), ("other", 1)):
        changed = recipe.changed({"seed": seed})
        convscope.train("digits", changed, name=name, runs_directory=folder / "runs", cache_directory=folder / "cache")
    made.fill(folder / "photos", {"cat": 12, "dog": 12})
    small = recipe.changed({"test_fraction": 0.0, "batch_size": 8})
    convscope.train(
        str(folder / "photos"), small, name="photos", runs_directory=folder / "runs", cache_directory=folder / "cache"
    )
    return folder


def test_a_run_shows_what_it_learned(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = work / "runs" / "run"
    code, out, err = run_command(capsys, "look", run, "--images", "60", "--save", tmp_path / "kept")
    assert code == 0 and err == ""
    order = ["Filters of c1", "Right and wrong images", "Top patches", "Reliability of", "Health of run"]
    order += ["Norms over the training", "Consistency", "wrote", "not measured: robustness", "next: convscope look"]
    places = [out.index(words) for words in order]
    assert places == sorted(places)
    page = (run / "look.html").read_text(encoding="utf-8")
    assert "run: what it learned" in page and "<script" not in page and page.count("<h2>") >= 8
    names = {path.name for path in (tmp_path / "kept").iterdir()}
    assert {"filters.png", "examples.svg", "examples.npz", "health.png", "patches-act1.png", "look.html"} <= names
    with np.load(tmp_path / "kept" / "examples.npz") as kept:
        assert kept["maps"].shape[1:] == (32, 32)


def test_the_report_of_a_training_shows_it_in_short(work: Path) -> None:
    page = (work / "runs" / "run" / "report.html").read_text(encoding="utf-8")
    part = page[page.index("<h2>What it learned</h2>") :]
    order = ["First-layer filters", "Right and wrong images", "Grad-CAM of the", "Norms by layer"]
    places = [part.index(text) for text in (*order, "Health of the layers", "convscope.learned(")]
    assert places == sorted(places) and "left out" not in part[: places[-1]]


def test_parts_are_asked_for_by_name(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    asked = ("--parts", "robustness,knock-out,probes,equivariance", "--images", "30", "--html", page)
    code, out, err = run_command(capsys, "look", work / "runs" / "run", *asked)
    assert code == 0 and err == "" and "weakest against" in out and "accuracy, mean" in out and "linear probe" in out
    assert f"wrote {page}" in out and "Filters of" not in out
    code, _, err = run_command(capsys, "look", work / "runs" / "run", "--parts", "robustnes")
    assert code == 2 and "Did you mean robustness?" in err and len(err.strip().splitlines()) == 1


def test_two_runs_are_compared_on_one_scale(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, other = work / "runs" / "run", work / "runs" / "other"
    asked = ("--against", other, "--parts", "norms,similarity", "--images", "40", "--json")
    code, out, err = run_command(capsys, "look", run, *asked)
    found = json.loads(out)
    assert code == 0 and err == "" and found["version"] == 1
    assert [Path(each["name"]).name for each in found["norms"]["runs"]] == ["run", "other"]
    assert found["similarity"]["images"] == 36 and found["filters"] is None
    assert 0 < found["similarity"]["similarity"][0][0] < 1 - 1e-6


def test_an_interrupt_lists_the_parts_that_are_missing(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("convscope.interpret.learned.parts.network_health", interrupted)
    page = tmp_path / "page.html"
    code, out, _ = run_command(capsys, "look", work / "runs" / "run", "--parts", "filters,health,norms", "--html", page)
    assert code == 130 and "Filters of c1" in out and f"wrote {page}" in out
    first, second = (line for line in out.splitlines() if line.startswith("not measured: "))
    assert first == "not measured: health, norms (interrupted)"
    assert second.startswith("not measured: examples, patches") and second.endswith("(--parts A,B or --all)")
    assert "Not measured: health, norms." in page.read_text(encoding="utf-8")
    code, out, _ = run_command(capsys, "look", work / "runs" / "run", "--parts", "filters,health", "--json")
    found = json.loads(out)
    assert code == 130 and found["interrupted"] and found["missing"] == ["health"]


def test_a_checkpoint_has_a_page_of_its_own(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = next((work / "runs" / "run" / "checkpoint").glob("step-*"))
    code, out, err = run_command(capsys, "look", checkpoint, "--parts", "filters")
    page = work / "runs" / "run" / f"look-{checkpoint.name}.html"
    assert code == 0 and err == "" and "Filters of c1 of run (epoch 1)" in out and page.is_file()


def test_a_model_that_is_no_run_takes_images(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_command(capsys, "look", "lenet5", "--data", work / "photos", "--parts", "patches,health")
    assert code == 0 and err == "" and "Top patches of lenet5" in out and "Health of lenet5" in out
    assert "the weights are random (seed 0)" in out and "what needs labels is left out" in out
    code, out, err = run_command(capsys, "look", "lenet5", "--data", work / "photos")
    assert code == 0 and err == "" and "true" in out and "· confusions left out: the images of " in out
    assert "are not labelled with the network's classes" in out and "right  " not in out
    code, _, err = run_command(capsys, "look", "lenet5")
    assert code == 2 and "lenet5 is no run, so it has no images: give an image, or convscope look lenet5 --data" in err


def test_nothing_is_written_into_a_network_that_comes_with_convscope(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = shutil.copytree(built_in.find_built_in("lenet5-digits").path, tmp_path / "lenet5-digits")
    monkeypatch.setattr(built_in, "_folder", lambda: tmp_path)
    before = sorted(copied.iterdir())
    code, out, _ = run_command(capsys, "look", "lenet5-digits", "--data", "digits", "--parts", "filters")
    assert code == 0 and "no page: --html FILE writes one" in out and sorted(copied.iterdir()) == before


def test_a_run_without_test_images_uses_validation_and_says_so(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_command(capsys, "look", work / "runs" / "photos", "--parts", "examples")
    assert code == 0 and err == "" and "measured on the validation images: there are no test images" in out
    code, out, _ = run_command(capsys, "look", work / "runs" / "photos", "--parts", "health", "--split", "train")
    assert code == 0 and "figures on images that it learned from flatter it" in out


def test_a_look_says_when_the_named_images_are_the_runs_own(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = work / "runs" / "photos"
    learned = (run / "split.csv").read_text().count(",train")
    code, out, err = run_command(capsys, "look", run, "--data", work / "photos", "--parts", "filters")
    said = f"{learned} of these images were trained on, so scores flatter: convscope look {run} measures those held"
    assert code == 0 and err == "" and learned > 0 and f"· {said} back\n" in out


def test_images_that_are_gone_are_one_line(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "photos"
    shutil.copytree(work / "runs" / "photos", run)
    recipe = (run / "recipe.toml").read_text().replace(str(work / "photos"), str(tmp_path / "moved"))
    (run / "recipe.toml").write_text(recipe)
    code, out, err = run_command(capsys, "look", run)
    assert code == 2 and out == "" and len(err.strip().splitlines()) == 1
    assert f"no longer at {tmp_path / 'moved'}" in err and f"convscope look {run} --data DATA" in err
    code, out, err = run_command(capsys, "look", run, "--data", work / "photos", "--parts", "examples,health")
    assert code == 0 and err == "" and "of 24" in out


def test_one_image_is_enough_for_most_parts(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--images", "1", "--all", "--html", tmp_path / "one.html")
    code, out, err = run_command(capsys, "look", work / "runs" / "run", *asked)
    assert code == 0 and err == "" and "· similarity left out: 1 image of digits, test" in out
    assert "not measured" not in out and (tmp_path / "one.html").stat().st_size > 10_000


def test_images_of_several_labels_have_the_parts_that_they_can(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made.shapes_table(tmp_path / "shapes", 60)
    recipe = convscope.Recipe(model="lenet5", epochs=1, test_fraction=0.2, autotune="rules")
    where = {"runs_directory": tmp_path, "cache_directory": tmp_path / "cache"}
    run = convscope.train(str(tmp_path / "shapes"), recipe, name="several", **where).run.path
    code, out, err = run_command(capsys, "look", run)
    assert code == 0 and err == "" and "Right and wrong images" in out and "Health of several" in out
    for name in ("confusions", "calibration", "consistency"):
        assert f"· {name} left out: the images of " in out
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "<h2>What it learned</h2>" in report and "Right and wrong images</h3>" in report


def test_a_network_without_a_convolution_has_the_parts_that_it_can(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = convscope.Recipe(model="lenet5", epochs=1, autotune="rules")
    (tmp_path / "mlp.py").write_text(
        "from torch import nn\n\n\ndef mlp(num_classes=10):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, num_classes))\n"
    )
    changed = recipe.changed({"model": f"{tmp_path / 'mlp.py'}:mlp", "image_size": "8"})
    where = {"runs_directory": tmp_path, "cache_directory": tmp_path / "cache"}
    run = convscope.train("digits", changed, name="flat", **where).run.path
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "no layer has a map for Grad-CAM" in report and "First-layer filters" not in report
    code, out, err = run_command(capsys, "look", run, "--trust-code")
    assert code == 0 and err == "" and "Gradient, at the input" in out and "· confusions left out: " in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["RUN", "digits/7", "--parts", "health"], "--parts is for all images of a run: leave IMAGE out"),
        (["RUN", "--maps", "4"], "--maps needs an IMAGE: give one"),
        (["RUN", "--parts", ","], "--parts names no part"),
        (["RUN", "--layer", "c9"], "c9"),
        (["RUN", "--against", "nothing/there"], "nothing/there"),
        (["RUN", "--images", "0"], "0 is not in the range"),
        (["photo.jpg"], "photo.jpg"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)  # fmt: skip
def test_what_is_refused_is_one_line(
    words: list[str], message: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(work / "runs" / "run")
    code, _, err = run_command(capsys, "look", *(run if word == "RUN" else word for word in words))
    assert code == 2 and message in err and len(err.strip().splitlines()) == 1, err


def test_an_own_network_is_measured_on_other_images_with_its_input_given(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "net.py"
    layers = "nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)"
    file.write_text(f"from torch import nn\n\n\ndef make():\n    return nn.Sequential({layers})\n")
    asked = ("look", f"{file}:make", "--data", work / "photos", "--parts", "health")
    code, out, err = run_command(capsys, *asked)
    assert code == 2 and "--input 3x224x224" in err and len(err.strip().splitlines()) == 1
    code, out, err = run_command(capsys, *asked, "--input", "3x16x16")
    assert code == 0 and err == "" and "Health of make" in out
    code, out, err = run_command(capsys, "look", work / "runs" / "run", "--input", "1x8x8")
    assert code == 2 and "was trained on images of 1×32×32: leave --input out" in err
