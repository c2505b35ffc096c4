"""Every layout opens as the same records, with labels by class name."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import data_makers as made
from convscope.data.listing import ListedFile
from convscope.data.open import open_dataset, probe
from convscope.data.records import Dataset, Decoding
from convscope.data.sources.unlabelled import list_unlabelled
from convscope.data.sources.walk import Walk
from convscope.errors import DataError

SMALL = Decoding(size=(16, 16))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CONVSCOPE_CACHE", str(folder))
    return folder


def everything(dataset: Dataset) -> dict[str, tuple[str, bytes]]:
    """name -> (class, pixels), over all splits: each image exactly once."""
    found: dict[str, tuple[str, bytes]] = {}
    for images in dataset.splits.values():
        for row, name in enumerate(images.names):
            assert name not in found
            found[name] = (dataset.classes[images.labels[row]], images.images[row].tobytes())
    return found


def test_three_splits_on_the_disk(tmp_path: Path) -> None:
    seed = made.fill(tmp_path / "train", {"cat": 5, "dog": 4})
    seed = made.fill(tmp_path / "valid", {"dog": 2}, first_seed=seed)
    made.fill(tmp_path / "test", {"cat": 1, "dog": 2}, first_seed=seed)
    dataset = open_dataset(str(tmp_path), decoding=SMALL)
    assert dataset.counts == {"train": 9, "val": 2, "test": 3} and dataset.made_splits == ()
    assert dataset.classes == ("cat", "dog")
    # A validation split without cats: its dogs are dogs still.
    assert dataset.splits["val"].labels.tolist() == [1, 1]
    assert any("val has no images of cat" in note for note in dataset.notes)
    for name, (label, pixels) in everything(dataset).items():
        assert label == Path(name).parent.name
        assert pixels == np.asarray(Image.open(name)).tobytes()


def test_one_folder_is_split_in_memory_and_left_alone(tmp_path: Path) -> None:
    made.fill(tmp_path / "data", {"a": 20, "b": 10, "c": 3})
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    first, again, other = (open_dataset(str(tmp_path / "data"), decoding=SMALL, seed=seed) for seed in (0, 0, 1))
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before
    assert first.counts == {"train": 25, "val": 4, "test": 4}
    assert everything(first) == everything(again) == everything(other)
    assert list(first.splits["test"].names) == list(again.splits["test"].names)
    assert list(first.splits["test"].names) != list(other.splits["test"].names)
    for split in ("train", "val", "test"):
        assert all(first.class_counts(split).values())
    # The pixels don't depend on the split: another seed decodes nothing.
    assert (first.cache_hit, again.cache_hit, other.cache_hit) == (False, True, True)


def test_validation_comes_from_train_and_never_from_test(tmp_path: Path) -> None:
    seed = made.fill(tmp_path / "train", {"a": 20, "b": 20})
    made.fill(tmp_path / "test", {"a": 5, "b": 5}, first_seed=seed)
    dataset = open_dataset(str(tmp_path), decoding=SMALL, validation_fraction=0.2)
    assert dataset.counts == {"train": 32, "val": 8, "test": 10} and dataset.made_splits == ("val",)
    assert all("/train/" in name for name in dataset.splits["val"].names)


def test_hidden_files_are_skipped_and_others_are_said(tmp_path: Path) -> None:
    made.fill(tmp_path, {"a": 3, "b": 3, ".ipynb_checkpoints": 2, "__MACOSX": 2})
    (tmp_path / "a" / "._000.png").write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / "a" / "notes.txt").write_text("hello")
    (tmp_path / "b" / "deeper").mkdir()
    made.image(99).save(tmp_path / "b" / "deeper" / "more.png")
    made.image(98).save(tmp_path / "loose.png")
    dataset = open_dataset(str(tmp_path), decoding=SMALL)
    assert dataset.classes == ("a", "b") and sum(dataset.counts.values()) == 7 and not dataset.problems
    assert any("1 file (.txt)" in note for note in dataset.notes)
    assert any("outside any class folder" in note for note in dataset.notes)


def test_bad_images_are_listed_and_kept_out(tmp_path: Path) -> None:
    made.fill(tmp_path, {"a": 4, "b": 4})
    (tmp_path / "a" / "empty.jpg").write_bytes(b"")
    (tmp_path / "b" / "text.jpg").write_text("no image " * 20)
    os.mkfifo(tmp_path / "b" / "pipe.jpg")
    (tmp_path / "b" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    dataset = open_dataset(str(tmp_path), decoding=SMALL)
    assert sum(dataset.counts.values()) == 8
    reasons = {Path(problem.path).name: problem.reason for problem in dataset.problems}
    assert set(reasons) == {"empty.jpg", "text.jpg", "pipe.jpg", "gone.jpg"}
    assert reasons["empty.jpg"] == "empty file (0 bytes)" and reasons["gone.jpg"] == "a link to nothing"
    assert not any("text.jpg" in name or "empty.jpg" in name for name in everything(dataset))
    # The same from the cache; and one is one too many where that is asked for.
    assert open_dataset(str(tmp_path), decoding=SMALL).problems == dataset.problems
    with pytest.raises(DataError, match=r"4 images can't be read \(strict\); the first is .*: "):
        open_dataset(str(tmp_path), decoding=SMALL, strict=True)


def test_names_that_are_no_text_stay_what_they_are(tmp_path: Path) -> None:
    made.fill(tmp_path, {"a": 3, "b": 3})
    for name in ("🐈.png", "new\nline.png", os.fsdecode(b"\xff\xfe.png")):
        try:
            made.image(len(name)).save(tmp_path / "a" / "x.png")
            (tmp_path / "a" / "x.png").rename(tmp_path / "a" / name)
        except OSError:  # a file system that takes UTF-8 only
            (tmp_path / "a" / "x.png").unlink()
    names = {Path(name).name for name in everything(open_dataset(str(tmp_path), decoding=SMALL))}
    assert {"🐈.png", "new\nline.png"} <= names


def test_links_are_followed_once_and_never_in_circles(tmp_path: Path) -> None:
    store = tmp_path / "store"
    made.fill(store, {"x": 3})
    data = tmp_path / "data"
    made.fill(data, {"a": 3, "b": 2}, first_seed=50)
    (data / "a" / "loop").symlink_to(data)
    (data / "a" / "again.png").symlink_to(data / "a" / "000.png")
    (data / "b" / "stored").symlink_to(store / "x")
    (data / "b" / "self").symlink_to(data / "b" / "self")
    dataset = open_dataset(str(data), decoding=SMALL)
    assert sum(dataset.counts.values()) == 3 + 2 + 3
    assert sorted(label for label, _ in everything(dataset).values()) == list("aaabbbbb")
    assert any("counted already" in note for note in dataset.notes)


def test_a_class_of_links_alone(tmp_path: Path) -> None:
    made.fill(tmp_path / "store", {"x": 3, "y": 3})
    for name in ("x", "y"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for path in (tmp_path / "store" / name).iterdir():
            (tmp_path / "data" / name / path.name).symlink_to(path)
    assert sum(open_dataset(str(tmp_path / "data"), decoding=SMALL).counts.values()) == 6


def test_links_of_two_classes_to_one_image_are_said(tmp_path: Path) -> None:
    made.fill(tmp_path / "store", {"x": 6})
    for number, names in enumerate(("a", "b", "a", "ba", "b", "a")):
        for name in names:
            (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / name / f"{number}.png").symlink_to(tmp_path / "store" / "x" / f"{number:03d}.png")
    dataset = open_dataset(str(tmp_path / "data"), decoding=SMALL)
    assert sum(dataset.counts.values()) == 6
    assert {label for name, (label, _) in everything(dataset).items() if name.endswith("3.png")} == {"a"}
    said = f"not counted: 1 link to images that are counted in another class: {tmp_path}/data/b/3.png"
    assert said in dataset.notes


def test_links_to_a_folder_of_another_class_are_said(tmp_path: Path) -> None:
    made.fill(tmp_path, {"a": 2, "b": 2})
    made.fill(tmp_path / "a", {"more": 3}, first_seed=9)
    for link in ("a/same", "b/other"):
        (tmp_path / link).symlink_to(tmp_path / "a" / "more")
    found = probe(str(tmp_path))
    assert found.counts == {"all": 7} and found.listing.class_counts(np.arange(7)).tolist() == [5, 2]
    assert found.listing.notes == (
        "not counted again: 1 link to images that were counted already",
        f"not counted: 1 link to images that are counted in another class: {tmp_path}/b/other",
    )


def test_an_image_that_two_classes_reach_by_links_is_counted_in_one(tmp_path: Path) -> None:
    seed = made.fill(tmp_path / "data", {"a": 2, "b": 2})
    made.fill(tmp_path, {"store": 3, "store/more": 2}, first_seed=seed)
    data, store = tmp_path / "data", tmp_path / "store"
    (data / "a" / "image.png").symlink_to(store / "000.png")
    (data / "a" / "more").symlink_to(store / "more")
    (data / "b" / "all").symlink_to(store)
    found = probe(str(data)).listing
    files = {(Path(name).stat().st_dev, Path(name).stat().st_ino) for name in found.names}
    assert len(files) == len(found.names) == 9 and found.class_counts(np.arange(9)).tolist() == [5, 4]
    twice = f"{data}/b/all/000.png, {data}/b/all/more"
    assert found.notes == (f"not counted: 2 links to images that are counted in another class: {twice}",)


def test_a_link_out_of_a_folder_without_classes_reads_nothing_beside_it(tmp_path: Path) -> None:
    for place in ("photos", "photos/more", "private"):
        (tmp_path / place).mkdir()
        made.image(len(place)).save(tmp_path / place / "image.png")
    (tmp_path / "photos" / "up").symlink_to(tmp_path)
    found = list_unlabelled(str(tmp_path / "photos"))
    assert found is not None and [str(Path(name).relative_to(tmp_path)) for name in found.names] == [
        "photos/image.png",
        "photos/more/image.png",
    ]


def test_a_file_that_is_removed_while_its_folder_is_listed_is_the_only_one_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.fill(tmp_path, {"a": 3, "b": 2})
    gone = tmp_path / "a" / "000.png"

    def listed(folder: str) -> contextlib.nullcontext[list[os.DirEntry[str]]]:
        with real(folder) as entries:
            there = sorted(entries, key=lambda entry: entry.name)
        if Path(folder) == gone.parent and walking:
            gone.unlink()
        return contextlib.nullcontext(there)

    def collect(walk: Walk, *folders: str) -> list[ListedFile]:
        walking.append(walk)  # the layout was recognized before
        return real_collect(walk, *folders)

    real, real_collect, walking = os.scandir, Walk.collect, list[Walk]()
    monkeypatch.setattr(os, "scandir", listed)
    monkeypatch.setattr(Walk, "collect", collect)
    found = probe(str(tmp_path)).listing
    assert found.parts == {"all": 4}
    assert [(problem.path, problem.reason) for problem in found.problems] == [(str(gone), "no such file")]


def test_a_train_folder_without_an_image_to_spare_is_said(tmp_path: Path) -> None:
    made.fill(tmp_path / "train", {"a": 1, "b": 1})
    made.fill(tmp_path / "test", {"a": 2, "b": 2}, first_seed=9)
    dataset = open_dataset(str(tmp_path), decoding=SMALL)
    assert dataset.counts == {"train": 2, "test": 4}
    assert "val: no image of train can be spared, so none is held back to validate" in dataset.notes


@pytest.mark.parametrize("as_in_3_14", [False, True])
@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".csv", "x" * 300 + ".tar", "{0..1}" + "x" * 300 + ".tar"])
def test_a_name_that_is_too_long_is_refused_in_a_line(
    name: str, as_in_3_14: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if as_in_3_14:  # pathlib raises no more
        monkeypatch.setattr(Path, "is_dir", lambda path, **_: os.path.isdir(path))  # noqa: PTH112
        monkeypatch.setattr(Path, "exists", lambda path, **_: os.path.exists(path))  # noqa: PTH110
    with pytest.raises(DataError, match="can't be read: file name too long"):
        probe(name)


def test_no_name_is_not_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.fill(tmp_path, {"a": 1, "b": 1})
    monkeypatch.chdir(tmp_path)
    assert probe(".").classes == ("a", "b")
    with pytest.raises(DataError, match="the name of the data is empty: give a folder of images"):
        probe("")


def test_the_same_picture_in_two_splits_is_a_leak(tmp_path: Path) -> None:
    seed = made.fill(tmp_path / "train", {"a": 4, "b": 4})
    seed = made.fill(tmp_path / "val", {"a": 2, "b": 2}, first_seed=seed)
    made.fill(tmp_path / "test", {"a": 2, "b": 2}, first_seed=seed)
    # Saved again in another format, under another name.
    Image.open(tmp_path / "train" / "a" / "001.png").save(tmp_path / "test" / "a" / "copy.bmp")
    dataset = open_dataset(str(tmp_path), decoding=SMALL)
    (leak,) = dataset.leaks
    assert (Path(leak.first).name, leak.first_split) == ("001.png", "train")
    assert (Path(leak.second).name, leak.second_split) == ("copy.bmp", "test")
    assert any("in another split" in note for note in dataset.notes)


def test_equal_pictures_are_said_with_what_they_show(tmp_path: Path) -> None:
    seed = made.fill(tmp_path / "train", {"cat": 4, "dog": 4})
    made.fill(tmp_path / "test", {"cat": 1, "dog": 1}, first_seed=seed)
    white = Image.new("L", (16, 16), 255)
    for name in ("train/cat/w1.png", "train/cat/w2.png", "train/dog/w3.png", "test/dog/w4.png"):
        white.save(tmp_path / name)
    Image.open(tmp_path / "train/dog/001.png").save(tmp_path / "test/cat/copy.bmp")
    notes = open_dataset(str(tmp_path), decoding=SMALL, validation_fraction=0).notes
    (blank,) = (note for note in notes if "all white" in note)
    assert blank.startswith("4 images are all white, for example ") and blank.endswith("w1.png")
    (across,) = (note for note in notes if "another split" in note)
    # Of the two, the one that is a picture is named.
    assert across.startswith("2 images (1 of them blank) have the same pixels") and "copy.bmp" in across
    (classes,) = (note for note in notes if "another class" in note)
    assert classes.startswith("3 images (2 of them blank) have the same pixels") and "copy.bmp" in classes


def test_copies_stay_together_where_the_split_is_made_here(tmp_path: Path) -> None:
    made.fill(tmp_path, {"a": 30, "b": 30})
    for number in range(30):
        Image.open(tmp_path / "a" / f"{number:03d}.png").save(tmp_path / "a" / f"copy{number}.png")
    dataset = open_dataset(str(tmp_path), decoding=SMALL, validation_fraction=0.2, test_fraction=0.2)
    assert not dataset.leaks and sum(dataset.counts.values()) == 90


def test_one_picture_in_two_classes_is_said(tmp_path: Path) -> None:
    made.fill(tmp_path, {"a": 4, "b": 4})
    Image.open(tmp_path / "a" / "001.png").save(tmp_path / "b" / "also.png")
    assert any("another class" in note for note in open_dataset(str(tmp_path), decoding=SMALL).notes)


@pytest.mark.parametrize("zipped", [False, True])
def test_mnists_files(zipped: bool, tmp_path: Path) -> None:
    images, labels = made.mnist_folder(tmp_path, zipped=zipped)
    found = probe(str(tmp_path))
    assert (found.kind, found.image_size, found.channels) == ("idx", (28, 28), 1)
    assert found.counts == {"train": 60, "test": 20} and found.classes == tuple("0123456789")
    dataset = open_dataset(found, validation_fraction=0.5)
    assert dataset.counts == {"train": 30, "val": 30, "test": 20}
    for split in ("train", "val"):
        for row, name in enumerate(dataset.splits[split].names):
            number = int(name.rpartition("#")[2])
            assert np.array_equal(dataset.splits[split].images[row][:, :, 0], images[number])
            assert dataset.splits[split].labels[row] == labels[number]


def test_emnists_files_are_said_to_be_transposed(tmp_path: Path) -> None:
    made.mnist_folder(tmp_path, zipped=False)
    assert not probe(str(tmp_path)).listing.notes
    for path in tmp_path.iterdir():
        path.rename(tmp_path / f"emnist-digits-{path.name}")
    found = probe(str(tmp_path))
    assert found.counts == {"train": 60, "test": 20} and "hold each image transposed" in found.listing.notes[0]


def test_mnist_scaled_for_a_net_of_32_pixels_in_colour(tmp_path: Path) -> None:
    images, _ = made.mnist_folder(tmp_path, zipped=False)
    test = open_dataset(str(tmp_path), decoding=Decoding(size=(32, 32)), validation_fraction=0).splits["train"]
    expected = np.asarray(Image.fromarray(images[5]).resize((32, 32), Image.Resampling.BILINEAR))
    assert np.array_equal(test.images[5], np.stack([expected] * 3, 2))


def test_cifars_binary_files(tmp_path: Path) -> None:
    records = [made.cifar_records(30, label_bytes=1, classes=10, seed=number) for number in range(6)]
    for number in range(5):
        (tmp_path / f"data_batch_{number + 1}.bin").write_bytes(records[number].tobytes())
    (tmp_path / "test_batch.bin").write_bytes(records[5].tobytes())
    dataset = open_dataset(str(tmp_path), validation_fraction=0)
    assert (dataset.kind, dataset.counts) == ("cifar10", {"train": 150, "test": 30})
    assert dataset.classes[3] == "cat"
    # A record holds planes: red, green, blue.
    train = dataset.splits["train"]
    assert np.array_equal(train.images[31][:, :, 2].ravel(), records[1][1, 1 + 2048 :])
    assert train.labels[31] == records[1][1, 0] and train.names[31].endswith("data_batch_2.bin#1")


def test_cifar_100_goes_by_the_fine_label(tmp_path: Path) -> None:
    for name in ("train", "test"):
        records = made.cifar_records(200, label_bytes=2, classes=100)
        (tmp_path / f"{name}.bin").write_bytes(records.tobytes())
    (tmp_path / "fine_label_names.txt").write_text("\n".join(f"name{number}" for number in range(100)))
    dataset = open_dataset(str(tmp_path), validation_fraction=0)
    assert dataset.kind == "cifar100" and dataset.classes[7] == "name7"
    assert dataset.splits["test"].labels.tolist() == [number % 100 for number in range(200)]


def test_probe_measures_the_typical_image(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number, size in enumerate([(40, 20), (40, 20), (300, 500)]):
            Image.new("L", size, number).save(tmp_path / name / f"{number}.png")
    found = probe(f"{tmp_path}/")
    assert (found.kind, found.image_size, found.channels) == ("folder", (20, 40), 1)
    assert found.default_decoding() == Decoding(size=(20, 40), channels=1)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_the_typical_image_is_that_of_upright_images(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for turned_by, size in ((6, (40, 20)), (8, (40, 20)), (1, (20, 40)), (3, (20, 40))):
        exif = Image.Exif()
        exif[0x0112] = turned_by
        for name in "ab":
            Image.new("L", size).save(tmp_path / name / f"{turned_by}.{suffix}", exif=exif)
    assert probe(f"{tmp_path}/").image_size == (40, 20)


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    made.fill(tmp_path, {"a": 3, "b": 3})
    seen: list[tuple[int, int, str]] = []
    open_dataset(str(tmp_path), progress=lambda done, total, what: seen.append((done, total, what)))
    assert seen[0][:2] == (0, 6) and seen[-1] == (6, 6, "decoding images")
    seen.clear()
    open_dataset(str(tmp_path), progress=lambda done, total, what: seen.append((done, total, what)))
    assert not seen
