"""Inputs with a type, a range, a name or in lists; models that hang, raise or have no size yet."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from convscope.cli.main import cli

SOURCE = """
import torch
from torch import nn

class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(100, 8), nn.Linear(8, 3)
    def forward(self, x):
        return self.head(self.table(x))

class Labelled(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.table = nn.Conv2d(3, 4, 3), nn.Embedding(10, 4)
    def forward(self, img, label):
        return self.conv(img).mean((2, 3)) + self.table(label)

class Pictures(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
    def forward(self, images):
        return [self.conv(image[None]) for image in images]

class Endless(nn.Module):
    def forward(self, x):
        while True:
            try:
                pass
            except Exception:
                pass

class Prints(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        print("built")
    def forward(self, x):
        print("shape", x.shape)
        return self.conv(x)

def lazy():
    return nn.Sequential(nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(5))

def pooled():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(8))
"""


def run(folder, *words):
    path = folder / "net.py"
    path.write_text(SOURCE)
    model, *rest = words
    return CliRunner().invoke(cli, ["inspect", f"{path}:{model}", *rest])


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("Words", "--input", "40:int64"), "Words on 40"),
        (("Words", "--input", "40:int64:0-99"), "Words on 40"),
        (("Labelled", "--input", "img=3x24x24", "--input", "label=scalar:int64"), "Labelled on 3×24×24 and scalar"),
        (("Pictures", "--input", "[3x24x24,3x30x20]"), "106,704 for one sample"),
        (("lazy", "--input", "3x16x16"), "8,085"),
        (
            ("Labelled", "--input", "img=3x24x24", "--input", "label=scalar:int64", "--batch", "4"),
            "of 4 samples of 3×24",
        ),
        (("Labelled", "--input", "img=4x3x24x24", "--input", "label=4:int64"), "a batch of 4 samples of 3×24×24"),
        (("pooled", "--input", "3x16x16", "--mode", "train", "--batch", "2"), "a batch of 2 samples"),
    ],
)
def test_inputs_of_any_kind_are_taken(tmp_path, words, shown):
    done = run(tmp_path, *words)
    assert done.exception is None and shown in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("Endless", "--input", "3", "--deadline", "0.3"), "takes more than 0.3 s"),
        (("pooled", "--input", "3x16x16", "--mode", "train"), "needs two samples: --batch 2"),
        (("Labelled", "--input", "3x24x24", "--input", "label=1:int64"), "give each input a name, or none"),
        (("Labelled", "--input", "img=3x24x24", "--input", "img=3x4"), "the input img is given twice"),
    ],
)
def test_what_can_not_run_is_one_line(tmp_path, words, message):
    done = run(tmp_path, *words)
    assert message in str(done.exception)


def test_a_typed_batch_is_compared_by_its_samples(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(SOURCE)
    done = CliRunner().invoke(cli, ["compare", f"{path}:Prints", f"{path}:Prints", "--input", "4x3x16x16:float32"])
    assert done.exception is None and "a batch of 4 samples of 3×16×16: each figure" in done.stderr
    assert [line.split() for line in done.stdout.splitlines() if "input" in line] == [["input", "3×16×16", "3×16×16"]]


def test_a_comparison_takes_an_input_for_all_or_for_one_model(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(SOURCE)
    own = f"{path}:pooled=3x16x16"
    for words, shown in (
        (["lenet5", f"{path}:pooled", "--input", own], ["1×32×32", "3×16×16"]),
        (["lenet5", f"{path}:pooled", "resnet18", "--input", "3x64x64", "--input", own, "--input", "lenet5=1x32x32"],
         ["1×32×32", "3×16×16", "3×64×64"]),
    ):  # fmt: skip
        done = CliRunner().invoke(cli, ["compare", *words])
        assert done.exception is None, done.exception
        assert [line.split() for line in done.stdout.splitlines() if "input" in line] == [["input", *shown]]
    done = CliRunner().invoke(cli, ["compare", "lenet5", "resnet18", "--input", "./net.py:make=3x8x8"])
    assert "./net.py:make is none of resnet18, lenet5" in str(done.exception)


@pytest.mark.parametrize("command", ["inspect", "explain", "audit"])
def test_what_a_model_prints_goes_to_stderr(tmp_path, command):
    path, array = tmp_path / "net.py", tmp_path / "x.npy"
    path.write_text(SOURCE)
    np.save(array, np.ones((3, 8, 8), np.float32))
    words = [array, "--layer", "conv", "--at", "1,1"] if command == "explain" else ["--input", "3x8x8"]
    done = CliRunner().invoke(cli, list(map(str, [command, f"{path}:Prints", *words, "--json"])))
    assert json.loads(done.stdout)["version"] == 1
    assert "built" in done.stderr and "shape torch.Size([1, 3, 8, 8])" in done.stderr


# The alarm may come within hypothesis's callback of the garbage collector, where Python reports an exception, no more.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("words", [("audit", "--input", "3x8x8"), ("explain", "x.npy", "--layer", "add")])
def test_a_model_that_never_ends_is_one_line(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(SOURCE)
    np.save("x.npy", np.ones((3, 8, 8), np.float32))
    command, *rest = words
    done = CliRunner().invoke(cli, [command, "net.py:Endless", *rest, "--deadline", "0.3"])
    assert "takes more than 0.3 s" in str(done.exception)
