"""Stories of `convscope size`, on the real command line."""

import json
import subprocess
import sys

import pytest


def size(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "convscope", "size", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_stem_of_resnet_is_worked_out_with_its_formula():
    done = size("224", "--kernel", "7", "--stride", "2", "--padding", "3", "--in-channels", "3", "--out-channels", "64")
    assert done.returncode == 0 and not done.stderr
    assert "⌊(224 + 2·3 − 7) / 2⌋ + 1 = 112" in done.stdout
    assert "118,013,952 = 64·3·7·7 · 112·112" in done.stdout
    assert "9,472 = 64·3·7·7 + 64" in done.stdout
    assert "64 fully connected units" in done.stdout
    assert "output      64×112×112: 64 channels (the depth, one for each filter), 802,816 values\n" in done.stdout


def test_one_of_a_thing_is_in_the_singular():
    shown = size("5", "-k", "5", "-i", "1", "-o", "1").stdout
    assert "is in 1 window\n" in shown and "1 fully connected unit " in shown and "1×1×1: 1 channel (" in shown
    assert ": 64 channels (the depth, as that of the input)" in size("224", "-k", "2", "--pool", "-i", "64").stdout


def test_pixels_that_are_never_read_are_named():
    done = size("64", "-k", "3", "-s", "2")
    assert "row 63; column 63: 127 pixels of each channel, 3.1 %" in done.stdout


def test_json_holds_what_the_text_says():
    done = size("9x64", "-k", "1x7", "-p", "0x3", "-i", "4", "-o", "6", "-g", "2", "--json")
    answer = json.loads(done.stdout)
    assert answer["version"] == 1 and answer["output_size"] == [9, 64] and answer["output_shape"] == [6, 9, 64]
    assert answer["layer"] == {"parameters": 6 * 2 * 7 + 6, "macs": 6 * 2 * 7 * 9 * 64}


def test_three_axes_and_transposed_and_pooling():
    assert "16×112×112" in size("16x112x112", "-k", "3", "-p", "1").stdout
    assert "48 = 1·3·2·2 · 2·2" in size("2", "-k", "2", "-s", "2", "--transposed", "-i", "3", "-o", "1").stdout
    assert "28×28" in size("55", "-k", "2", "--pool", "--ceil-mode").stdout
    assert "output      10\n" in size("10", "-k", "4", "-p", "same", "--dimensions", "1").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["4", "-k", "5"], "kernel 5 does not fit: it spans 5, but the axis has 4"),
        (["64", "-k", "3", "-s", "2", "--strict"], "an axis of 63 or 65 fits"),
        (["6", "-k", "1", "-s", "2", "--strict"], "3 of 6 positions are never read: the stride 2 steps over them"),
        (["64", "-k", "3", "-s", "2", "-p", "same"], "padding 'same' needs stride 1"),
        (["64", "-k", "three"], "--kernel must be a whole number"),
        (["64", "-k", 5_000 * "9"], "9...'"),
        (["64x64", "-k", "3x3x3"], "3 numbers, but the layer has 2"),
        (["64", "-k", "3", "-i", "3"], "give out_channels too"),
        (["64", "-k", "3", "-i", "3", "-o", "8", "-g", "2"], "groups 2 must divide in_channels 3"),
        (["64", "-k", "3", "--ceil-mode"], "ceil_mode belongs to pooling"),
        (["64", "-k", "3", "--pool", "--transposed"], "not both"),
        (["3x64x64", "-k", "3", "--dimensions", "2"], "channels with --in-channels"),
        (["64", "-k", "3", "-p", "2", "--pool"], "more than half the pooling kernel"),
        (["64", "-k", "2", "--pool", "-i", "8", "-o", "4"], "a pooling keeps the number of channels"),
        (["64", "-k", "3", "-s", "0"], "stride must be at least 1"),
        (["0", "-k", "3"], "INPUT must be at least 1; got 0"),
        (["64", "-k", "3", "-p", "same", "--pool"], "belongs to convolution"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(arguments: list[str], said: str):
    done = size(*arguments)
    assert done.returncode == 2
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert not done.stdout


def test_it_starts_without_torch():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "convscope", "size", "224", "-k", "7"],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert not imported & {"torch", "numpy", "rich", "PIL", "sklearn"}
