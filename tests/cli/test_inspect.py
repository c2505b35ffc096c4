"""Stories of `convscope inspect` and `convscope compare`."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from convscope.cli.main import cli, main

NETS = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2)
        self.fc = nn.Linear(8 * 15 * 15, 10)

    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).flatten(1))

class Broken(Small):
    def forward(self, x):
        return self.fc(self.conv(x))

def sized(width):
    return Small()
"""


@pytest.fixture
def nets(tmp_path: Path) -> str:
    path = tmp_path / "nets.py"
    path.write_text(NETS)
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, standalone_mode=False, catch_exceptions=True)


def failing(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    """Run what must exit 2 with one line on stderr; gives (stdout, that line)."""
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1 and "Traceback" not in err
    return out, err


def test_a_catalogue_network_needs_no_input():
    shown = run("inspect", "resnet18").output
    assert "resnet18 on 3×224×224" in shown
    assert "11,689,512 (46.76 MB)" in shown and "1,814,073,344 for one sample" in shown
    assert "435 pixels at stride 32, at layer4.1.conv2" in shown
    assert "layer2.0.downsample.0 steps over positions" in shown


def test_a_file_of_one_s_own(nets: str):
    shown = run("inspect", f"{nets}:Small", "--input", "3x32x32").output
    assert "8×15×15" in shown and "! conv never reads 6.2 % of its 32×32 input" in shown


def test_json_is_the_documented_form(nets: str):
    answer = json.loads(run("inspect", f"{nets}:Small", "-i", "3x32x32", "--json").output)
    assert {"version", "totals", "layers", "warnings", "error"} <= answer.keys()
    assert answer["warnings"][0]["layer"] == "conv" and answer["warnings"][0]["kind"] == "never-read"


def test_depth_formulas_and_width():
    assert "Bottleneck, 10 layers" in run("inspect", "resnet50", "--depth", "2").output
    formulas = run("inspect", "lenet5", "--formulas").output
    assert "1 · 6 · 28 · 28 · 1 · 5 · 5" in formulas and "6·1·5·5 + 6 " in formulas
    wide = run("inspect", "lenet5", "--wide").output
    assert "18.82 kB" in wide and " 4,704 " in wide


def test_pages_and_drawings_are_written(tmp_path: Path):
    page, net, field = tmp_path / "a.html", tmp_path / "net.svg", tmp_path / "field.svg"
    done = run("inspect", "lenet5", "--html", str(page), "--svg", str(net), "--field-svg", str(field))
    assert done.exit_code == 0
    assert page.read_text().startswith("<!doctype html>")
    assert ET.parse(net).getroot().tag.endswith("svg") and ET.parse(field).getroot().tag.endswith("svg")


def test_a_forward_that_fails_shows_what_ran_and_exits_2(nets: str, capsys: pytest.CaptureFixture[str]):
    out, err = failing(capsys, "inspect", f"{nets}:Broken", "--input", "3x32x32")
    assert "conv" in out and "8×15×15" in out
    assert "for one sample" not in out  # totals of a part would be taken for the network's
    assert "fc (Linear)" in err and "1800" in err


def test_strict_fails_on_warnings_and_lets_notes_through(nets: str, capsys: pytest.CaptureFixture[str]):
    _, err = failing(capsys, "inspect", f"{nets}:Small", "--input", "3x32x32", "--strict")
    assert "conv never reads" in err
    assert run("inspect", "resnet18", "--strict").exit_code == 0


def test_the_object_s_size_is_asked_for():
    assert "small-field" not in run("inspect", "nin", "--json").output
    found = json.loads(run("inspect", "nin", "--object-size", "32", "--json").output)["warnings"]
    assert [w["layer"] for w in found if w["kind"] == "small-field"] == ["block3.0"]


def test_training_memory_for_a_batch_and_the_largest_that_fits():
    shown = run("inspect", "lenet5", "--batch", "32", "--optimizer", "adam", "--memory", "100MB").output
    assert "32 samples with adam" in shown and "at most" in shown and "of each sample" in shown
    found = json.loads(run("inspect", "lenet5", "--batch", "32", "--optimizer", "adam", "--json").output)[
        "training_memory"
    ]
    parts = found["bytes"]
    assert parts["weights"] == parts["gradients"] == 61_706 * 4 and parts["optimizer"] == 2 * 61_706 * 4
    assert parts["total"] == sum(size for part, size in parts.items() if part != "total")
    assert found["kept_bytes_per_sample"]["c1"] == 32 * 32 * 4  # its input
    assert "none fits in 1.000 kB" in run("inspect", "lenet5", "--memory", "1kB").output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inspect", "resnet81"], "Did you mean resnet18"),
        (["inspect", "lenet5", "--optimizer", "adam"], "add --batch or --memory"),
        (["inspect", "NETS:Small"], "give --input"),
        (["inspect", "NETS:Smal", "-i", "3x32x32"], "Did you mean Small"),
        (["inspect", "NETS:sized", "-i", "3x32x32"], "width"),
        (["inspect", "NETS", "-i", "3x32x32"], "Small"),
        (["inspect", "no/such.py:Net", "-i", "3x32x32"], "no/such.py"),
        (["inspect", "NETS:Small", "-i", "3 by 32"], "write channels, height and width, like 3x224x224"),
        (["inspect", "NETS:Small", "-i", "1x32x32"], "conv (Conv2d)"),
        (["inspect", "NETS:Small", "-i", "32x32"], "conv (Conv2d)"),
        (["inspect", "NETS:Small", "-i", "3x2x2"], "conv (Conv2d)"),
        (["inspect", "lenet5", "--html", "/no/such/folder/a.html"], "can't be written"),
        (["inspect", "lenet5", "--memory", "8"], "8GB"),
        (["compare", "lenet5"], "two models or more"),
        (["compare", "NETS:Broken", "NETS:Small", "-i", "3x32x32"], "Broken: fc (Linear)"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(
    arguments: list[str], said: str, nets: str, capsys: pytest.CaptureFixture[str]
):
    _, err = failing(capsys, *(a.replace("NETS", nets) for a in arguments))
    assert said in err


def test_networks_side_by_side():
    shown = run("compare", "resnet18", "resnet34").output
    assert "1.86×" in shown and "layer1.2" in shown
    assert len(json.loads(run("compare", "lenet5", "nin", "m5", "--json").output)["models"]) == 3


def test_help_and_output_through_a_pipe():
    done = subprocess.run(
        [sys.executable, "-m", "convscope", "inspect", "lenet5"],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert "61,706" in done.stdout and "\x1b" not in done.stdout and not done.stderr


@pytest.mark.parametrize(("network", "given", "works"), [("vgg16", "3x16x16", "3×32×32"), ("m5", "1x100", "1×1024")])
def test_an_input_too_small_names_the_layer_and_the_smallest_that_works(capsys, network, given, works):
    _, err = failing(capsys, "inspect", network, "--input", given)
    assert f"; the smallest input that works is {works}" in err and "pool" in err.lower()


@pytest.mark.parametrize(
    ("model", "sample"),
    [("notes-block", "3x64x64"), ("m5", "1x16000"), ("nets.py:Clip", "3x4x9x9"), ("nets.py:Mlp", "3x8x8")],
)
def test_a_batch_is_told_from_a_sample_by_the_network(tmp_path: Path, model: str, sample: str):
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n"
        "def Clip(): return nn.Sequential(nn.Conv3d(3, 4, 3), nn.ReLU())\n"
        "def Mlp(): return nn.Sequential(nn.Flatten(), nn.Linear(192, 10))\n"
    )
    named = model if ":" not in model else f"{tmp_path}/{model}"
    one = json.loads(run("inspect", named, "--input", sample, "--json").output)
    four = json.loads(run("inspect", named, "--input", f"4x{sample}", "--json").output)
    assert four["inputs"][0]["shape"] == [4, *one["inputs"][0]["shape"][1:]]
    assert four["totals"]["macs"] == 4 * one["totals"]["macs"]
    assert four["totals"]["parameters"] == one["totals"]["parameters"]
    assert [at["receptive_field"] for at in four["layers"]] == [at["receptive_field"] for at in one["layers"]]
    shown = run("inspect", named, "--input", f"4x{sample}").output
    assert f"a batch of 4 samples of {sample.replace('x', '×')}; the table is of one" in shown
    assert f"{one['totals']['macs']:,} for one sample, {four['totals']['macs']:,} for 4" in shown
    if model != "nets.py:Mlp":  # flattens whatever it gets: one image of 1×3×8×8 is as right as a batch of one
        assert run("inspect", named, "--input", f"1x{sample}").output == run("inspect", named, "--input", sample).output


def test_a_batch_given_to_compare_field_and_audit_is_said_to_be_one_sample(capsys: pytest.CaptureFixture[str]):
    audited = run("audit", "lenet5", "--input", "4x1x32x32")
    assert audited.exit_code == 0 and "a batch of 4 samples of 1×32×32: each error is that of one" in audited.stderr
    for arguments in (["compare", "notes-block", "tinyvgg"], ["field", "notes-block", "--layer", "conv3"]):
        found = run(*arguments, "--input", "4x3x64x64")
        assert found.exit_code == 0 and "a batch of 4 samples of 3×64×64" in found.stderr
        assert found.stdout == run(*arguments, "--input", "3x64x64").stdout
    _, line = failing(capsys, "inspect", "lenet5", "--input", "4x1x8x8")
    assert "the smallest input that works is 1×32×32" in line
