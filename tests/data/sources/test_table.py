"""A CSV table as a data source: what it may look like, and what is said of one that can't be used."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

import data_makers as made
from convscope.data.open import open_dataset, probe
from convscope.data.records import SEVERAL, Dataset
from convscope.data.source_options import SourceOptions
from convscope.errors import DataError


def table(folder: Path, text: str | bytes, *, images: int = 12, name: str = "labels.csv") -> Path:
    """A table beside `images/00.png`, `01.png`, ..."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number in range(images):
        made.image(number).save(folder / "images" / f"{number:02d}.png")
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(labels: list[str], *, head: str = "image,label", end: str = "\n") -> str:
    """A table that gives the images their labels in order."""
    return end.join([head, *(f"images/{number:02d}.png,{label}" for number, label in enumerate(labels))]) + end


def opened(path: Path) -> Dataset:
    """All of a table's images in one split, in its order."""
    return open_dataset(str(path), validation_fraction=0, test_fraction=0, cache_directory=path.parent / "cache")


SINGLE = ["cat", "dog"] * 6
MANY = ["cat|dog", "dog", "", "cat"] * 3
HOT = ["1,1", "0,1", "0,0", "1,0"] * 3


def test_one_label_an_image(tmp_path: Path) -> None:
    path = table(tmp_path, rows(SINGLE))
    found = probe(str(path))
    assert (found.kind, found.classes, found.counts, found.multi_label) == ("table", ("cat", "dog"), {"all": 12}, False)
    data = opened(path)
    assert data.train is not None and data.train.targets is None
    assert data.train.labels.tolist() == [0, 1] * 6
    assert [Path(name).name for name in data.train.names] == [f"{number:02d}.png" for number in range(12)]
    assert np.array_equal(data.train.images[3], np.asarray(made.image(3)))


@pytest.mark.parametrize("text", [rows(MANY, head="image,labels"), rows(HOT, head="image,cat,dog")])
def test_several_labels_an_image(tmp_path: Path, text: str) -> None:
    data = opened(table(tmp_path, text))
    assert data.multi_label and data.classes == ("cat", "dog")
    assert data.train is not None and data.train.targets is not None
    assert data.train.targets.tolist() == [[1, 1], [0, 1], [0, 0], [1, 0]] * 3
    assert set(data.train.labels.tolist()) == {SEVERAL}
    assert data.class_counts("train") == {"cat": 6, "dog": 6}


@pytest.mark.parametrize(
    "labels",
    [
        ["cat; dog", "dog", "", "cat"],
        ["cat dog", "dog", "", "cat"],
        ['"cat, dog"', "dog", "", "cat"],
        ["dog|cat|", " dog ", "", "cat|cat"],
    ],
)
def test_ways_to_separate_labels(tmp_path: Path, labels: list[str]) -> None:
    train = opened(table(tmp_path, rows(labels * 3, head="image,labels"))).train
    assert train is not None and train.targets is not None
    assert train.targets.tolist() == [[1, 1], [0, 1], [0, 0], [1, 0]] * 3


def test_names_of_two_words_need_one_bar(tmp_path: Path) -> None:
    path = table(tmp_path, rows(["red square|", "blue disc", ""] * 4, head="image,labels"))
    assert probe(str(path)).classes == ("blue disc", "red square")


PROGRAMS = {
    "crlf": rows(SINGLE, end="\r\n"),
    "cr": rows(SINGLE, end="\r"),
    "bom": "\ufeff" + rows(SINGLE),
    "semicolons": rows(SINGLE).replace(",", ";"),
    "sep": "sep=;\r\n" + rows(SINGLE, end="\r\n").replace(",", ";"),
    "tabs": rows(SINGLE).replace(",", "\t"),
    "sep and tabs": "sep=\t\r\n" + rows(SINGLE, end="\r\n").replace(",", "\t"),
    "case": rows(SINGLE).replace("image,label", "File Name,LABEL"),
    "backslashes": rows(SINGLE).replace("images/", "images\\"),
    "empty rows": rows(SINGLE) + "\n,\n\n",
    "more commas": rows(SINGLE).replace("\n", ",,\n"),
    "utf16": rows(SINGLE).encode("utf-16"),
    "quotes": re.sub(r"(images/\d\d.png),(\w+)", r'"\1","\2"', rows(SINGLE)),
}


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_whatever_program_wrote_it(tmp_path: Path, text: str | bytes) -> None:
    train = opened(table(tmp_path, text)).train
    assert train is not None and train.labels.tolist() == [0, 1] * 6


def test_commas_in_quotes_stay_in_their_cell(tmp_path: Path) -> None:
    text = rows(SINGLE) + '"a, b.png","bird, or ""other"""\nimages/../images/00.png,cat\n'
    path = table(tmp_path, text)
    made.image(50).save(tmp_path / "a, b.png")
    data = opened(path)
    assert data.classes == ('bird, or "other"', "cat", "dog")
    assert data.counts == {"train": 13}
    assert "an image named a second time, with the same labels, counts once: 1 row" in data.notes


