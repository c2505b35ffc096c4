"""Images in memory: every form of the same pixels is one source, and what can't be used is named in a line."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

import convscope
from convscope.data.memory.source import list_memory
from convscope.data.open import Probe, open_dataset, probe, probe_given
from convscope.data.records import Decoding
from convscope.data.shard import shard
from convscope.data.source_options import SourceOptions
from convscope.data.sources.digits import load_digits
from convscope.errors import DataError, RunError
from convscope.report.csv_table import read_csv
from convscope.training.training_images import notices_of_images

PIXELS, LABELS = (array[:60] for array in load_digits())
COLOUR = np.random.default_rng(0).integers(0, 256, (6, 9, 7, 3), np.uint8)


class Digits(Dataset[tuple[Image.Image, int]]):
    def __len__(self) -> int:
        return len(PIXELS)

    def __getitem__(self, row: int) -> tuple[Image.Image, int]:
        return Image.fromarray(PIXELS[row, :, :, 0]), int(LABELS[row])


class Endless(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        yield 1

    def __len__(self) -> int:
        return 1


class Columns(Digits):
    """As a Dataset of Hugging Face's is: its items are dicts."""

    column_names = ("image", "label")
    shape = (60, 2)


class Torn(Digits):
    def __getitem__(self, row: int) -> tuple[Image.Image, int]:
        raise OSError("the disk\nis gone")


def torn(mode: str) -> Image.Image:
    """A PIL image whose file is cut in its middle, opened and not yet decoded."""
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).convert(mode).save(content, "PNG")
    return Image.open(io.BytesIO(content.getvalue()[:-600]))


TENSOR = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    "given",
    [
        (PIXELS[..., 0], LABELS),
        (TENSOR, torch.from_numpy(LABELS)),
        (TENSOR / 255, LABELS.astype(np.uint8)),
        ((PIXELS / 255).astype(np.float64), list(LABELS)),
        (np.float16(PIXELS / 255), tuple(LABELS.tolist())),
        ([Image.fromarray(one[:, :, 0]) for one in PIXELS], LABELS),
        (list(PIXELS), [torch.tensor(label) for label in LABELS]),
        list(zip(PIXELS, LABELS.tolist(), strict=True)),
        (PIXELS, [str(label) for label in LABELS]),
        (PIXELS, np.array([str(label) for label in LABELS], object)),
        Digits(),
        Subset(Digits(), range(60)),
        TensorDataset(TENSOR, torch.from_numpy(LABELS)),
    ],
)
def test_every_form_of_the_same_images_is_the_same_source(given: Any) -> None:
    expected, found = list_memory((PIXELS, LABELS)), list_memory(given)
    assert found.source == expected.source and found.classes == expected.classes
    assert (found.image_size, found.channels, found.parts) == ((8, 8), 1, {"all": 60})
    decoding = Decoding(size=(12, 12), channels=1)
    for row in (0, 59):
        assert np.array_equal(found.read(row, decoding).pixels, expected.read(row, decoding).pixels)


def test_colours_are_those_of_the_files(tmp_path: Path) -> None:
    Image.fromarray(COLOUR[0]).save(tmp_path / "x.png")
    alpha = np.dstack([COLOUR[0], COLOUR[1][..., 0]])
    Image.fromarray(alpha).save(tmp_path / "alpha.png")
    labels, decoding = [0, 1], Decoding(size=(5, 6))
    of_files = list_memory(([tmp_path / "x.png", tmp_path / "alpha.png"], labels))
    of_images = list_memory(([COLOUR[0].transpose(2, 0, 1), Image.fromarray(alpha)], labels))
    for row in (0, 1):
        assert np.array_equal(of_files.read(row, decoding).pixels, of_images.read(row, decoding).pixels)
    assert of_files.channels == of_images.channels == 3 and of_files.image_size == of_images.image_size


