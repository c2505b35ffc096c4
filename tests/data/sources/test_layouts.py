"""Folders of images are read by what they hold, in the layouts that archives unpack to, and refused where unsure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import data_makers as made
from convscope.data.layout import SPLIT_NAMES, Layout, split_in_name
from convscope.data.listing import WHOLE, class_order
from convscope.data.open import open_dataset, probe
from convscope.data.records import Decoding
from convscope.data.sources.recognize import recognized
from convscope.data.sources.tree import Branch
from convscope.errors import DataError

THREE = {"train": 6, "val": 6, "test": 6}
TWO = {"train": 6, "test": 6}
# paths, layout, images of each split, and what the notes say
UNDERSTOOD = {
    "classes": (["cat", "dog"], "classes", {"all": 6}, ""),
    "splits": (made.each("train val test", "cat dog"), "splits", THREE, ""),
    "sets": (made.each("training_set test_set", "cat dog"), "splits", TWO, "train in training_set/, test in test_set/"),
    "unpacked": (
        [*made.each("seg_train/seg_train seg_test/seg_test", "cat dog"), "seg_pred/seg_pred"],
        "splits",
        TWO,
        "train in seg_train/seg_train/.*not read: seg_pred",
    ),
    "class first": (made.each("cat dog", "train val test"), "class-first", THREE, "with train/, val/, test/ in it"),
    "a class without val": (
        [*made.each("cat", "train val test"), *made.each("dog", "train test")],
        "class-first",
        {"train": 6, "val": 3, "test": 6},
        "val has no images of dog",
    ),
    "images": (made.each("train_images val_images", "cat dog"), "splits", {"train": 6, "val": 6}, "val in val_images/"),
    "Training": (made.each("Training Testing", "cat dog"), "splits", TWO, "train in Training/"),
    "data/train": (made.each("data/train", "cat dog"), "splits", {"train": 6}, "read from .*/data, all that"),
    "imagenet": (made.each("imagenet/train imagenet/val", "n1 n2"), "splits", {"train": 6, "val": 6}, "imagenet"),
    "dev": (made.each("train dev test", "cat dog"), "splits", THREE, "val in dev/"),
    "eval": (made.each("train eval", "cat dog"), "splits", TWO, "test in eval/"),
    "eval beside test": (made.each("train eval test", "cat dog"), "splits", THREE, "val in eval/, test in test/"),
    "evaluation": (made.each("training validation evaluation", "a b"), "splits", THREE, "test in evaluation/"),
    "train only": ([*made.each("train", "cat dog"), "unlabeled"], "splits", {"train": 6}, "not read: unlabeled"),
    "test without classes": (
        [*made.each("train", "cat dog"), "test"],
        "splits",
        {"train": 6},
        "test: 3 images in .*/test not read: they lie in no class folder",
    ),
    "unpacked test without classes": (
        [*made.each("abc_train/abc_train", "cat dog"), "abc_test/abc_test"],
        "splits",
        {"train": 6},
        "test: 3 images in .*/abc_test/abc_test not read",
    ),
    "val of images": (
        [*made.each("train", "a/images b/images"), "val/images"],
        "splits",
        {"train": 6},
        "val: 3 images",
    ),
    "a class called train": (["train", "plane"], "classes", {"all": 6}, "train/ is read as a class"),
    "words in names": (["bullet_train", "test tube", "car"], "classes", {"all": 9}, ""),
    "two in one": (made.each("a/b", "cat dog"), "classes", {"all": 6}, "read from .*/a/b"),
    "folders in classes": (["cat/indoor", "cat/outdoor", "dog"], "classes", {"all": 9}, ""),
    "one folder in each class": (made.each("cat dog", "images"), "classes", {"all": 6}, ""),
    "splits in a lone train": (
        made.each("tv/train/train tv/train/val", "cat dog"),
        "splits",
        {"train": 6, "val": 6},
        "tv",
    ),
    "twice beside itself": (made.each("x/train x/test x/x/train", "cat dog"), "splits", TWO, "not read: x"),
}
# paths and what the refusal says
REFUSED = {
    "folds": (
        made.each("fold1 fold2 fold3", "cat dog"),
        "two ways: as 3 parts of the classes cat, dog .*layout='groups'.*train=fold1,train=fold2,test=fold3.*"
        "as the classes fold1, fold2, fold3 .add layout='classes'",
    ),
    "many folds": (made.each("1 2 3 4 5 6 7", "cat dog"), "as 7 parts .*train=...,train=...,test=...' to test on some"),
    "mytrain": (made.each("mytrain mytest", "cat dog"), "layout='train=mytrain,test=mytest'"),
    "no train in a name": (
        made.each("rps/rps rps-test-set/rps-test-set", "rock paper"),
        "as splits of the classes paper, rock .add layout='train=rps/rps,test=rps-test-set/rps-test-set",
    ),
    "no train among several": (made.each("a b test", "cat dog"), "no train/: say which .*train=FOLDER,test=test.*"),
    "a class called train with folders": (
        made.each("train plane", "steam jet"),
        "as splits .train in train/. of the classes jet, steam .*layout='splits'.*as the classes plane, train",
    ),
    "classes with words of splits": (["train_car/a", "train_car/b", "test_tube/c", "test_tube/d"], "in two ways"),
    "splits without classes": (["train", "test"], "no class folders in test/ and train/: .*if test, train are the cl"),
    "train and unlabeled": (["train", "unlabeled"], "no class folders in train/"),
    "images of splits and another": (
        ["train_images", "test_images", "plane"],
        "no class folders in test_images/ and tr",
    ),
    "train, test and another": (["train", "test", "plane"], "no class folders in test/ and train/"),
    "one class with splits": (["cat/train", "cat/test", "dog"], "cat holds test/ and train/, and no train/ is in dog"),
    "splits in the classes of a lone train": (
        made.each("train/cat train/dog", "train val"),
        "train/cat holds train/ and val/: give .*/train to read these as splits, or add layout='splits'",
    ),
    "splits without train in a class": (made.each("cat dog", "val test"), "no train/ is in cat, dog"),
    "several sets": (
        made.each("nut/train nut/test bolt/train bolt/test", "ok bad"),
        "bolt holds .*give .*bolt to read",
    ),
    "a set beside another": (
        ["x/ok", "x/bad", *made.each("y/y/train y/y/test", "ok bad")],
        "y/y holds test/ and train/",
    ),
    "splits in different folders": (
        [*made.each("a/train b/test", "cat dog")],
        "as splits .train in a/train/, test in b/test/. .*train=a/train,test=b/test.*as the classes a, b .add",
    ),
    "an empty train": (["train/a/", "train/b/", *made.each("test", "a b")], "has test/ but no images in train/: put"),
    "a class of test alone": (
        [*made.each("train test", "a b"), "test/z"],
        "does not: z. Put images of z into train/, or remove test/z$",
    ),
    "two for one": (made.each("train val validation", "cat dog"), "both val/ and validation/ .*train=train,val=val"),
    "images and masks": (made.each("train_img train_mask val_img", "a b"), "both train_img/ and train_mask/"),
}


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_layouts_that_are_understood(name: str, tmp_path: Path) -> None:
    paths, layout, counts, said = UNDERSTOOD[name]
    found = probe(str(made.folders(tmp_path / "data", *paths)))
    assert (found.layout, found.counts) == (layout, counts)
    notes = " | ".join(found.listing.notes)
    assert bool(notes) == bool(said)
    if said:
        assert re.search(said, notes), notes
    # Read again by the layout that a run's recipe keeps, it is the same.
    again = probe(found.source, layout=found.layout)
    assert again.listing.names == found.listing.names
    assert (again.classes, again.counts) == (found.classes, found.counts)
    assert not {"train", "val", "test"} & set(found.classes) or name == "a class called train"


@pytest.mark.parametrize("name", REFUSED)
def test_layouts_that_are_refused(name: str, tmp_path: Path) -> None:
    paths, said = REFUSED[name]
    made.folders(tmp_path / "data", *paths, images=1)
    with pytest.raises(DataError, match=said) as caught:
        probe(str(tmp_path / "data"))
    assert "\n" not in str(caught.value)


NAMES = st.lists(
    st.text("abc àß猫", min_size=1, max_size=4).map(str.strip).filter(bool)
    | st.sampled_from(["bullet_train", "test tube", "contest", "trains", "oval", "1", "10", "9"]),
    min_size=3,
    max_size=5,
    unique_by=str.casefold,
)
PLACES = st.sampled_from(["{}", "x/{}", "train/{}|val/{}", "Train_set/{}|test-set/{}", "{}/train|{}/test", "a/a/{}"])


@settings(max_examples=30, deadline=None)
@given(NAMES, PLACES)
def test_classes_are_the_same_in_every_layout(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], places: str
) -> None:
    root = tmp_path_factory.mktemp("data")
    for place in places.split("|"):
        for name in names:
            folder = root / place.format(name)
            folder.mkdir(parents=True)
            (folder / "0.png").touch()
    reading = recognized(Branch(str(root)))
    assert set(reading.classes) == (
        {WHOLE} if "|" not in places else {"train", *reading.classes} & {"train", "val", "test"}
    )
    for split, by_class in reading.classes.items():
        assert set(by_class) == set(names), split
        assert all(Path(path).is_dir() for (path,) in by_class.values())


@given(st.lists(st.integers(-50, 5000), unique=True))
def test_classes_named_by_numbers_are_ordered_as_numbers(numbers: list[int]) -> None:
    assert class_order(map(str, numbers)) == tuple(map(str, sorted(numbers)))
    earlier = tuple(sorted(map(str, numbers)))
    assert class_order(map(str, numbers), earlier=earlier) == earlier


def test_numbers_are_ordered_as_numbers_in_every_source(tmp_path: Path) -> None:
    numbers = ("1", "2", "10")
    made.folders(tmp_path / "folder", *sorted(numbers), images=1)
    assert probe(str(tmp_path / "folder")).classes == numbers
    table = tmp_path / "folder" / "table.csv"
    table.write_text("image,label\n" + "".join(f"{number}/0.png,{number}\n" for number in numbers))
    assert probe(str(table)).classes == numbers
    table.write_text("image,labels\n" + "".join(f"{number}/0.png,{number}|10\n" for number in numbers))
    assert probe(str(table)).classes == numbers
    made.folders(tmp_path / "more", *sorted((*numbers, "half", "-1", "0.5")), images=1)
    assert probe(str(tmp_path / "more")).classes == ("-1", "0.5", *numbers, "half")


@pytest.mark.parametrize(
    ("layout", "classes", "counts"),
    [
        ("classes", ("fold1", "fold2", "fold3"), {"all": 18}),
        ("groups", ("cat", "dog"), {"all": 18}),
        ("train=fold1,train=fold2,test=fold3", ("cat", "dog"), {"train": 12, "test": 6}),
        ("train=fold2", ("cat", "dog"), {"train": 6}),
    ],
)
def test_a_layout_that_is_given(layout: str, classes: tuple[str, ...], counts: dict[str, int], tmp_path: Path) -> None:
    made.folders(tmp_path, *made.each("fold1 fold2 fold3", "cat dog"))
    found = probe(str(tmp_path), layout=layout)
    assert (found.classes, found.counts, found.layout) == (classes, counts, layout)
    dataset = open_dataset(found, decoding=Decoding(size=(8, 8)), cache_directory=tmp_path / "cache")
    for images in dataset.splits.values():
        for name, label in zip(images.names, images.labels, strict=True):
            assert dataset.classes[label] in Path(name).relative_to(tmp_path).parts


def test_layouts_that_can_not_be(tmp_path: Path) -> None:
    made.folders(tmp_path / "data", *made.each("a b", "cat dog"), "a/Cat", images=1)
    for layout, said in {
        "class": "it is one of auto, .* Did you mean classes?",
        "train=,test=": "a folder's name is missing after train=",
        "train=.": "'.' is not the name of a folder inside the source",
        "train=/etc": "'/etc' is not the name of a folder inside",
        "train=a,val=../b": "'../b' is not the name of a folder inside",
        "train=a,val=a": "'a' is named twice",
        "train=a,val=a/cat": "'a' and 'a/cat' hold the same images",
        "test=a": "has no train=FOLDER",
        "train=c": "there is no folder .*/c",
        "splits": "has no folder named train/.*layout='train=FOLDER'",
        "class-first": "a has no train/ in it",
        "groups": "differ in case or accents only",
        "none": "holds no table and no shards",
    }.items():
        with pytest.raises(DataError, match=said):
            probe(str(tmp_path / "data"), layout=layout)
    with pytest.raises(DataError, match="digits is no folder"):
        probe("digits", layout="classes")


def test_a_table_names_the_images_of_splits_without_classes(tmp_path: Path) -> None:
    made.folders(tmp_path, "train_images", "test_images")
    (tmp_path / "train.csv").write_text(
        "image,label\ntrain_images/0.png,cat\ntrain_images/1.png,dog\ntrain_images/2.png,dog\n"
    )
    found = probe(str(tmp_path))
    assert (found.kind, found.classes, found.layout) == ("table", ("cat", "dog"), "none")
    # Of a table beside class folders, the layout decides.
    made.folders(tmp_path, "cat", "dog")
    assert probe(str(tmp_path), layout="classes").kind == "folder"
    assert probe(str(tmp_path), layout="none").kind == "table"


def test_links_in_circles_are_seen_once(tmp_path: Path) -> None:
    made.folders(tmp_path / "data", "a", "b", "empty/")
    for name in ("one", "two"):
        (tmp_path / "data" / "empty" / name).symlink_to(tmp_path / "data" / "empty")
    for number in range(30):
        (tmp_path / "data" / "empty" / f"{number}").symlink_to(tmp_path / "data")
    found = probe(str(tmp_path / "data"), layout="classes")
    assert "a" in found.classes and "b" in found.classes


def test_links_to_a_folder_around_them_are_not_followed(tmp_path: Path) -> None:
    made.folders(tmp_path / "data", *made.each("train test", "a b"), images=1)
    made.folders(tmp_path, "beside", images=1)
    for path, to in {"loop": "..", "train/up": "..", "train/a/out": "../../..", "train/b/root": "../.."}.items():
        (tmp_path / "data" / path).symlink_to(to)
    found = probe(str(tmp_path / "data"))
    assert (found.classes, found.counts) == (("a", "b"), {"train": 2, "test": 2})
    (note,) = found.listing.notes
    assert all(re.search(f"not followed.*data/{link}\\b", note) for link in ("loop", "train/up", "train/a/out"))
    assert probe(str(tmp_path / "data" / "train")).counts == {"all": 2}


def test_folders_that_a_layout_does_not_name_are_said(tmp_path: Path) -> None:
    made.folders(tmp_path, *made.each("x/fold1 x/fold2 y", "a b"), images=1)
    assert probe(str(tmp_path), layout="train=x/fold1").listing.notes == (
        "not named in the layout, and not read: x/fold2, y",
    )


def test_names_of_splits() -> None:
    for name, split in SPLIT_NAMES.items():
        assert split_in_name(f"my_{name}_images") == split_in_name(f"{name.title()}Set") == split
    for name in ("contest", "latest", "oval", "trainer", "valley", "restrain", "entraînement", "détester", "device"):
        assert split_in_name(name) is None
    assert Layout.parse("train=a,b,test=c=d").folders == (("train", "a,b"), ("test", "c=d"))
