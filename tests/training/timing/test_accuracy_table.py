"""The committed table of accuracies by epochs, and the crops that a part of it is measured on."""

from __future__ import annotations

import csv
from importlib import resources
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from convscope.nets import catalogue
from program_files import program

KEY = ("set", "images", "network", "image_size", "epochs", "seed")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    table = resources.files("convscope.training.timing") / "accuracy_by_epochs.csv"
    return list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))


def test_every_row_is_a_measured_training_of_a_network_there_is(rows: list[dict[str, str]]) -> None:
    assert len({tuple(row[name] for name in KEY) for row in rows}) == len(rows) > 0
    for row in rows:
        assert row["network"] in catalogue.names()
        assert all(int(row[name]) > 0 for name in ("images", "classes", "channels", "side", "epochs", "macs"))
        assert 0 < float(row["val_accuracy"]) <= 1 and 0 < float(row["accuracy"]) <= 1
        assert all(row[name] for name in ("machine", "torch", "date"))


def test_a_networks_cost_is_one_for_images_of_one_shape(rows: list[dict[str, str]]) -> None:
    costs: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        shape = tuple(row[name] for name in ("network", "image_size", "channels", "classes"))
        costs.setdefault(shape, set()).add(row["macs"])
    assert all(len(found) == 1 for found in costs.values())


@pytest.fixture(scope="module")
def grey_crops() -> ModuleType:
    return program("bench/grey_crops.py")


def test_crops_are_decided_by_their_seed_and_differ_between_the_splits(grey_crops: ModuleType) -> None:
    images, labels = grey_crops.crops(60, seed=3)
    again, labels_again = grey_crops.crops(60, seed=3)
    assert np.array_equal(images, again) and np.array_equal(labels, labels_again)
    assert images.shape == (60, 64, 64) and images.dtype == np.uint8
    shares = np.bincount(labels, minlength=7) / 60
    assert np.abs(shares - list(grey_crops.CLASSES.values())).max() < 1 / 60
    others = [grey_crops.crops(60, seed=4)[0], grey_crops.crops(60, split="test", seed=3)[0]]
    assert not any(np.array_equal(images, other) for other in others)
    assert len(np.unique(np.concatenate([images, *others]).reshape(180, -1), axis=0)) == 180
    assert grey_crops.crops(3, side=100)[0].shape == (3, 100, 100)


@pytest.mark.parametrize(("form", "ending"), [("png", ".png"), ("jpeg", ".jpg")])
def test_crops_are_written_by_class(tmp_path: Path, grey_crops: ModuleType, form: str, ending: str) -> None:
    images, labels = grey_crops.crops(20, side=16)
    grey_crops.write(tmp_path, images, labels, form=form)
    files = sorted(tmp_path.rglob("*.*"))
    assert len(files) == 20 and {file.suffix for file in files} == {ending}
    assert {folder.name for folder in tmp_path.iterdir()} == set(grey_crops.NAMES)
