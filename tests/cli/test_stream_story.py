"""A story of images that do not fit the cache: made into shards, and trained on all the same."""

from __future__ import annotations

import csv
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import data_makers as made
from commands import run_command
from convscope.cli.main import main

COLOURS = {"blue": (30, 40, 200), "green": (20, 180, 40), "red": (210, 30, 30)}
IMAGES = 110  # of each


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """330 JPEGs of plain colours, some 30 in each archive."""
    folder = tmp_path_factory.mktemp("streams")
    draw = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(IMAGES):
            pixels = np.clip(draw.normal(colour, 25, (20, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{number}.jpg")
    with pytest.raises(SystemExit) as ended:
        main(["shard", str(folder / "photos"), str(folder / "shards"), "--shard-size", "100KB"])
    assert ended.value.code == 0
    assert len(list((folder / "shards").glob("all-*.tar"))) > 5
    return folder / "shards"


HOW = ("--model=alexnet-mini", "--image-size=16", "--batch-size=16", "--threads=1", "--test-fraction=0.2")


def test_what_does_not_fit_the_cache_is_streamed(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # 330 images of 768 bytes are 0.24 MiB; what is held back is not half of 0.12.
    monkeypatch.setenv("CONVSCOPE_CACHE_GIB", str(0.12 / 1024))
    cache, run = tmp_path / "cache", tmp_path / "runs" / "one"
    place = ("--runs", tmp_path / "runs", "--cache", cache, "--name", "one")
    code, out, err = run_command(capsys, "train", shards, *HOW, "--learning-rate", 0.01, "--epochs", 2, *place)
    assert code == 0, err
    said = " ".join((run / "log.txt").read_text().split())
    assert "training images are streamed" in said and "253.4 kB decoded, more than the 125.8 kB" in said
    assert tomllib.loads((run / "recipe.toml").read_text())["stream"] == "yes"
    with (run / "split.csv").open() as file:
        splits = [row["split"] for row in csv.DictReader(file)]
    kept = sum(path.stat().st_size for path in cache.glob("*/pixels.bin"))
    assert len(splits) == 330 and kept == 16 * 16 * 3 * sum(split != "train" for split in splits)

    # A run that began as a stream stays one, also where there is room.
    monkeypatch.delenv("CONVSCOPE_CACHE_GIB")
    code, out, err = run_command(capsys, "train", "--resume", run, "--epochs", 4, "--cache", cache)
    assert code == 0, err
    assert sum(path.stat().st_size for path in cache.glob("*/pixels.bin")) == kept
    with (run / "metrics.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]

    code, out, err = run_command(capsys, "evaluate", run, "--cache", cache, "--json")
    found = json.loads(out)
    assert not any("streamed" in note for note in found["notes"])
    assert code == 0 and found["images"] == splits.count("test") and found["accuracy_top1"] > 0.9
    code, _, err = run_command(capsys, "evaluate", run, "--cache", cache, "--split", "train")
    assert code == 2 and "the train images of" in err and "are streamed, and not measured" in err
    code, out, err = run_command(capsys, "predict", run, shards.parent / "photos" / "red" / "3.jpg", "--json")
    assert code == 0 and json.loads(out)["predictions"][0]["top"][0]["class"] == "red", out


def test_without_a_stream_too_little_room_is_an_error(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, runs = tmp_path / "cache", tmp_path / "runs"
    place = ("--runs", runs, "--cache", cache, "--epochs", 1)
    monkeypatch.setenv("CONVSCOPE_CACHE_GIB", "0.00012")
    code, _, err = run_command(capsys, "train", shards, *HOW, *place, "--stream", "no")
    assert code == 2 and "330 images would be 253.4 kB decoded, more than the 128.8 kB" in err, err
    assert "(CONVSCOPE_CACHE_GIB=0.00012)" in err and "--stream yes" in err
    # What is held out of a stream is decoded into the cache as well.
    monkeypatch.setenv("CONVSCOPE_CACHE_GIB", "0.00001")
    code, _, err = run_command(capsys, "train", shards, *HOW, *place)
    assert code == 2 and "more than the 10.74 kB" in err and "or hold back fewer" in err, err
    assert not cache.exists() and not runs.exists()

    monkeypatch.delenv("CONVSCOPE_CACHE_GIB")
    code, _, err = run_command(
        capsys, "train", "digits", "--model", "lenet5", "--threads", 1, *place, "--name", "other"
    )
    assert code == 0, err
    made.fill(tmp_path / "others", {"1": 3, "2": 3})
    monkeypatch.setenv("CONVSCOPE_CACHE_GIB", "0.000001")
    code, _, err = run_command(capsys, "evaluate", runs / "other", tmp_path / "others", "--cache", cache)
    assert code == 2 and "6 images would be 6.144 kB decoded, more than the 1.073 kB" in err and "--stream" not in err
    assert not cache.exists()


def test_streams_that_can_not_be_are_refused(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run_command(capsys, "train", "digits", "--stream", "yes", "--runs", tmp_path)
    assert code == 2 and "the images of digits are in memory as they are" in err
    code, _, err = run_command(capsys, "ablate", shards, "--stream", "yes", "--runs", tmp_path)
    assert code == 2 and "stream: an ablation reads its images again and again" in err
    code, _, err = run_command(capsys, "train", shards, "--stream", "perhaps", "--runs", tmp_path)
    assert code == 2 and "perhaps" in err
    assert not any(tmp_path.iterdir())


def test_rates_are_tried_on_a_stream(shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tmp_path / "cache"
    code, _, err = run_command(capsys, "lr-find", shards, *HOW, "--stream", "yes", "--steps", 20, "--cache", cache)
    assert code == 0, err
    held = sum(path.stat().st_size for path in cache.glob("*/pixels.bin"))
    assert 0 < held < 330 * 768 / 2
