"""Stories of `convscope explain` and `convscope audit`, on the real command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.cli.main import main


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "convscope", *arguments], capture_output=True, text=True, timeout=300, check=False
    )


def run(*arguments: str) -> int | str | None:
    """The command in this process: torch is there already."""
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return left.value.code


def test_a_number_is_explained_down_to_the_pixels(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "deep" / "cell.html"
    where = ("--layer", "s2", "--channel", "2", "--at", "3,4")
    assert run("explain", "lenet5", "digits/7", *where, "--pixels", "--html", str(page)) == 0
    said = capsys.readouterr().out
    assert "lenet5 · s2 · avg pool 2×2, stride 2" in said
    assert "channel 2 at (3, 4), of 6×14×14" in said
    assert "torch has" in said and "patch" in said and "· the weights are random (seed 0)" in said
    assert re.search(r"^act1 +2  \d+,\d+ +\+0\.", said.partition("Further down")[2], re.MULTILINE)
    text = page.read_text(encoding="utf-8")
    assert "data:image/png;base64," in text and "Further down" in text and "<script" not in text
    assert "Here the pixels are reached" in text


def test_json_holds_the_chain(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "lenet5", "digits/7", "--layer", "output", "--channel", "3", "--depth", "2", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["version"] == 1
    assert [cell["layer"] for cell in answer["cells"]] == ["output", "act6", "f6"]
    top = answer["cells"][0]
    assert top["value"] == pytest.approx(top["torch"], abs=1e-6)
    assert len(top["operands"][0]["numbers"]) == 84


NETWORKS = """
from torch import nn

def volume():
    return nn.Sequential(nn.Conv3d(2, 3, 3, padding=1), nn.BatchNorm3d(3), nn.ReLU(), nn.MaxPool3d((1, 2, 2)))

