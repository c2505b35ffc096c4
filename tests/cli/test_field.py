"""`convscope field`: what a designer asks about one cell."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from commands import run_command
from convscope.interpret.inspection.record import inspect
from convscope.interpret.receptive_field import field, projective_field
from convscope.nets.build import build


def test_one_cell_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_command(capsys, "field", "lenet5", "--layer", "c3", "--at", "3,4")
    # Two 5x5 with a 2x2/2 between: 5 + 1 + 4 * 2 = 14, from 2 * 3 and 2 * 4 on.
    assert code == 0 and "rows 6 to 19, columns 8 to 21 (14×14)" in out and "every one is read" in out


def test_as_json_and_svg(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    drawing = tmp_path / "field.svg"
    code, out, _ = run_command(
        capsys, "field", "resnet18", "--layer", "layer2.0.conv2", "--at", "0,27", "--json", "--svg", str(drawing)
    )
    found = json.loads(out)
    # 67 pixels about the cell; rows above the image are not there, and columns end with it.
    assert code == 0 and found["spans_without_borders"] == [[-33, 33], [183, 249]]
    assert found["spans"] == [[0, 33], [183, 223]]
    assert np.sum(found["mask"]) == found["positions_read"] and "<svg" in drawing.read_text()


def test_layer_to_layer_and_the_other_way(capsys: pytest.CaptureFixture[str]) -> None:
    of_a_layer = ("--layer", "layer2.0.conv2", "--from", "layer1.1", "--at", "14,14")
    _, out, _ = run_command(capsys, "field", "resnet18", *of_a_layer)
    assert "(7×7) of layer1.1" in out
    _, out, _ = run_command(capsys, "field", "resnet18", "--layer", "conv1", "--pixel", "100,100")
    # A 7x7 at stride 2 uses an even pixel in 3 windows along each axis.
    assert "can change 9 of the 112×112" in out


def test_one_and_three_dimensions(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    drawing = tmp_path / "field.svg"
    code, out, _ = run_command(capsys, "field", "m5", "--layer", "pool1", "--at", "3", "--svg", str(drawing))
    # Windows of 80 at stride 4 that start 38 before the input, and 4 of them: 80 + 3 * 4.
    assert code == 0 and "reads       positions 10 to 101 (92) of the input, 1×32000" in out
    svg = drawing.read_text()
    assert "share of the input, positions 0 to 115" in svg and "<polygon" in svg
    code, out, _ = run_command(capsys, "field", "m5", "--layer", "pool1", "--pixel", "99")
    assert code == 0 and "pixel 99 can change 6 of the 2000 positions of pool1" in out
    code, out, _ = run_command(capsys, "field", "m5", "--layer", "fc", "--channel", "3")
    assert code == 0 and "fc of m5, unit 3 of 10" in out
    code, out, _ = run_command(
        capsys, "field", "r3d_18", "--layer", "layer1.0.conv1", "--at", "0,0,0", "--input", "3x8x20x20",
        "--svg", str(drawing)
    )  # fmt: skip
    assert code == 0 and "depth 0 to 2, rows 0 to 5, columns 0 to 5 (3×6×6) of the input" in out
    assert [line.strip() for line in out.splitlines() if line.startswith("  depth ")] == [
        "depth 0",
        "depth 1",
        "depth 2",
    ]
    assert drawing.read_text().count("<image") == 3


def test_a_pooling_of_one_dimension_is_its_maxima_not_their_places() -> None:
    inspection = inspect(lambda: nn.Sequential(nn.MaxPool1d(4)), (2, 18))
    (layer,) = inspection.layers
    assert inspection.graph.values[layer.output].spec.dtype == "float32"
    assert [window.kernel_size for window in layer.windows] == [4]
    (unread,) = [warning for warning in inspection.warnings if warning.kind == "never-read"]
    assert "never reads 11 % of the 18 positions of its input" in unread.message
    assert unread.evidence.startswith("positions 16, 17 of the map")


def test_channels_of_an_inception_block_are_told_apart() -> None:
    inspection = inspect(lambda: build("googlenet"), (3, 224, 224))
    found = field(inspection, "inception3a")
    # The 1x1 branch has 64 channels and sees what came in; each other branch adds two at stride 8.
    assert found.blocks == ((0, 63, 27), (64, 255, 43))
    one, wide = (field(inspection, "inception3a", channel=first) for first, _, _ in found.blocks)
    assert one.read < wide.read <= found.read


def test_projective_field_is_the_other_side_of_the_mask() -> None:
    inspection = inspect(lambda: build("lenet5"), (1, 32, 32))
    changed = projective_field(inspection, "c3", (10, 10))
    for cell in ((2, 2), (5, 5), (0, 9)):
        assert changed[cell] == field(inspection, "c3", cell).mask[10, 10]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet18", "--layer", "layer9"), "Did you mean layer4 or"),
        (("vgg16", "--layer", "features.30", "--input", "3x8x8"), "the smallest input that works is 3×32×32"),
        (("lenet5", "--layer", "c9"), "has no layer 'c9'. Did you mean"),
        (("lenet5", "--layer", "input"), "has no layer 'input'. It is an input"),
        (("resnet18", "--layer", "conv2"), "Give the whole path: layer1.0.conv2, layer1.1.conv2, layer2.0.conv2, ..."),
        (("lenet5", "--layer", "c3", "--at", "10,0"), "c3's map is 10×10: 10,0 is outside; the last cell is 9,9"),
        (("lenet5", "--layer", "c3", "--at", "x"), "whole numbers like 12,30"),
        (("lenet5", "--layer", "c3", "--channel", "16"), "c3 has 16 channels, 0 to 15: channel 16 is outside"),
        (
            ("lenet5", "--layer", "c3", "--at", "1"),
            "c3's map is 10×10: say where with 2 numbers, Y,X, from 0,0 to",
        ),
        (
            ("m5", "--layer", "pool1", "--at", "3,4"),
            "pool1's map is 2000: say where with 1 number, X, from",
        ),
        (("m5", "--layer", "pool1", "--at", "2000"), "pool1's map is 2000: 2000 is outside; the last cell is 1999"),
        (
            ("m5", "--layer", "pool1", "--pixel", "1,2"),
            "the input's map is 32000: say where with 1 number, X, from",
        ),
        (("m5", "--layer", "fc", "--at", "1"), "fc has 10 units and no map: leave the place out"),
        (("m5", "--layer", "pool1", "--pixel", "1", "--at", "1"), "--at is about what a cell sees"),
        (
            ("lenet5", "--layer", "c3", "--pixel", "32,0"),
            "the image's map is 32×32: 32,0 is outside; the last",
        ),
    ],
)
def test_what_does_not_exist_is_said(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = run_command(capsys, "field", *arguments)
    assert code == 2 and message in err and not out and "Traceback" not in err


def test_from_the_shell() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "convscope", "field", "alexnet-mini", "--layer", "features"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "status      exact" in done.stdout