def test_absolute_paths_and_links(tmp_path: Path) -> None:
    folder = table(tmp_path / "pictures", "").parent
    (tmp_path / "link.png").symlink_to(folder / "images" / "00.png")
    text = "path,label\n" + "".join(f"{folder}/images/{n:02d}.png,{label}\n" for n, label in enumerate(SINGLE))
    assert opened(table(tmp_path, text + "link.png,cat\n", images=0)).counts == {"train": 12}
    with pytest.raises(DataError, match="rows 2 and 14 give one image different labels"):
        opened(table(tmp_path, text + "link.png,dog\n", images=0))


def test_a_column_of_splits(tmp_path: Path) -> None:
    splits = ["train"] * 6 + ["valid"] * 2 + ["Test"] * 4
    text = rows([f"{label},{split}" for label, split in zip(SINGLE, splits, strict=True)], head="image,label,split")
    data = open_dataset(str(table(tmp_path, text)), cache_directory=tmp_path / "cache")
    assert (data.counts, data.made_splits) == ({"train": 6, "val": 2, "test": 4}, ())
    assert data.test is not None and data.test.labels.tolist() == [0, 1, 0, 1]


def test_a_column_that_is_named_for_labels_holds_no_splits(tmp_path: Path) -> None:
    path = table(tmp_path, rows(["city,train", "ship,train", "city,test", "ship,test"] * 3, head="image,set,fold"))
    found = probe(str(path), options=SourceOptions(label_column="set"))
    assert found.classes == ("city", "ship") and found.counts == {"train": 6, "test": 6}


def test_validation_is_cut_out_of_train_so_that_rare_classes_reach_it(tmp_path: Path) -> None:
    labels = [*["a|b", "a", "", "b"] * 9, "a|rare", "rare", "", "a"]
    splits = ["train"] * 38 + ["test"] * 2
    text = rows([f"{label},{split}" for label, split in zip(labels, splits, strict=True)], head="image,labels,split")
    data = open_dataset(str(table(tmp_path, text, images=40)), cache_directory=tmp_path / "cache")
    assert data.counts["test"] == 2 and data.made_splits == ("val",)
    assert all(data.class_counts("val").values()) and all(data.class_counts("train").values())
    assert "test has no images of b, rare" in data.notes


def test_a_class_too_rare_for_every_part_is_learned_and_said(tmp_path: Path) -> None:
    path = table(tmp_path, rows([*["a|b", "a", "", "b"] * 5, "rare"], head="image,labels"), images=21)
    data = open_dataset(str(path), cache_directory=tmp_path / "cache")
    assert data.class_counts("train")["rare"] == 1
    assert {"val has no images of rare", "test has no images of rare"} <= set(data.notes)


def test_columns_that_are_no_classes_are_said(tmp_path: Path) -> None:
    text = "Unnamed: 0,image,age,cat,dog,never\n" + "".join(
        f"{n},images/{n:02d}.png,{40 + n},{hot},0\n" for n, hot in enumerate(HOT)
    )
    data = opened(table(tmp_path, text))
    assert data.classes == ("cat", "dog")
    assert "columns that were not read: Unnamed: 0, age" in data.notes
    assert any("no image shows never" in note for note in data.notes)


def test_a_folder_that_holds_a_table(tmp_path: Path) -> None:
    table(tmp_path, rows(SINGLE))
    assert probe(str(tmp_path)).kind == "table"
    table(tmp_path, rows(SINGLE), name="more.csv")
    with pytest.raises(DataError, match=r"holds 2 tables \(labels.csv, more.csv\) and no class folders: name the one"):
        probe(str(tmp_path))


def test_class_folders_go_before_a_table_beside_them(tmp_path: Path) -> None:
    made.fill(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "notes.csv").write_text("image,label\n")
    found = probe(str(tmp_path))
    assert found.kind == "folder"
    assert "notes.csv: not read; name the file to train by it" in found.listing.notes


def test_the_cache_knows_the_images_whatever_is_said_of_them(tmp_path: Path) -> None:
    path = table(tmp_path, rows(SINGLE))
    assert not opened(path).cache_hit
    path.write_text(rows(MANY, head="image,labels"))
    assert opened(path).cache_hit
    made.image(99).save(tmp_path / "images" / "00.png")
    again = opened(path)
    assert not again.cache_hit and again.train is not None
    assert np.array_equal(again.train.images[0], np.asarray(made.image(99)))


def test_an_image_that_is_not_there_is_kept_out_and_too_many_stop(tmp_path: Path) -> None:
    path = table(tmp_path, rows(["cat", "dog"] * 75), images=150)
    (tmp_path / "images" / "07.png").unlink()
    (tmp_path / "images" / "09.png").write_bytes(b"torn")
    problems = opened(path).problems
    assert [(Path(p.path).name, p.reason.split(":")[0]) for p in problems] == [
        ("07.png", "row 9"),
        ("09.png", "not an image that is read"),
    ]
    (tmp_path / "images" / "08.png").unlink()
    with pytest.raises(
        DataError, match=r"2 of 150 images can't be opened; the first is in row 9, .*07.png: no such file"
    ):
        probe(str(path))


