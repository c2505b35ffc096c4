"""Classes and files may be called anything: no name steers the terminal, a log or a spreadsheet, and none is lost."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

import data_makers as made
from commands import run_command
from convscope.report.csv_table import read_csv

CLASSES = ("\x1b]0;owned\x07red\x1b[2J", "=cmd|'/C calc'!A0", "\u202egnp.exe\n\rtwo", "@sum <b>&", "-1")
FITTING = ("--model", "lenet5", "--image-size", "32", "--epochs", "1", "--device", "cpu")
# What a terminal acts on, and what changes the order of the text around it; a line break ends a line of ours.
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]")
FORMULA = ("=", "+", "@", "\t", "\r")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names") / os.fsdecode(b"photos\x1b[31m\xff")
    made.fill(folder, dict.fromkeys((name.replace("/", "\u2215") for name in CLASSES), 6))
    for number, below in enumerate(sorted(folder.iterdir())):
        (below / "000.png").rename(below / f"=x{number}\x1b[1m\n.png")
        (below / "torn\x9b2J.png").write_bytes(b"\x89PNG\r\n\x1a\n\x1b[2J")
    return folder


def plain(text: str) -> str:
    assert STEERING.search(text) is None, repr(STEERING.search(text))
    return text


def test_no_name_steers_what_shows_it(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVSCOPE_CACHE", str(tmp_path / "cache"))
    code, out, err = run_command(capsys, "train", photos, "--name", "run", *FITTING)
    assert code == 0 and r"torn\x9b2J.png" in plain(err)
    plain(out)
    run = tmp_path / "runs" / "run"
    for path in (run / "log.txt", run / "metrics.csv", run / "split.csv", run / "report.html"):
        plain(path.read_text(encoding="utf-8"))
    assert r"\x1b]0;owned\x07red" in (run / "report.html").read_text(encoding="utf-8")
    # Names are whole where a program reads them: in JSON, and in our own CSV read back.
    classes = {name.name for name in photos.iterdir()}
    assert set(json.loads((run / "model.json").read_text())["classes"]) == classes
    images = {str(path.relative_to(photos)) for path in photos.glob("*/*.png") if "torn" not in path.name}
    assert {row["image"] for row in read_csv((run / "split.csv").read_text(encoding="utf-8"))} == images

    for words in (("evaluate", run), ("evaluate", run, photos), ("predict", run, photos)):
        code, out, err = run_command(capsys, *words)
        assert code == (2 if words[0] == "predict" else 0), err
        plain(out), plain(err)
    _, out, _ = run_command(capsys, "predict", run, photos, "--csv")
    rows = read_csv(plain(out))
    assert {row["image"] for row in rows} == {str(photos / name) for name in images}
    assert {row["class"] for row in rows} <= classes and all(0 <= float(row["confidence"]) <= 1 for row in rows)
    assert not any(cell.strip('"').startswith(FORMULA) for line in out.splitlines() for cell in line.split(","))
    code, out, _ = run_command(capsys, "predict", run, photos, "--json")
    assert {item["image"] for item in json.loads(plain(out))["predictions"]} == {str(photos / name) for name in images}


def test_no_name_in_shards_or_a_table_steers_what_shows_it(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVSCOPE_CACHE", str(tmp_path / "cache"))
    table = tmp_path / "labels\x1b[2J.csv"
    (tmp_path / "linked").symlink_to(photos)  # a table is UTF-8, and the folder's own name is not
    paths = sorted((tmp_path / "linked").glob("*/*.png"))
    rows = [f'"{path}","{path.parent.name}"' for path in paths if "\n" not in str(path)]
    table.write_text("\n".join(["image,label", *rows]))
    for words in (("shard", photos, "shards"), ("train", "shards", *FITTING), ("train", table, *FITTING)):
        code, out, err = run_command(capsys, *words)
        assert code == 0, err
        plain(out), plain(err)


@pytest.mark.parametrize(
    "words",
    [
        ("train", "no\x1b[2Jsuch\n"),
        ("train", "digits", "--recipe", "\x1b[2J.toml"),
        ("train", "digits", "--model", "\x1b[2J"),
        ("train", "digits", "--\x1b[2J"),
        ("evaluate", "\x1b[2J\x07"),
        ("inspect", "\x1b[2J.py:make"),
        ("size", "\x1b[2J"),
        ("\x1b[2J",),
        ("predict", "runs", "\x9b2J\u202e.jpg"),
    ],
)
def test_what_was_typed_is_shown_escaped(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_command(capsys, *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    plain(err)
