"""Stories of folders as they are unpacked, with junk between, through the command line."""

from __future__ import annotations

import csv
import json
import re
import shlex
import tomllib
import zipfile
from pathlib import Path

import pytest

import data_makers as made
from commands import run_command
from convscope.data.sources import folder as folder_source

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
QUICK = "--model lenet5 --epochs 1 --batch-size 8 --threads 1"


def train(capsys: pytest.CaptureFixture[str], data: Path, *more: str) -> tuple[int, str]:
    """Train for an epoch in the folder above the data; returns the exit code and all that was printed."""
    code, out, err = run_command(
        capsys, "train", data, *QUICK.split(), "--runs", data.parent, "--cache", data.parent / "c", *more
    )
    return code, out + err


def test_the_first_commands_of_the_readme_read_a_folder_with_junk_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = made.folders(
        tmp_path / "photos",
        "daisy",
        "rose/garden",
        "rose/.ipynb_checkpoints",
        "__MACOSX/daisy",
        "empty/",
        "papers/",
        size=30,
    )
    for place in (photos, photos / "daisy", photos / "empty"):
        for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "notes.txt", "README", "._0.jpg", "Icon\r"):
            (place / name).write_bytes(b"\x00\x05\x16\x07")
    with zipfile.ZipFile(photos / "all.zip", "w") as archive:
        archive.write(photos / "daisy" / "0.png")
    (photos / "papers" / "list.csv").write_text("x")
    monkeypatch.chdir(tmp_path)
    look, command, *_ = map(shlex.split, re.findall(r"^\$ convscope (.+)$", README, re.MULTILINE))
    assert (look, command) == (["check", "photos"], ["train", "photos", "--name", "flowers"])
    code, out, _ = run_command(capsys, *look)
    assert code == 0 and "not readable          0" in out
    code, _, err = run_command(capsys, *command, *QUICK.split())
    assert code == 0, err
    assert "classes: daisy, rose\n" in err
    assert "not read, for they hold no images: empty/, papers/" in err and "skipped" not in err
    with next((tmp_path / "runs").glob("*/split.csv")).open() as file:
        assert len(list(csv.DictReader(file))) == 6
    # Trained again where the runs lie among the classes.
    monkeypatch.chdir(photos)
    assert run_command(capsys, "train", ".", *QUICK.split())[0] == 0
    code, _, err = run_command(capsys, "train", ".", *QUICK.split())
    assert code == 0 and "classes: daisy, rose\n" in err


@pytest.mark.parametrize(
    ("paths", "layout", "held"),
    [
        (made.each("training_set/training_set test_set/test_set", "cat dog"), "splits", "test: 6 images"),
        (made.each("cat dog", "train val test"), "class-first", "test: 6 images"),
        (["train", "plane"], "classes", "test: 2 images"),
    ],
    ids=["sets", "class-first", "trains"],
)
def test_a_run_keeps_its_layout(
    paths: list[str], layout: str, held: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = made.folders(tmp_path / "data", *paths)
    code, said = train(capsys, data, "--name", "run")
    assert (
        code == 0
        and "layout: " in said
        and f"classes: {', '.join(('cat', 'dog') if held[6] == '6' else ('plane', 'train'))}\n" in said
    )
    recipe = tomllib.loads((tmp_path / "run" / "recipe.toml").read_text())
    assert recipe["layout"] == layout
    code, out, _ = run_command(capsys, "evaluate", tmp_path / "run", "--cache", tmp_path / "c")
    assert code == 0 and held in out and "trained on" not in out
    code, _, err = run_command(
        capsys, "train", "--resume", tmp_path / "run", "--epochs", "2", "--cache", tmp_path / "c"
    )
    assert code == 0, err


def test_two_readings_are_told_with_the_setting_for_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = made.folders(tmp_path / "data", *made.each("fold1 fold2 fold3", "cat dog"))
    code, said = train(capsys, data)
    assert code == 2 and said.count("\n") == 1
    options = re.findall(r"--layout [^ )]+", said)
    assert options == ["--layout groups", "--layout train=fold1,train=fold2,test=fold3", "--layout classes"]
    reached = {}
    for number, option in enumerate(options):
        code, said = train(capsys, data, *option.split(), "--name", f"run{number}")
        assert code == 0, said
        reached[option] = re.findall(r"^(?:data: .*classes, images|classes): (.*)$", said, re.MULTILINE)
    assert reached[options[0]] == ["14 train, 2 val, 2 test", "cat, dog"]
    assert reached[options[1]] == ["10 train, 2 val, 6 test", "cat, dog"]
    assert reached[options[2]] == ["12 train, 3 val, 3 test", "fold1, fold2, fold3"]
    # A recipe's layout is for its own data: other data are looked at anew.
    other = made.folders(tmp_path / "other", "cat", "dog")
    code, said = train(capsys, other, "--recipe", str(tmp_path / "run1" / "recipe.toml"), "--name", "again")
    assert code == 0 and "classes: cat, dog\n" in said
    # Images to measure may be laid out in another way, which can be said.
    evaluated = ("evaluate", tmp_path / "run1", data, "--cache", tmp_path / "c")
    assert run_command(capsys, *evaluated)[0] == 2
    code, out, _ = run_command(capsys, *evaluated, "--layout", "groups", "--json")
    assert code == 0 and json.loads(out)["images"] == 18


def test_a_run_made_when_numbers_were_ordered_as_text_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = made.folders(tmp_path / "data", *map(str, range(1, 15)), images=3)
    with monkeypatch.context() as before:
        before.setattr(folder_source, "class_order", lambda names, earlier: tuple(sorted(names)))
        code, said = train(capsys, data, "--name", "run")
    assert code == 0 and "classes: 1, 10, 11, 12, 13, 14, 2, 3, 4, 5, ..., 7, 8, 9\n" in said
    accuracy = re.search(r"test accuracy (\S+ %)", said)
    code, out, _ = run_command(capsys, "evaluate", tmp_path / "run", "--cache", tmp_path / "c")
    assert code == 0 and accuracy and accuracy[1] in out and "trained on" not in out
    code, _, err = run_command(
        capsys, "train", "--resume", tmp_path / "run", "--epochs", "2", "--cache", tmp_path / "c"
    )
    assert code == 0 and "resuming" in err, err
    spec = json.loads((tmp_path / "run" / "model.json").read_text())
    assert spec["classes"][:3] == ["1", "10", "11"]
    # A new one is ordered as numbers, and measures the same images by name.
    assert train(capsys, data, "--name", "new")[0] == 0
    code, out, _ = run_command(capsys, "evaluate", tmp_path / "run", data, "--cache", tmp_path / "c", "--json")
    assert code == 0 and [row["name"] for row in json.loads(out)["per_class"]] == sorted(map(str, range(1, 15)))


def test_shards_can_not_be_smaller_than_an_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = made.folders(tmp_path / "data", *made.each("cat dog", "train test"))
    for size, said in (("0", "is not a size in bytes"), ("0B", "shards of 0 B: no archive is smaller than 10.24 kB")):
        code, out, err = run_command(capsys, "shard", data, tmp_path / "shards", "--shard-size", size)
        assert (code, out, err.count("\n")) == (2, "", 1 if size == "0" else err.count("\n")) and said in err
        assert not (tmp_path / "shards").exists()
    code, out, err = run_command(capsys, "shard", data, tmp_path / "shards")
    assert code == 0 and re.search(r"^train +1 +6", out, re.MULTILINE) and "layout: class-first" in out
