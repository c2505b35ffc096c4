"""A user's mistake is one line that names the thing and says what to do."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

import data_makers as made
from convscope.data.open import open_dataset, probe
from convscope.data.records import Decoding
from convscope.errors import DataError


def refused(source: Path | str, pattern: str) -> None:
    """Opening raises a DataError of one line that matches."""
    with pytest.raises(DataError, match=pattern) as caught:
        probe(str(source))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "CIFAR-10", "cifar100"])
def test_data_that_would_have_to_be_fetched(name: str) -> None:
    refused(name, f"no folder {name} here, and nothing is downloaded: give the folder that holds")


def test_a_missing_folder_and_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "flowers").mkdir()
    refused(tmp_path / "flower", "there is no folder .*flower: .* Did you mean flowers?")
    refused("digit", "Did you mean digits?")


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "data.zip").write_bytes(b"PK\x03\x04")
    refused(tmp_path / "data.zip", "is a file; what is needed is a folder")


def test_an_empty_folder(tmp_path: Path) -> None:
    refused(tmp_path, "is empty: what is needed is a folder for each class")


def test_images_without_class_folders(tmp_path: Path) -> None:
    made.image(0).save(tmp_path / "a.png")
    refused(tmp_path, "holds 1 image but no class folders: put them into a folder for each class")


def test_one_class(tmp_path: Path) -> None:
    made.fill(tmp_path, {"cats": 3})
    refused(tmp_path, "one class only, 'cats'")


def test_a_class_without_images(tmp_path: Path) -> None:
    made.fill(tmp_path, {"a": 3, "b": 0})
    refused(tmp_path, r"has one class only, 'a' \(no images in b/\)")
    made.fill(tmp_path, {"c": 3}, first_seed=9)
    (tmp_path / "b" / "volume.npy").write_bytes(b"x")
    refused(tmp_path, r"class folder .*/b has no images \(it holds 1 file \(.npy\)\): add some or remove the folder")


def test_no_training_split(tmp_path: Path) -> None:
    made.fill(tmp_path / "val", {"a": 1, "b": 1})
    made.fill(tmp_path / "test", {"a": 1, "b": 1})
    refused(tmp_path, "has val/ and test/ but no train/")


def test_two_folders_for_one_split(tmp_path: Path) -> None:
    for name in ("train", "val", "validation"):
        made.fill(tmp_path / name, {"a": 1, "b": 1})
    refused(tmp_path, "both val/ and validation/ for one split")


def test_classes_that_training_never_saw(tmp_path: Path) -> None:
    made.fill(tmp_path / "train", {"cat": 1, "dog": 1})
    made.fill(tmp_path / "test", {"cats": 1, "dog": 1})
    refused(tmp_path, "test holds classes that train does not: cats. Did you mean cat?")


def test_class_names_that_differ_in_case_or_composition(tmp_path: Path) -> None:
    made.fill(tmp_path / "one", {"Cat": 1, "cat": 1})
    refused(tmp_path / "one", "'Cat' and 'cat'")
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    made.fill(tmp_path / "two", {composed: 1, apart: 1})
    refused(tmp_path / "two", "differ in case or accents only")


def test_a_class_is_the_same_however_its_accents_are_written(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    made.fill(tmp_path / "train", {composed: 3, "tea": 3})
    made.fill(tmp_path / "test", {apart: 3, "tea": 3}, first_seed=50)
    assert probe(str(tmp_path)).classes == (composed, "tea")


def test_a_class_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    made.fill(tmp_path / "data", {"a": 3, "b": 0})
    (tmp_path / "data" / "b" / "x.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the images of class 'b' .*x.jpg: empty file"):
        open_dataset(str(tmp_path / "data"), cache_directory=tmp_path / "cache")


def test_fractions_that_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"0.6 \+ 0.5 must"):
        open_dataset("digits", validation_fraction=0.6, test_fraction=0.5)


def test_idx_files_that_do_not_fit_together(tmp_path: Path) -> None:
    made.mnist_folder(tmp_path, zipped=False)
    (tmp_path / "t10k-labels-idx1-ubyte").rename(tmp_path / "aside")
    refused(tmp_path, "t10k-labels-idx1-ubyte is missing")
    (tmp_path / "aside").rename(tmp_path / "t10k-labels-idx1-ubyte")
    made.write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(59))
    refused(tmp_path, "holds 60 images, but train-labels-idx1-ubyte 59 labels")
    whole = (tmp_path / "train-images-idx3-ubyte").read_bytes()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(whole[:1000])
    refused(tmp_path, "train-images-idx3-ubyte is cut short")
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"hello")
    refused(tmp_path, "not an IDX file")


def test_idx_cut_short_inside_its_gzip(tmp_path: Path) -> None:
    made.mnist_folder(tmp_path / "data", zipped=True)
    path = tmp_path / "data" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz"):
        open_dataset(str(tmp_path / "data"), cache_directory=tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_cifar_cut_short_and_pickled(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1.bin").write_bytes(bytes(3073 * 4 + 1))
    refused(tmp_path, "cut short or not of cifar10")
    pickled = tmp_path / "python"
    pickled.mkdir()
    (pickled / "data_batch_1").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    refused(pickled, "pickle files could run any code: give the binary version")


@pytest.mark.parametrize(
    ("settings", "pattern"),
    [
        ({"size": (0, 32)}, "image size"),
        ({"size": (32, 32), "channels": 4}, "4 channels"),
        ({"size": (32, 32), "resize_mode": "crops"}, "Did you mean crop?"),
        ({"size": (32, 32), "background": (0, 0, 300)}, "background"),
    ],
)
def test_decoding_settings(settings: dict[str, object], pattern: str) -> None:
    with pytest.raises(DataError, match=pattern):
        Decoding(**settings)
