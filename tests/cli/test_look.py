"""Stories of `convscope look` on the real command line: a digit, a photograph, and what is refused."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import run_command

QUICK = ("--no-checks", "--methods", "grad-cam")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of LeNet-5 that has seen the digits once."""
    import convscope

    folder = tmp_path_factory.mktemp("look")
    recipe = convscope.Recipe(model="lenet5", epochs=1, autotune="rules")
    return convscope.train(
        "digits", recipe, name="run", runs_directory=folder, cache_directory=folder / "cache"
    ).run.path


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """A photograph of a bright disc on a dark, sloping ground."""
    rows, columns = np.mgrid[:60, :80]
    ground = (rows + columns)[..., None] * np.array([0.6, 0.4, 0.2])
    pixels = np.where(((rows - 30) ** 2 + (columns - 50) ** 2 < 150)[..., None], 230, ground)
    path = tmp_path / "photo.jpg"
    Image.fromarray(pixels.astype(np.uint8)).save(path, quality=95)
    return path


def test_a_run_is_looked_at_with_its_checks_and_files(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, page = tmp_path / "seven", tmp_path / "seven.html"
    methods = ("--methods", "grad-cam,integrated-gradients")
    code, out, err = run_command(capsys, "look", run, "digits/7", *methods, "--save", folder, "--html", page)
    assert code == 0 and err == ""
    order = ["probability", "Filters of c1", "Feature maps of act1", "Grad-CAM: ", "Integrated gradients: ",
             "random weights", "next: convscope explain"]  # fmt: skip
    places = [out.index(words) for words in order]
    assert places == sorted(places) and "weights are random" not in out
    text = page.read_text(encoding="utf-8")
    assert text.index("What the score depends on") < text.index("Feature maps of act1") < text.index("Filters of c1")
    assert "data:image/png;base64," in text and "<script" not in text
    names = {path.name for path in folder.iterdir()}
    assert {"overview.svg", "overview.png", "attribution-grad-cam.npz", "checks-grad-cam.svg", "feature-maps-act1.png",
            "filters-c1.svg", "look.html"} <= names  # fmt: skip
    with np.load(folder / "attribution-grad-cam.npz") as found:
        assert found["map"].shape == (32, 32)
    code, out, err = run_command(capsys, "look", run, "digits/7", *QUICK, "--save", folder)
    assert code == 2 and "is there already: choose another folder" in err


def test_the_command_to_type_next_works(run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    _, out, _ = run_command(capsys, "look", run, "digits/3", *QUICK, "--html", tmp_path / "look.html")
    words = out.rpartition("next: convscope ")[2].split()
    code, out, err = run_command(capsys, *words)
    assert code == 0 and err == "" and "act1" in out


def test_json_has_every_part_and_nothing_else_is_printed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--layer", "s2", "--class", "3", "--maps", "2", "--page", "2", "--rank", "contribution", "--json")
    code, out, err = run_command(capsys, "look", run, "digits/3", *QUICK, *asked)
    found = json.loads(out)
    assert code == 0 and err == "" and found["version"] == 1
    assert found["target"] == 3 and found["attributions"][0]["layer"] == "s2" and found["checks"] == []
    assert found["maps"]["layer"] == "s2" and len(found["maps"]["channels"]) == 2 and found["maps"]["page"] == 2
    assert found["filters"]["layer"] == "c1" and found["maps"]["ranking"] == "contribution"
    assert found["maps"]["means_of"] == "179 images of digits, test"
    assert found["maps"]["channels"][0]["measure"] != found["maps"]["channels"][0]["measure_at_zero"]
    assert len(found["attributions"][0]["map"]) == 32 and len(out.splitlines()) < 300  # a row of a map is a line


def test_an_interrupted_comparison_has_what_is_ready(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("convscope.interpret.look.compare_looks.layer_similarity", interrupted)
    code, out, _ = run_command(capsys, "look", run, "digits/3", "--against", "lenet5")
    assert code == 130 and "grad-cam, correlation with first" in out and "Not measured: similarity of layers." in out


def test_a_photograph_under_a_random_convolution_needs_no_model(
    photograph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_command(capsys, "look", "--random-conv", "8x3x3", photograph, "--save", tmp_path / "maps")
    assert code == 0 and err == "" and "8×254×254" in out and "nothing here is learned" in out
    with np.load(tmp_path / "maps" / "random-convolution.npz") as found:
        assert found["maps"].shape == (8, 254, 254)
    np.save(tmp_path / "photograph.npy", np.asarray(Image.open(photograph)))
    code, _, err = run_command(
        capsys, "look", "--random-conv", "8x3x3", tmp_path / "photograph.npy", "--save", tmp_path / "same"
    )
    assert code == 0 and err == ""
    with (
        np.load(tmp_path / "maps" / "random-convolution.npz") as one,
        np.load(tmp_path / "same" / "random-convolution.npz") as other,
    ):
        assert np.abs(one["maps"] - other["maps"]).max() < 0.1 * np.abs(one["maps"]).max()
    code, _, err = run_command(capsys, "look", "--random-conv", "8by3", photograph)
    assert code == 2 and "write 8x3x3 for eight filters of 3×3" in err
    code, _, err = run_command(capsys, "look", "--random-conv", "8x3x3", "lenet5", photograph)
    assert code == 2 and "takes an image and no model" in err


def test_a_photograph_of_another_size_and_colour_is_fitted(
    run: Path, photograph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In colour for a grey network, in grey for one of colour, and smaller than the input."""
    small = tmp_path / "small.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(small)
    for model, image in ((run, photograph), (run, small), ("alexnet-mini", small)):
        code, out, err = run_command(capsys, "look", model, image, *QUICK, "--maps", "1")
        assert code == 0 and err == "" and "Grad-CAM: " in out


NETWORKS = """
from torch import nn

def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5))

def silent():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 5))
    nn.init.constant_(network[0].bias, float("nan"))
    return network

def half():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 5)).bfloat16()
"""


def test_what_a_network_does_not_have_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nets.py").write_text(NETWORKS)
    np.save(tmp_path / "one.npy", np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8))
    given = (tmp_path / "one.npy", "--input", "1x8x8")
    methods = ("--no-checks", "--methods", "grad-cam,gradient")
    code, out, err = run_command(capsys, "look", f"{tmp_path}/nets.py:linear", *given, *methods)
    assert code == 0 and err == "" and "Filters of 1" in out and "Gradient: class" in out
    assert out.count("the weights are those that linear makes") == 1
    assert "· grad-cam left out: " in out and "take gradient, integrated-gradients or occlusion" in out
    code, out, err = run_command(capsys, "look", f"{tmp_path}/nets.py:silent", *given, *methods)
    assert code == 2 and out == "" and "its 0.bias holds NaN, first read by 0" in err
    code, out, err = run_command(capsys, "look", f"{tmp_path}/nets.py:half", *given, *methods)
    assert code == 0 and err == "" and "Grad-CAM: " in out


SHAPELESS = """
from torch import nn