BAD = [
    ("", "labels.csv is empty: what is needed is a header"),
    ("image,label\n", "has a header and no row"),
    (
        "name,age\na.png,3\n",
        r"no column of images \(found: name, age\): what is needed is a column that names the images",
    ),
    ("cat,3\ndog,4\n", r"no column of images \(found: cat, 3\)"),
    ("image,age\nimages/00.png,30\n", r"no column of labels \(found: image, age\): what is needed"),
    (
        rows(["cat,a"], head="image,label,labels"),
        r"label \(cat\) and labels \(a\) both can be the labels: label_column='label' or label_column='labels'",
    ),
    (rows(["cat,dog"], head="image,label,Label"), "two columns 'Label'"),
    (rows(["cat", "", "dog", ""]), r"row 3 has no label \(and 1 more row\): write one"),
    (rows(["cat", "cat"]), "one class only, 'cat'"),
    (rows(["cat", "cat"], head="image,labels"), "every image shows 'cat', the only class"),
    (rows(["", ""], head="image,labels"), "no image has a label"),
    (rows(["0,0", "0,0"], head="image,a,b"), "no image has a label"),
    (rows(["Cat", "cat", "dog"]), "differ in case or accents only"),
    (rows(["cat", "dog,really"]), "row 3 has 3 cells, and the header 2: a comma inside a cell needs quotes"),
    (rows(["cat", "dog"]) + "images/02.png\n", "row 4 has 1 cell, and the header 2: give each column a cell"),
    (rows(["cat", '"dog']), "row 3 can't be read: unexpected end of data"),
    (rows(["cat", "dog"]) + ",cat\n", "row 4 names no image"),
    (rows(["cat", "dog"]) + "images/00.png,dog\n", "rows 2 and 4 give one image different labels or splits"),
    (rows(["0,1", "1,2", "1,0"], head="image,a,b"), "column 'b' is 0 or 1, but row 3 has '2': write 0 or 1"),
    (rows(["0,1", "1,", "1,0"], head="image,a,b"), "row 3 has '': write 0 or 1"),
    (
        rows(["\"['cat', 'dog']\"", "[]", "\"['cat']\""], head="image,labels"),
        r"labels holds lists, such as \['cat', 'dog'\] in row 2: write cat\|dog",
    ),
    (rows(["[]", '"[0, 1]"', "[1]"], head="image,labels"), r"labels holds lists, such as \[\] in row 2"),
    (rows(['"(1, 2)"', '"(2,)"', "nan"], head="image,tags"), r"tags holds lists, such as \(1, 2\) in row 2"),
    (rows(['"{1, 2}"', "{2}", ""], head="image,labels"), r"labels holds lists, such as {1, 2} in row 2"),
    (rows(['"[1.0, 0.5]"', "[0.5]"], head="image,labels"), r"labels holds lists, such as \[1.0, 0.5\]"),
    (rows(["\"['cat'\n 'dog']\"", "\"['cat']\""], head="image,labels"), r"labels holds lists, such as \['cat'"),
    (rows(["cat,train", "dog,tset"], head="image,label,split"), "row 3 has the split 'tset'.* Did you mean test"),
    (rows(["cat,val", "dog,test"], head="image,label,split"), "no row has the split train"),
    (
        rows(["cat,train", "dog,train", "dgo,test"], head="image,label,split"),
        r"test shows classes that train does not: dgo. Did you mean dog\?",
    ),
    (rows(["0,1,train", "1,1,val"], head="image,a,b,split"), "val shows classes that train does not: a"),
    (rows(["cat", "dog", "café"]).encode("latin-1"), "not UTF-8: line 4 holds the byte 0xe9; save it as UTF-8"),
    (b"image,label\n\0\0", "bytes that are zero"),
    (
        rows(["cat", "dog"]).replace("00", "99"),
        r"1 of 2 images can't be opened; the first is in row 2, .*99.png: no such",
    ),
    (rows(["cat", "dog"]).replace("/00.png", ""), r"row 2, .*images: not a regular file but a folder"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_a_table_that_cannot_be_used_is_one_clear_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = table(tmp_path, text, images=4)
    with pytest.raises(DataError, match=message) as caught:
        probe(str(path))
    assert "\n" not in str(caught.value) and "labels.csv" in str(caught.value)


def test_a_table_that_is_no_file(tmp_path: Path) -> None:
    table(tmp_path, rows(SINGLE))
    with pytest.raises(DataError, match=r"there is no file .*lables.csv. Did you mean labels.csv\?"):
        probe(str(tmp_path / "lables.csv"))
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match=r"pipe.csv: not a regular file but a pipe"):
        probe(str(tmp_path / "pipe.csv"))