def test_labels_name_their_classes() -> None:
    names = [f"d{number}" for number in range(10)]
    text = np.array(names)[LABELS]
    assert list_memory((PIXELS, LABELS + 5)).classes == tuple(map(str, range(5, 15)))
    assert list_memory((PIXELS, text)).classes == list_memory((PIXELS, LABELS), classes=names).classes == tuple(names)
    assert list_memory((PIXELS, text), classes=names[::-1]).labels[0] == 9 - LABELS[0]
    rows = np.eye(10)[LABELS]
    several = list_memory((PIXELS, rows), classes=names)
    assert several.targets is not None and np.array_equal(several.targets, rows) and several.classes == tuple(names)
    # Of a run whose classes were named, numbers are places; of one whose classes are numbers, the names themselves.
    assert list_memory((PIXELS, LABELS), earlier=tuple(names)).classes == tuple(names)
    assert list_memory((PIXELS, LABELS), earlier=tuple("9876543210")).labels[0] == 9 - LABELS[0]


def test_splits_are_kept_and_equal_content_is_equal_only_with_its_labels() -> None:
    splits = {"test": (PIXELS[50:], LABELS[50:]), "train": (PIXELS[:50], LABELS[:50])}
    found = list_memory(splits)
    assert found.parts == {"train": 50, "test": 10} and found.names[50] == "test/0"
    dataset = open_dataset(Probe(found), validation_fraction=0.0)
    assert dataset.counts == {"train": 50, "test": 10} and not dataset.made_splits
    sources = {
        list_memory(given).source
        for given in (splits, (PIXELS, LABELS), (PIXELS, LABELS[::-1]), (PIXELS[::-1], LABELS))
    }
    assert len(sources) == 4


def test_a_dataset_is_decoded_into_the_cache_and_found_there(tmp_path: Path) -> None:
    for hit in (False, True):
        dataset = open_dataset(Probe(list_memory(Digits())), cache_directory=tmp_path)
        assert dataset.cache_hit is hit and dataset.kind == "memory"


def test_a_dataset_of_random_transforms_is_named() -> None:
    class Changing(Digits):
        def __getitem__(self, row: int) -> tuple[Any, int]:
            return np.random.default_rng().integers(0, 256, (8, 8), np.uint8), int(LABELS[row])

    with pytest.raises(DataError, match="without random transforms"):
        open_dataset(Probe(list_memory(Changing())))


