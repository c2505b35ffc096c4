"""Names of images in a run: the same however their source is named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from convscope.runs.run_names import short_name


@pytest.mark.parametrize("name", ["a.png", "a/1.png", "../images/1.png", ".hidden/1.png"])
def test_a_tables_images_have_one_name_from_any_folder(name: str) -> None:
    here: Any = SimpleNamespace(source="labels.csv", kind="table")
    elsewhere: Any = SimpleNamespace(source="/data/labels.csv", kind="table")
    assert short_name(name, here) == short_name(f"/data/{name}", elsewhere) == name


@pytest.mark.parametrize(("source", "before"), [(".", "./"), ("photos", "photos/"), ("/data/photos", "/data/photos/")])
def test_a_folders_images_have_one_name_from_any_folder(source: str, before: str) -> None:
    dataset: Any = SimpleNamespace(source=source, kind="folder")
    assert short_name(f"{before}cat/1.png", dataset) == "cat/1.png"


@pytest.mark.parametrize("pattern", ["train-{0..3}.tar", "*.tar", "{a,b}/train-0.tar", "one/../[ab]/*.tar"])
@pytest.mark.parametrize("folder", ["", "./", "./shards/", "shards/", "/data/shards/"])
def test_archives_have_one_name_however_their_pattern_begins(folder: str, pattern: str) -> None:
    dataset: Any = SimpleNamespace(source=folder + pattern, kind="shards")
    name = ("one/../a/" if "one" in pattern else "a/" if "/" in pattern else "") + "train-0.tar:0001.png"
    assert short_name(folder + name, dataset) == name.removeprefix("one/../")


def test_the_images_of_one_archive_have_one_name() -> None:
    for folder in ("", "shards/", "/data/"):
        dataset: Any = SimpleNamespace(source=f"{folder}a.tar", kind="shards")
        assert short_name(f"{folder}a.tar:0001.png", dataset) == ":0001.png"