def signal():
    return nn.Conv1d(1, 2, 5)
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a sound, an image, arrays and a network of volumes in it, where commands run."""
    monkeypatch.chdir(tmp_path)
    for name, channels in (("tone.wav", 1), ("stereo.wav", 2)):
        with wave.open(name, "wb") as sound:
            sound.setnchannels(channels)
            sound.setsampwidth(2)
            sound.setframerate(16000)
            sound.writeframes((8000 * np.sin(np.arange(3001 * channels) / 9)).astype("<i2").tobytes())
    Image.new("RGB", (21, 13)).save("photo.jpg")
    volume = np.random.default_rng(0).standard_normal((2, 4, 7, 9)).astype(np.float32)
    np.save("volume.npy", volume)
    np.savez("volume.npz", clip=volume[None].astype(np.float64))
    np.save("wave.npy", np.zeros((1, 100)))
    (tmp_path / "networks.py").write_text(NETWORKS)
    os.mkfifo("pipe.wav")
    return tmp_path


def test_a_sound_through_m5(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--layer", "pool1", "--channel", "2", "--at", "40", "--pixels", "--html", "cell.html")
    assert run("explain", "m5", "tone.wav", *where) == 0
    said = capsys.readouterr().out
    assert "m5 · pool1 · max pool 4, stride 4" in said and "channel 2 at (40), of 128×2000" in said
    assert "made from   input positions 602–693 (92)" in said
    assert "· tone.wav: 16-bit PCM, 16,000 Hz, 1 channel, 3,001 samples (0.19 s)" in said
    assert "padded with 28,999 zeros to the 32,000 samples that m5 takes; --input 1x3001 takes it as it is" in said
    assert "position" in said and "× kernel" in said and "= products" in said
    assert max(map(len, said.splitlines())) < 200
    page = (work / "cell.html").read_text(encoding="utf-8")
    assert "input, positions 588 to 707" in page and "Here the input is reached" in page
    assert run("explain", "m5", "stereo.wav", "--layer", "fc", "--channel", "9", "--input", "1x3001") == 0
    said = capsys.readouterr().out
    assert "its 2 channels are averaged to 1" in said and "padded" not in said and "cut to" not in said


def test_a_volume_through_a_network_of_three_dimensions(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = ("networks.py:volume", "volume.npy", "--input", "2x4x7x9")
    assert run("explain", *network, "--layer", "3", "--channel", "1", "--at", "0,2,3", "--depth", "3",
               "--html", "cell.html") == 0  # fmt: skip
    said = capsys.readouterr().out
    assert "max pool 1×2×2, stride 1×2×2" in said
    assert "made from   input depth 0–1, rows 3–6, columns 5–8 (2×4×4)" in said
    assert "depth: padding" in said and "depth 1" in said
    assert "volume.npy: float32 of 2×4×7×9, read as C×D×H×W; its numbers are used as they are" in said
    assert ">depth 1</text>" in (work / "cell.html").read_text(encoding="utf-8")
    assert run("explain", "networks.py:volume", "volume.npz", "--layer", "0", "--at", "1,1,1", "--json") == 0
    cell = json.loads(capsys.readouterr().out)["cells"][0]
    assert cell["value"] == pytest.approx(cell["torch"], abs=1e-6) and cell["box"]["first"] == [0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["m5", "photo.jpg", "--layer", "conv1", "--at", "0"],
         "photo.jpg is a JPEG image, and m5 takes 1×32000: give a WAV file, or an array file (.npy, .npz) of 1×32000"),
        (["m5", "digits/7", "--layer", "conv1", "--at", "0"], "the built-in digits are images, and m5 takes 1×32000"),
        (["m5", "pipe.wav", "--layer", "conv1", "--at", "0"], "pipe.wav: not a regular file but a pipe"),
        (["m5", "wave.npy", "--layer", "conv1", "--at", "0"], "wave.npy has the shape 1×100, and m5 takes 1×32000"),
        (["m5", "tone.wav", "--layer", "conv1", "--at", "0", "--input", "2x900"], "tone.wav has 1 channel"),
        (["networks.py:signal", "tone.wav", "--layer", "convolution", "--at", "0", "--input", "1x3"],
         "; the smallest input that works is 1×5"),
        (["m5", "tone.wav", "--layer", "conv1", "--at", "1,2"], "say where with 1 number, X, from 0 to 7999; got 2"),
        (["m5", "tone.wav", "--layer", "conv1"], "say where with 1 number, X, from 0 to 7999; got 0"),
        (["lenet5", "tone.wav", "--layer", "c3", "--at", "0,0"],
         "tone.wav is a WAV file, and lenet5 takes 1×32×32: give an image file, or an array file"),
        (["lenet5", "volume.npy", "--layer", "c3", "--at", "0,0"],
         "volume.npy has the shape 2×4×7×9, and lenet5 takes 1×32×32"),
        (["networks.py:volume", "volume.npy", "--layer", "0", "--at", "1,2"],
         "say where with 3 numbers, D,Y,X, from 0,0,0 to 3,6,8; got 2"),
        (["networks.py:volume", "tone.wav", "--layer", "0", "--at", "1,2"],
         "tone.wav is a WAV file, and volume has maps of 3 axes"),
    ],
)  # fmt: skip
def test_an_input_of_another_kind_is_one_line(
    work: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("explain", *arguments) == 2
    said = capsys.readouterr()
    assert words in said.err and not said.out and said.err.count("\n") == 1 and "Traceback" not in said.err


@pytest.mark.long
@pytest.mark.parametrize(("network", "layer"), [("c3d", "features.pool2"), ("r3d_18", "layer2.0:add")])
def test_a_clip_through_the_networks_of_clips(
    network: str, layer: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("clip.npy", np.random.default_rng(1).standard_normal((1, 3, 16, 112, 112)).astype(np.float32))
    assert run("explain", network, "clip.npy", "--layer", layer, "--at", "3,4,5", "--pixels", "--json") == 0
    for cell in json.loads(capsys.readouterr().out)["cells"]:
        assert cell["value"] == pytest.approx(cell["torch"], rel=1e-4, abs=1e-6)


def test_the_edges_lesson_needs_no_model(tmp_path: Path) -> None:
    page = tmp_path / "edges.html"
    done = command("explain", "--demo", "edges", "--html", str(page))
    assert done.returncode == 0 and not done.stderr
    assert "A kernel that is learned" in done.stdout
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lenet5", "digits/7", "--layer", "c4"], "lenet5 has no layer 'c4'. Did you mean"),
        (["lenet5", "digits/7", "--layer", "c3", "--at", "10,0"], "c3's map is 10×10: 10,0 is outside"),
        (["lenet5", "digits/7", "--layer", "c3", "--at", "one"], "--at must be whole numbers with commas"),
        (["lenet5", "nowhere.png", "--layer", "c3", "--at", "0,0"], "nowhere.png: no such file"),
        (["lenet", "digits/7", "--layer", "c3"], "Did you mean lenet5"),
        (["lenet5", "digits/7"], "--layer is missing"),
        (["lenet5", "digits/7", "--layer", "c3", "--depth", "0", "--pixels"], "--depth and --pixels both say how far"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", *arguments) == 2
    assert words in capsys.readouterr().err


def test_audit_prints_every_layer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("audit", "lenet5") == 0
    said = capsys.readouterr().out
    assert "bf16: so far" in said and "digits are left at the output" in said
    assert run("audit", "lenet5", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["layers"]) == 11