WRONG_DATA: list[tuple[Any, str]] = [
    ((PIXELS, LABELS[:5]), "60 images, but 5 labels"),
    ((PIXELS,), "a tuple of 1: give (images, labels)"),
    ((PIXELS[:0], LABELS[:0]), "an empty array (0, 8, 8, 1)"),
    (([], []), "there are no images"),
    ((PIXELS.astype(float), LABELS), "floating-point numbers of 0 to 255: an image's are 0 (black) to 1 (white)"),
    ((PIXELS - 0.5, LABELS), "floating-point numbers of -0.5"),
    ((PIXELS * np.nan, LABELS), "holds NaN or infinity"),
    ((PIXELS.astype(object), LABELS), "an array of object (60, 8, 8, 1): give uint8"),
    ((PIXELS.astype(np.int64), LABELS), "an array of int64 (60, 8, 8, 1): give uint8"),
    ((PIXELS > 0, LABELS), "of bool (60, 8, 8, 1): give uint8 (0 to 255), or floating-point numbers of 0 to 1"),
    ((PIXELS[..., [0, 0]], LABELS), "(60, 8, 8, 2): give (H, W), (H, W, C) or (C, H, W)"),
    ((np.zeros((4, 3, 3, 3), np.uint8), [0, 1, 0, 1]), "can be (H, W, C) or (C, H, W)"),
    ((PIXELS[0, :, :, 0], LABELS), "an array of uint8 (8, 8): give (N, H, W)"),
    ((PIXELS, np.zeros(60, int)), "one class only, '0'"),
    ((PIXELS[:2], [10**30, 1]), "labels: an array of object"),
    ((PIXELS[:2], np.array([2**64 - 1, 1], np.uint64)), "a label is below 2**63"),
    ((PIXELS[:2], ["a", 1]), "labels: a list that is no array of one kind"),
    ((PIXELS[:2], [[1, 2], [1]]), "labels: a list that is no array of one kind"),
    ((PIXELS[:2], [[1, 2], [1, 0]]), "of other numbers than 0 and 1"),
    ((PIXELS[:2], [0.5, 1]), "labels: an array of float64 (2,): give integers"),
    ((PIXELS, LABELS[:, None]), "labels: an array of int64 (60, 1)"),
    ((PIXELS[:2], ["", "a"]), "a label is an empty text"),
    ((PIXELS[:2], [None, None]), "labels: an array of object"),
    (([PIXELS[0], "cat.png"], [0, 1]), "image 1 is of type str: give a PIL image, an array or a tensor"),
    (([PIXELS[0], PIXELS[1] * 2.0], [0, 1]), "image 1: floating-point numbers"),
    (([PIXELS[0], Image.new("L", (0, 5))], [0, 1]), "image 1 is an empty image, 0x5"),
    (([torch.zeros(8, 8, device="meta"), PIXELS[0]], [0, 1]), "image 0: its numbers can't be read"),
    (([PIXELS[0], torn("RGB")], [0, 1]), "image 1 can't be read: "),
    (([PIXELS[0], torn("P")], [0, 1]), "image 1 can't be read: "),
    (([PIXELS[0], torn("RGBA")], [0, 1]), "image 1 can't be read: "),
    ((["none.png", "nor.png"], [0, 1]), "none.png: no such file"),
    ([(PIXELS[0], 1, 2, 3)], "a list whose items are not all (image, label)"),
    ([(PIXELS[0], 1, 2), (PIXELS[1], 1)], "a list whose items are not all (image, label), or all (image, label, gr"),
    ((PIXELS, LABELS, 1, 2), "a tuple of 4: give (images, labels) or (images, labels, groups)"),
    ((PIXELS, LABELS, LABELS[1:]), "60 images, but 59 groups"),
    ((PIXELS, LABELS, "patients"), "groups: a str: give a name or a whole number for each image"),
    ((PIXELS, LABELS, LABELS / 2), "groups: that of image 0 is 0.0: give a name or a whole number"),
    ((PIXELS, LABELS, [*LABELS[1:], None]), "groups: that of image 59 is None"),
    ({"train": (PIXELS, LABELS, LABELS), "test": (PIXELS, LABELS)}, "test: there are no groups, and another split has"),
    (Endless(), "data of type Endless, which has no length and no order of its own"),
    (iter([(PIXELS[0], 1)]), "which has no length and no order of its own"),
    (Columns(), "data of type Columns: give its columns, such as (data['image'], data['label'])"),
    (DataLoader(Digits()), "data of type DataLoader: give its dataset, loader.dataset"),
    (Torn(), "item 0 can't be read: OSError: the disk is gone"),
    (TensorDataset(TENSOR), "item 0 of the dataset is a tuple: it must be (image, label)"),
    (PIXELS, "data of type ndarray without labels: give (images, labels)"),
    ({"images": PIXELS, "target": LABELS}, "a bunch of scikit-learn"),
    ({"test": (PIXELS, LABELS)}, "a dict of splits has the keys train"),
    ({"train": (PIXELS, LABELS), "val": (PIXELS, LABELS + 5)}, "no training image shows 10, 11"),
    ({"train": (PIXELS, LABELS), "val": (PIXELS, LABELS.astype(str))}, "labelled in different ways"),
    ({"train": (PIXELS, LABELS), "test": (["a.png"], [1])}, "paths of images in one split and images in another"),
    ({"train": (PIXELS, LABELS), "test": (PIXELS, LABELS[1:])}, "test: 60 images, but 59 labels"),
    (7, "data of type int: give a path, or (images, labels)"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "said"), WRONG_DATA, ids=range(len(WRONG_DATA)))