def make():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10))
"""


def test_a_model_without_an_input_shape_is_compared_with_one_that_has_its_own(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shapeless.py").write_text(SHAPELESS)
    model = f"{tmp_path}/shapeless.py:make"
    given = ("look", run, "digits/7", "--against", model, "--methods", "gradient")
    code, out, err = run_command(capsys, *given, "--input", f"{model}=1x8x8")
    assert code == 0 and "make" in out, err
    code, _, err = run_command(capsys, *given)
    assert code == 2 and "give it, such as --input 3x224x224" in err
    code, _, err = run_command(capsys, *given, "--input", "1x8x8", "--input", "1x9x9")
    assert code == 2 and f"--input gives {run} 1x8x8 and 1x9x9: give one" in err


# It waits where a gradient is asked for, which comes after the feature maps.
WAITS = """
import time
from torch import nn

class Waits(nn.Sequential):
    def forward(self, x):
        if x.requires_grad:
            time.sleep(3600)
        return super().forward(x)

def make():
    return Waits(nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
"""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="a process group is interrupted")
def test_ctrl_c_keeps_the_parts_that_are_ready_and_the_page(photograph: Path, tmp_path: Path) -> None:
    """As a terminal does: both processes are interrupted, the one that works and the one that watches it."""
    (tmp_path / "waits.py").write_text(WAITS)
    words = ("look", "waits.py:make", photograph.name, "--input", "3x32x32", "--html", "look.html")
    process = subprocess.Popen(
        [sys.executable, "-m", "convscope", *words],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Feature maps"):
                break
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(300) == 130, rest
    assert "! interrupted: the parts above are kept" in rest and "wrote look.html" in rest
    (missing,) = [line for line in rest.splitlines() if line.startswith("not measured: ")]
    assert missing.endswith("guided-backprop, checks (interrupted)")
    page = (tmp_path / "look.html").read_text(encoding="utf-8")
    assert "Interrupted" in page and "Feature maps of" in page and "Guided" not in page
    assert "guided-backprop, checks." in page


def test_what_is_slow_is_asked_for(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "saved"
    asked = ("--robustness", "--equivariance", "--visualize", "act1:2,0", "--at", "3,4", "--save", folder)
    code, out, err = run_command(capsys, "look", run, "digits/7", *QUICK, *asked)
    assert code == 0 and err == ""
    order = ["Channels of act1", "at (3, 4) of", "Grad-CAM: ", "smallest that changes the prediction",
             "Shift equivariance", "largest in the data", "wrote "]  # fmt: skip
    places = [out.index(words) for words in order]
    assert places == sorted(places)
    names = {path.name for path in folder.iterdir()}
    assert {"channels-act1.npz", "robustness.npz", "equivariance.svg", "visualization-act1.png"} <= names
    with np.load(folder / "visualization-act1.npz") as found:
        assert found["pictures"].shape == (2, 32, 32, 1) and found["pictures"].dtype == np.uint8
    page = (folder / "look.html").read_text(encoding="utf-8")
    titles = ["Smallest distortions", "Feature maps of act1", "All channels of act1", "Pictures that excite channels",
              "Filters of c1", "Equivariance to shifts"]  # fmt: skip
    places = [page.index(title) for title in titles]
    assert places == sorted(places)


def test_a_run_is_compared_with_its_epochs_and_another_network(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = sorted((run / "checkpoint").glob("step-*"))[-1]
    page = tmp_path / "compared.html"
    code, out, err = run_command(
        capsys, "look", run, "digits/7", "--against", checkpoint, "--against", "lenet5", "--html", page
    )
    assert code == 0 and err == "" and "run (epoch 1)" in out and "grad-cam, correlation with first" in out
    assert "linear CKA" in page.read_text(encoding="utf-8") and "next: convscope look" in out
    code, out, _ = run_command(capsys, "look", run, "digits/7", "--against", checkpoint, "--json", "--layer", "s2")
    found = json.loads(out)
    assert code == 0 and found["pairing"] == "number" and found["networks"][1]["maps"]["layer"] == "s2"
    assert found["similarities"][0]["images"] == 179


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["RUN", "digits/7", "--layer", "c2"], "c2"),
        (["RUN", "digits/7", "--class", "10"], "it has 10, 0 to 9"),
        (["RUN", "digits/7", "--class", "cat"], "has no class 'cat'. Its classes: 0, 1, 2"),
        (["RUN", "digits/7", "--methods", "gradcam"], "Did you mean grad-cam?"),
        (["RUN", "digits/7", "--methods", " ,"], "--methods names no method: give some of grad-cam"),
        (["RUN", "digits/7", "--maps", "4", "--page", "9"], "the 6 channels of act1 fill 2 pages of 4"),
        (["RUN", "digits/7", "--page", "2", "--against", "lenet5"], "the 6 channels of act1 fill 1 page of 8"),
        (["RUN", "digits/7", "--methods", "grad-cam,captum:NoSuch"], "The nearest: captum:"),
        (["RUN", "digits/1797"], "digits/0 to digits/1796"),
        (["RUN", "nothing.jpg"], "nothing.jpg"),
        ([], "MODEL is missing"),
        (["lenet6", "digits/7"], "lenet5"),
        (["RUN", "digits/7", "--at", "40,2"], "40,2 is outside"),
        (["RUN", "digits/7", "--at", "4"], "a position is 2 numbers"),
        (["RUN", "digits/7", "--at", "here"], "whole numbers with commas"),
        (["RUN", "digits/7", "--visualize", "c9:0"], "c9"),
        (["RUN", "digits/7", "--visualize", "act1:77"], "77 is none of them"),
        (["RUN", "digits/7", "--against", "lenet6"], "lenet5"),
        (["RUN", "digits/7", "--against", "lenet5", "--robustness"], "leave --robustness out"),
        (["RUN", "digits/7", "--random-conv", "8x3x3"], "takes an image and no model: leave MODEL out"),
        (["digits/7", "--random-conv", "8x3x3", "--maps", "3"], "leave --maps out"),
        (["RUN/checkpoint", "digits/7"], "holds checkpoints: give the run, "),
        (["RUN", "digits/7", "--html", "RUN"], "is a directory"),
        (["RUN", "digits/7", "--html", "RUN/recipe.toml/look.html"], "recipe.toml is a file"),
        (["RUN", "digits/7", "--save", "RUN/recipe.toml/look"], "recipe.toml is a file"),
        (["RUN", "--html", "RUN/recipe.toml/look.html"], "recipe.toml is a file"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)  # fmt: skip
def test_what_is_refused_is_one_line(
    words: list[str], message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_command(capsys, "look", *(word.replace("RUN", str(run)) for word in words))
    assert code == 2 and message in err and len(err.strip().splitlines()) == 1, err
    assert out == ""


def test_the_command_to_type_next_opens_the_same_network_and_shows_the_same(
    tmp_path: Path, photograph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = "from torch import nn\ndef net():\n    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), "
    (tmp_path / "net.py").write_text(f"{source}nn.Linear(784, 5))\n", encoding="utf-8")
    asked = ("--input", "3x16x16", "--seed", "3", "--class", "2", *QUICK)
    code, out, err = run_command(capsys, "look", tmp_path / "net.py:net", photograph, *asked)
    assert code == 0 and err == ""
    words = shlex.split(out.rpartition("next: convscope ")[2])
    assert sorted(words[3:-2]) == sorted(asked)
    words[-1] = str(tmp_path / "look.html")
    code, out, err = run_command(capsys, *words)
    assert code == 0 and err == "" and "class 2" in (tmp_path / "look.html").read_text(encoding="utf-8")
    words = shlex.split(out.rpartition("next: convscope ")[2])
    assert words[0] == "explain" and words[3:7] == ["--input", "3x16x16", "--seed", "3"]
    assert run_command(capsys, *words)[0] == 0
