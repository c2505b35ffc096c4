"""Stories of `convscope explain` and `convscope audit`, on the real command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from convscope.cli.main import main


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "convscope", *arguments], capture_output=True, text=True, timeout=120, check=False
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
    assert "torch has" in said and "patch" in said and "note: the weights are random (seed 0)" in said
    assert "--layer act1 --channel 2 --at" in said
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