def test_what_is_no_data_is_named_in_one_line(given: Any, said: str) -> None:
    with pytest.raises(DataError) as refused:
        list_memory(given)
    assert said in str(refused.value) and "\n" not in str(refused.value) and len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (list("abc"), "labels of 0 to 9, and 3 classes"),
        ("abc", "is no list of names"),
        (["a", "a"], "two different names or more"),
        ([1, 2], "is no list of names"),
        (list("abcdefghijk"), "no training image shows k"),
    ],
)
def test_classes_that_do_not_fit_are_named(classes: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        list_memory((PIXELS, LABELS), classes=classes)


@pytest.mark.parametrize("name", ["\ud800", "a\udfff"])
def test_a_class_that_no_file_can_hold_is_refused(name: str) -> None:
    for given, classes in (
        ((PIXELS, [name if label else "b" for label in LABELS]), None),
        ((PIXELS, LABELS % 2), [name, "b"]),
    ):
        with pytest.raises(DataError, match="is no text in UTF-8"):
            list_memory(given, classes=classes)


def test_classes_that_look_alike_are_named(tmp_path: Path) -> None:
    given = (PIXELS, [("A", "a", "caf\u00e9", "cafe\u0301")[label % 4] for label in LABELS])
    said = "classes that differ in case or accents only: 'A' and 'a', 'cafe\\u0301' and 'caf\\xe9'"
    found = [
        each.text for each in convscope.check(given, cache_directory=tmp_path).findings if each.severity == "warning"
    ]
    assert any(text.startswith(said) for text in found), found
    dataset = open_dataset(Probe(list_memory(given)), validation_fraction=0.0)
    assert any(each.text.startswith(said) for each in notices_of_images(dataset) if each.level == "warning")


class Patients(Digits):
    """Three items: an image, a label, a patient of four images."""

    def __getitem__(self, row: int) -> tuple[Image.Image, int, str]:  # type: ignore[override]
        return *super().__getitem__(row), f"p{row % 15}"


OF_FOUR = [f"p{row % 15}" for row in range(60)]


@pytest.mark.parametrize(
    "given",
    [
        (PIXELS, LABELS, OF_FOUR),
        (TENSOR, torch.from_numpy(LABELS), np.arange(60) % 15),
        (PIXELS, LABELS, torch.arange(60) % 15),
        [(image, label, group) for image, label, group in zip(PIXELS, LABELS.tolist(), OF_FOUR, strict=True)],
        Patients(),
        Subset(Patients(), range(60)),
        TensorDataset(TENSOR, torch.from_numpy(LABELS), torch.arange(60) % 15),
    ],
)
def test_groups_are_never_parted(given: Any, tmp_path: Path) -> None:
    found = probe_given(given)
    assert "groups: 15 by the list of groups for 60 images; none is parted by a split" in found.listing.notes
    assert found.source == probe_given((PIXELS, LABELS, OF_FOUR)).source != list_memory((PIXELS, LABELS)).source
    for seed in range(20):
        dataset = open_dataset(found, seed=seed, cache_directory=tmp_path)
        of = {name: {int(row.rpartition("/")[2]) % 15 for row in part.names} for name, part in dataset.splits.items()}
        assert sum(map(len, of.values())) == 15 and set(of) == {"train", "val", "test"}
        for name, part in dataset.splits.items():
            assert part.groups is not None and {int(group.removeprefix("p")) for group in part.groups} == of[name]


def test_groups_of_paths_and_of_given_splits_are_kept(tmp_path: Path) -> None:
    paths = [tmp_path / f"{row}.png" for row in range(20)]
    for path, pixels in zip(paths, PIXELS, strict=False):
        Image.fromarray(pixels[..., 0]).save(path)
    pairs = [(path, LABELS[row] % 2, row // 4) for row, path in enumerate(paths)]
    dataset = open_dataset(probe_given(pairs), cache_directory=tmp_path / "cache", validation_fraction=0.3)
    of = [set(part.groups or ()) for part in dataset.splits.values()]
    assert sum(map(len, of)) == len(set().union(*of)) == 5
    held = (PIXELS[40:], LABELS[40:] % 2)
    splits = {"train": (PIXELS[:40], LABELS[:40] % 2, np.arange(40) // 4), "test": (*held, [11] * 20)}
    cut = open_dataset(probe_given(splits), validation_fraction=0.2)
    assert cut.val is not None and cut.train is not None
    assert not set(cut.val.groups or ()) & set(cut.train.groups or ())
    with pytest.raises(DataError, match="the list of groups has 1 group in both train and test"):
        probe_given({**splits, "test": (*held, [9] * 20)})
    with pytest.raises(DataError, match=r"group_column p: .* give \(images, labels, groups\)"):
        probe_given((PIXELS, LABELS), options=SourceOptions(group_column="p"))


def test_a_run_knows_its_images_by_their_groups_too(tmp_path: Path) -> None:
    places = {"runs_directory": tmp_path / "runs", "cache_directory": tmp_path / "cache"}
    recipe = convscope.Recipe(model="lenet5", epochs=1, autotune="rules", threads=1, test_fraction=0.2)
    images, labels = (array[:120] for array in load_digits())
    groups = [f"p{row // 3}" for row in range(120)]
    run = convscope.train((images, labels, groups), recipe, **places).run  # type: ignore[arg-type]
    rows = read_csv(run.split_path.read_text())
    assert list(rows[0]) == ["image", "split", "group"] and len(rows) == 120
    splits: dict[str, set[str]] = {}
    for row in rows:
        assert row["group"] == groups[int(row["image"].rpartition("/")[2])]
        splits.setdefault(row["group"], set()).add(row["split"])
    assert all(len(there) == 1 for there in splits.values())
    held = sum(row["split"] == "test" for row in rows)
    assert convscope.evaluate(run, (images, labels, groups)).scores.images == held
    others = np.arange(120) % 40
    for given, said in (((images, labels), "with groups"), ((images, labels, others), "with other groups")):
        with pytest.raises(DataError, match=f"was trained on these images {said}: give them as for its training"):
            convscope.evaluate(run, given)
        with pytest.raises(RunError, match="these are not the images, labels, groups and classes"):
            convscope.train(given, convscope.Recipe(epochs=2), resume=run)
    assert convscope.train((images, labels, groups), convscope.Recipe(epochs=2), resume=run).epochs == 2


def test_no_name_finds_images_in_memory_again() -> None:
    with pytest.raises(DataError, match="no copy of them is kept"):
        probe(list_memory((PIXELS, LABELS)).source)


def test_images_in_memory_are_written_as_shards(tmp_path: Path) -> None:
    cmyk = Image.new("CMYK", (9, 9), (200, 10, 10, 0))
    given = {"train": ([PIXELS[0], COLOUR[0], cmyk], ["a", "b", "a"]), "test": ([COLOUR[1]], ["b"])}
    made = shard(given, tmp_path / "shards")
    assert [(split.split, split.images) for split in made.splits] == [("train", 3), ("test", 1)] and not made.problems
    found = probe(str(tmp_path / "shards"))
    assert found.classes == ("a", "b") and found.counts == {"train": 3, "test": 1}
    row = found.listing.rows_of("test")[0]
    assert np.array_equal(found.listing.read(int(row), Decoding(size=(9, 7))).pixels, COLOUR[1])


def test_a_palette_and_what_is_beside_the_pixels_are_content() -> None:
    def pictures(colours: list[int], **info: object) -> list[tuple[Image.Image, int]]:
        made = []
        for label in (0, 1):
            picture = Image.new("P", (8, 8), label)
            picture.putpalette(colours)
            picture.info.update(info)
            made.append((picture, label))
        return made

    sources = {
        list_memory(given).source
        for given in (
            pictures([9, 9, 9, 0, 0, 0]),
            pictures([8, 8, 8, 0, 0, 0]),
            pictures([9] * 3 + [0] * 3, transparency=1),
        )
    }
    assert len(sources) == 3


def test_shards_of_images_in_memory_are_upright_and_leave_out_what_no_png_holds(tmp_path: Path) -> None:
    turned = Image.fromarray(COLOUR[0])
    turned.getexif()[0x0112] = 6
    given = [(turned, "a"), (COLOUR[1], "b"), (Image.new("I", (9, 9), 70_000), "a")]
    made = shard(given, tmp_path / "shards")
    assert made.splits[0].images == 2 and "no PNG file holds" in made.problems[0].reason
    listing = probe(str(tmp_path / "shards")).listing
    shown = {listing.labels[row]: listing.read(row, Decoding(size=(7, 9))).pixels for row in range(2)}
    assert np.array_equal(shown[0], np.rot90(COLOUR[0], -1))
