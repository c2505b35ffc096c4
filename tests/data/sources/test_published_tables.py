"""Tables as they are published: read as they are where one reading fits, else refused with the options to give."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import data_makers as made
from convscope.data.open import open_dataset, probe
from convscope.data.source_options import AS_FOUND, SourceOptions
from convscope.errors import DataError
from convscope.training.resolve.budget import rows_to_learn

ROWS = 24
PICTURE = made.image(0, size=8)


@dataclass(frozen=True)
class Shape:
    """A table as one is published: where its images lie, its first lines, a line a row, and what must be read."""

    images: Callable[[int], str]
    head: str
    row: Callable[[int], str]
    classes: Sequence[str]
    labels: Callable[[int], int]
    name: str = "train.csv"
    options: SourceOptions = AS_FOUND


WORDS = ("AFRICAN FIREFINCH", "ALBATROSS", "AMERICAN PIPIT")
PUBLISHED = {
    "image_id,label in train_images": Shape(
        lambda n: f"train_images/{n}.jpg", "image_id,label", lambda n: f"{n}.jpg,{n % 5}", "01234", lambda n: n % 5
    ),
    "id,breed without endings in train": Shape(
        lambda n: f"train/{n:08x}.jpg",
        "id,breed",
        lambda n: f"{n:08x},{'ab'[n % 2]}oxer",
        ("aoxer", "boxer"),
        lambda n: n % 2,
    ),
    "id_code,diagnosis mostly 0 and 1": Shape(
        lambda n: f"train_images/c{n}.png",
        "id_code,diagnosis",
        lambda n: f"c{n},{(0, 0, 0, 0, 1, 4)[n % 6]}",
        "014",
        lambda n: (0, 0, 0, 0, 1, 2)[n % 6],
    ),
    "id,has_cactus": Shape(
        lambda n: f"train/train/{n}.jpg", "id,has_cactus", lambda n: f"{n}.jpg,{n % 2}", "01", lambda n: n % 2
    ),
    "filepaths,labels with names of two words": Shape(
        lambda n: f"train/{WORDS[n % 3]}/{n:03d}.jpg",
        "class id,filepaths,labels,scientific name",
        lambda n: f"{n % 3}.0,train/{WORDS[n % 3]}/{n:03d}.jpg,{WORDS[n % 3]},x",
        WORDS,
        lambda n: n % 3,
    ),
    "images in numbered parts, several labels, and patients": Shape(
        lambda n: f"images_{n // 12:03d}/images/{n // 2:08d}_{n % 2}.png",
        "Image Index,Finding Labels,Follow-up #,Patient ID,OriginalImage[Width,Height],",
        lambda n: f"{n // 2:08d}_{n % 2}.png,{('No Finding', 'Mass')[n % 2]},{n % 2},{n // 2},2682,2749,",
        ("Mass", "No Finding"),
        lambda n: 1 - n % 2,
        name="Data_Entry_2017.csv",
        options=SourceOptions(group_column="Patient ID"),
    ),
    "no header": Shape(
        lambda n: f"images/{n}.png", "", lambda n: f"images/{n}.png,{'ab'[n % 2]}", "ab", lambda n: n % 2
    ),
    "no header and no endings": Shape(
        lambda n: f"images/s{n}.png", "", lambda n: f"s{n}\t{'ab'[n % 2]}", "ab", lambda n: n % 2, name="labels.tsv"
    ),
    "one-hot columns of floats": Shape(
        lambda n: f"ISIC_Training_Input/I_{n}.jpg",
        "image,MEL,NV,BCC",
        lambda n: f"I_{n}," + ",".join(str(float(n % 3 == k)) for k in range(3)),
        ("MEL", "NV", "BCC"),
        lambda n: n % 3,
        name="ground_truth.csv",
    ),
    "metadata with images in two parts": Shape(
        lambda n: f"part_{1 + n % 2}/I_{n}.jpg",
        "lesion_id,image_id,dx,dx_type,age,sex",
        lambda n: f"L{n // 2},I_{n},{('nv', 'mel')[n // 2 % 2]},{('histo', 'follow')[n % 2]},{n % 7}.0,{'mf'[n % 2]}",
        ("mel", "nv"),
        lambda n: 1 - n // 2 % 2,
        name="metadata.csv",
    ),
    "semicolons, a mark at the start, quotes, Windows's line ends": Shape(
        lambda n: f"Bilder/{n}.tif",
        '\ufeff"Datei";"Befund"\r',
        lambda n: f'"{n}.tif";"{("gut", "Riss, klein")[n % 2]}"\r',
        ("Riss, klein", "gut"),
        lambda n: 1 - n % 2,
    ),
    "a path that begins above the table": Shape(
        lambda n: f"p{n // 2}/view{n % 2}.jpg",
        "Path,Sex,Frontal/Lateral,Finding",
        lambda n: f"set/p{n // 2}/view{n % 2}.jpg,{'mf'[n % 2]},F,{'ab'[n // 4 % 2]}",
        "ab",
        lambda n: n // 4 % 2,
        options=SourceOptions(label_column="finding"),
    ),
    "numbers beside names of the classes": Shape(
        lambda n: f"img/{n}.jpg",
        "id,category_id,category_name,split",
        lambda n: f"{n},{n % 2},{('cat', 'ant')[n % 2]},train",
        ("ant", "cat"),
        lambda n: 1 - n % 2,
    ),
}


def published(folder: Path, shape: Shape, rows: int = ROWS) -> Path:
    """Write a table of a shape and its images, all of which are the same picture."""
    for number in range(rows):
        path = folder / shape.images(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        PICTURE.save(path)
    table = folder / shape.name
    lines = ([shape.head] if shape.head else []) + [shape.row(number) for number in range(rows)]
    table.write_bytes("\n".join([*lines, ""]).encode())
    return table


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_table_is_read_without_a_rewrite(tmp_path: Path, name: str) -> None:
    shape = PUBLISHED[name]
    (tmp_path / "set" / "labels").mkdir(parents=True)
    table = published(tmp_path / "set", shape)
    found = probe(str(table), options=shape.options)
    assert found.classes == tuple(shape.classes) and not found.multi_label
    assert found.listing.labels.tolist() == [shape.labels(number) for number in range(ROWS)]
    written = [Path(path).resolve() for path in found.listing.names]
    assert written == [(tmp_path / "set" / shape.images(number)).resolve() for number in range(ROWS)]
    assert not found.listing.problems


SEVERAL = {
    "columns of 0 and 1": ("id,cat,dog", lambda n: f"{n},{n % 2},{n // 2 % 2}"),
    "columns of -1 and 1": ("id,cat,dog", lambda n: f"{n},{n % 2 * 2 - 1},{n // 2 % 2 * 2 - 1}"),
    "columns of no and Yes": ("id,cat,dog", lambda n: f"{n},{('no', 'Yes')[n % 2]},{('no', 'Yes')[n // 2 % 2]}"),
    "words with blanks between": ("id,labels", lambda n: f"{n},{('cat dog', 'dog', '', 'cat')[n % 4]}"),
    "another name and bars": (
        "Image Index,Finding Labels",
        lambda n: f"{n},{('cat|dog', 'dog', 'cat', 'dog|cat')[n % 4]}",
    ),
    "columns label_1 and label_2": (
        "id,label_1,label_2",
        lambda n: f"{n},{('cat', 'dog')[n % 2]},{('', 'dog')[n // 2 % 2]}",
    ),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_labels_an_image(tmp_path: Path, name: str) -> None:
    head, row = SEVERAL[name]
    shape = Shape(lambda n: f"images/{n}.png", head, row, (), lambda n: 0)
    found = probe(str(published(tmp_path, shape)))
    assert found.multi_label and found.classes == ("cat", "dog")
    assert found.listing.targets is not None
    line = row(0).split(",", 1)[1]
    assert found.listing.targets[0].tolist() == [int("cat" in line), int("dog" in line)]


def test_columns_of_text_become_several_labels_by_option(tmp_path: Path) -> None:
    shape = Shape(
        lambda n: f"{n}.png",
        "file,color,form,note",
        lambda n: f"{n}.png,{'rg'[n % 2]},{'oxv'[n % 3]},",
        (),
        lambda n: 0,
    )
    table = str(published(tmp_path, shape))
    found = probe(table, options=SourceOptions(label_column="form, COLOR"))
    assert found.multi_label and found.classes == ("g", "o", "r", "v", "x")
    with pytest.raises(
        DataError, match=r"color \(g, r\) and form \(o, v, x\) both can be the labels: label_column='color' or"
    ):
        probe(table)


def png(number: int) -> str:
    """The place of a row's image."""
    return f"images/{number}.png"


def breeds(number: int) -> str:
    """A row of a table id,breed."""
    return f"{number},b{number % 2}"


@pytest.mark.parametrize("ending", [".png", ""])
def test_accents_are_found_however_they_are_written(tmp_path: Path, ending: str) -> None:
    shape = Shape(
        lambda n: f"images/cafe\u0301 {n}.png", "image,label", lambda n: f"caf\xe9 {n}{ending},{n % 2}", (), lambda n: 0
    )
    assert len(probe(str(published(tmp_path, shape))).listing.names) == ROWS


@pytest.mark.parametrize("named", ["images/0{}.png", "images/%{:02x}.png"])
def test_a_file_that_is_called_alike_is_named(tmp_path: Path, named: str) -> None:
    shape = Shape(
        lambda n: f"images/{n or '0x'}.png", "image,label", lambda n: f"{named.format(n + 48)},{n % 2}", (), lambda n: 0
    )
    # The first row names 48, or %30, which is 0.
    folder = tmp_path / "images"
    folder.mkdir()
    for there in ("0.png", "48.png"):
        PICTURE.save(folder / there)
    with pytest.raises(DataError, match=r"no such file, but images/(0|48).png is there \(names begin"):
        probe(str(published(tmp_path, shape)))


UNDECIDED: list[tuple[str, Callable[[int], str], dict[str, str], str]] = [
    (
        "id,breed",
        breeds,
        {"label_column": "bred"},
        r"no column 'bred' \(label_column\), only id, breed. Did you mean b",
    ),
    ("id,breed", breeds, {"image_column": "idd"}, r"no column 'idd' \(image_column\).* Did you mean id\?"),
    ("id,breed", breeds, {"group_column": "patient"}, "no column 'patient'"),
    ("id,breed", breeds, {"image_folder": "image"}, "image: there is no folder .*. Did you mean images"),
    ("id,breed", breeds, {"image_ending": "jpg"}, r"24 of 24 images can't be opened; the first is in row 2, .*0.jpg"),
    (
        "id,breed",
        lambda n: f"x{n},b{n % 2}",
        {},
        "24 of 24 images can't be opened; the first is in row 2, .*x0: no such file.*image_folder",
    ),
    (
        "id,other,breed",
        lambda n: f"{n},{23 - n},b{n % 2}",
        {},
        r"id \(0, \.\.\.\) and other \(23, \.\.\.\) both name files: image_column='id' or image_column='other'",
    ),
    (
        "id,labels",
        lambda n: f"{n},{('no tumor', 'tumor')[n % 2]}",
        {},
        r"one class an image \(no tumor, tumor\), or several .*: label_separator='none' or label_separator='blank'",
    ),
    ("id,label", lambda n: f"{n},{'' if n == 3 else n % 2}", {}, "row 5 has no label"),
    ("id,label", lambda n: f"{n},{'nan' if n == 3 else n % 2}", {}, "row 5 has no label"),
    (
        "id,label",
        lambda n: f"{n},{'bad' if n == 3 else n % 3}",
        {},
        "row 5 has the label 'bad', a name, where others have a whole number: .* label_column='label'",
    ),
    ("id,label", lambda n: f"{n},{'1.0' if n % 2 else n % 3}", {}, "others have a .*number"),
    (
        "id,breed,patient",
        lambda n: f"{n},b{n % 2},{'' if n == 4 else n // 3}",
        {"group_column": "patient"},
        "row 6 has no patient: write one",
    ),
    (
        "id,age,edema,fracture",
        lambda n: f"{n},{n % 5},{('1.0', '', '0.0', '-1.0')[n % 4]},{('', '1.0')[n % 2]}",
        {},
        "edema, fracture hold 1, 0, and -1 or nothing in some rows: write 0 or 1 there",
    ),
    (
        "id,age,edema,fracture",
        lambda n: f"{n},{n % 5},{('1.0', '', '0.0', '-1.0')[n % 4]},{('', '1.0')[n % 2]}",
        {"label_column": "edema,fracture"},
        "edema, fracture hold 1, 0, and -1 or nothing",
    ),
    (
        "id,cat,dog",
        lambda n: f"{n},{(0.9, 0.1)[n % 2]},{(0.1, 0.9)[n % 2]}",
        {},
        r"cat, dog hold shares that add up to 1 in each row \(soft labels\): write the class of each image in one",
    ),
    (
        "id,cat,dog,bird",
        lambda n: f"{n},{('1', '.667', '0')[n % 3]},{('0', '.333', '5e-05')[n % 3]},{('0', '0.0', '1.0')[n % 3]}",
        {},
        "cat, dog, bird hold shares that add up to 1",
    ),
    (
        "id,diagnostic,smoke,biopsed",
        lambda n: f"{n},b{n % 3},{n % 2 == 0},{('no', 'yes')[n // 5 % 2]}",
        {},
        r"diagnostic \(b0, b1, b2\) can be the labels, and smoke, biopsed, of 0 and 1, too: "
        "label_column='diagnostic' or label_column='smoke,biopsed'",
    ),
    (
        "id,dx",
        lambda n: f"{n},b{n % 2}",
        {"group_column": "dx"},
        "group_column='dx' takes 'dx' as groups, and no other is of labels",
    ),
    ("id,breed,patient", lambda n: f"{n},b{n % 2},1", {"group_column": "3"}, "patient gives all images one group"),
    (
        "id,label,patient",
        lambda n: f"{n},b{n % 2},p{n % 2}",
        {"group_column": "patient"},
        "each class lies in one group of patient alone",
    ),
    (
        "id,label,split,patient",
        lambda n: f"{n},b{n // 4 % 2},{('train', 'test')[n // 12]},{n // 8}",
        {"group_column": "patient"},
        "patient has 1 group in both train and test",
    ),
]


@pytest.mark.parametrize(("head", "row", "options", "message"), UNDECIDED)
def test_what_can_not_be_decided_is_one_line(
    tmp_path: Path, head: str, row: Callable[[int], str], options: dict[str, str], message: str
) -> None:
    table = published(tmp_path, Shape(png, head, row, (), lambda n: 0))
    with pytest.raises(DataError, match=message) as caught:
        rows_to_learn(
            probe(str(table), options=SourceOptions(**options)).listing, held_back=0.1, test_fraction=0, seed=0
        )
    assert "\n" not in str(caught.value)


def test_two_kinds_are_read_where_the_column_is_named(tmp_path: Path) -> None:
    shape = Shape(png, "id,label", lambda n: f"{n},{'bad' if n == 3 else n % 3}", (), lambda n: 0)
    table = str(published(tmp_path, shape))
    assert probe(table, options=SourceOptions(label_column="label")).classes == ("0", "1", "2", "bad")


def test_folders_that_hold_the_same_names_are_both_shown(tmp_path: Path) -> None:
    shape = Shape(lambda n: f"small/{n}.png", "id,breed", lambda n: f"{n},b{n % 2}", (), lambda n: 0, name="labels.csv")
    table = published(tmp_path, shape)
    for number in range(ROWS):
        (tmp_path / "large").mkdir(exist_ok=True)
        made.image(1, size=8).save(tmp_path / "large" / f"{number}.png")
    with pytest.raises(
        DataError, match="large, small hold images of these names: image_folder='large' or image_folder="
    ):
        probe(str(table))
    found = probe(str(table), options=SourceOptions(image_folder="small"))
    assert Path(found.listing.names[0]) == tmp_path / "small" / "0.png"
    (tmp_path / "large").rename(tmp_path / "test_images")
    (tmp_path / "small").rename(tmp_path / "train_images")
    found = probe(str(table.rename(tmp_path / "train.csv")))
    assert Path(found.listing.names[0]) == tmp_path / "train_images" / "0.png"


def folders_of(folder: Path, place: Callable[[int], str], table: str, row: Callable[[int], str], head: str) -> Path:
    """A folder of images, each another one, with a table in it."""
    for number in range(ROWS):
        path = folder / place(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        made.image(number, size=8).save(path)
    (folder / table).write_text("\n".join([head, *map(row, range(ROWS))]))
    return folder


def test_a_table_is_read_where_its_images_lie_in_parts(tmp_path: Path) -> None:
    data = folders_of(
        tmp_path / "ham",
        lambda n: f"HAM_images_part_{n % 2 + 1}/ISIC_{n:04d}.png",
        "HAM_metadata.csv",
        lambda n: f"L{n // 2},ISIC_{n:04d},{('nv', 'mel', 'bkl')[n // 2 % 3]},{n % 4}",
        "lesion_id,image_id,dx,age",
    )
    (data / "hmnist_8_8.csv").write_text("pixel0,pixel1,label\n1,2,0\n3,4,1\n")
    assert probe(str(data), layout="classes").classes == ("HAM_images_part_1", "HAM_images_part_2")
    for part in (1, 2, 3):  # as it is published, twice: the copies are left out
        found = probe(str(data))
        assert found.kind == "table" and found.classes == ("bkl", "mel", "nv") and sum(found.counts.values()) == ROWS
        assert all("HAM_images_part" in name for name in found.listing.names)
        if part < 3:
            shutil.copytree(data / f"HAM_images_part_{part}", data / f"ham_images_part_{part}")
    assert probe(str(data), layout="none").classes == ("bkl", "mel", "nv")  # as a run keeps it


def test_a_table_beside_class_folders_is_read_where_they_do_not_differ(tmp_path: Path) -> None:
    def said(label: Callable[[int], object]) -> str:
        shutil.rmtree(tmp_path / "set", ignore_errors=True)
        data = folders_of(
            tmp_path / "set",
            lambda n: f"c{n % 3}/{n}.png",
            "list.csv",
            lambda n: f"p{n // 4},{label(n)},c{n % 3}/{n}.png",
            "subject,classname,img",
        )
        found = probe(str(data))
        return f"{found.kind} {' '.join(found.classes)}"

    assert said(lambda n: f"c{n % 3}") == said(lambda n: f"name {n % 3}") == "folder c0 c1 c2"
    assert said(lambda n: "xy"[n % 2]) == "table x y"  # folders that differ in their numbers alone
    data = folders_of(
        tmp_path / "pets",
        lambda n: f"{'cd'[n % 2]}/{n}.png",
        "t.csv",
        lambda n: f"{'cd'[n % 2]}/{n}.png,{n % 3}",
        "f,class",
    )
    both = r"by t.csv, whose labels are 0, 1, 2 \(give .*t.csv\), or as the classes c, d \(add layout='classes'"
    with pytest.raises(DataError, match=both):
        probe(str(data))
    # A table of patients' folders, whose labels can't be told: inside the only folder, too.
    data = folders_of(
        tmp_path / "chest/small",
        lambda n: f"train/patient{n // 2}/{n}.png",
        "train.csv",
        lambda n: f"small/train/patient{n // 2}/{n}.png,patient{n // 2},{n % 2},{n % 3}",
        "Path,patient,sex,edema",
    )
    for source in (data, data.parent):
        with pytest.raises(DataError, match=r"by train.csv, which lists the images .* or as the classes patient0, "):
            probe(str(source))


@pytest.mark.parametrize(
    ("place", "cell", "note"),
    [
        ("img/{}.png", "C:\\data\\img\\{}.png", "table: images by file without C:/data/; labels by label"),
        ("img/{}.png", "/home/ann/img/{}.png", "table: images by file without /home/ann/; labels by label"),
        ("{}.png", "../input/set/{}.png", "table: images by file without ../input/set/; labels by label"),
        ("img\\{}.JPG", "img\\{}.JPG", None),
        ("img/{}.JPG", "img\\{}.jpg", "24 files end otherwise than the table says, like 0.JPG"),
        ("{}.jpeg", "{}.jpg", "24 files end otherwise than the table says, like 0.jpeg"),
    ],
)
def test_names_of_another_machine(tmp_path: Path, place: str, cell: str, note: str | None) -> None:
    lines = "\ufefffile;label;size"
    data = folders_of(
        tmp_path / "set",
        lambda n: place.format(n),
        "t.csv",
        lambda n: f"{cell.format(n)};{'a b' if n % 2 else 'c'};1,5",
        lines,
    )
    found = probe(str(data))
    assert found.classes == ("a b", "c") and found.counts == {"all": ROWS} and not found.listing.problems
    written = [note for note in found.listing.notes if not note.startswith("columns")]
    assert written == ([] if note is None else [note])
    # A mask of the same name is no image that ends otherwise.
    for path in [*data.glob("**/*.JPG"), *data.glob("**/*.jpeg")]:
        path.rename(path.with_suffix(".gif"))
    if not list(data.glob("**/*.png")):
        with pytest.raises(DataError, match="24 of 24 images can't be opened"):
            probe(str(data))


HELD_ELSEWHERE = {
    "cat.0.jpg": (lambda n: f"train/{('cat', 'dog')[n % 2]}.{n}.jpg", "sampleSubmission.csv", "cat.0.jpg, dog.1.jpg"),
    "20_0_0_2017.jpg": (lambda n: f"{20 + n}_{n % 2}_{n % 3}_2017{n}.jpg", "sampleSubmission.csv", "20_0_0_20170.jpg"),
    "COCO": (
        lambda n: f"val2017/{n}.jpg",
        "annotations/instances_val2017.json",
        "instances_val2017.json is not read, for",
    ),
    "a list": (lambda n: f"images/{n}.jpg", "images.txt", "no class folders|one class only"),
}


@pytest.mark.parametrize("name", HELD_ELSEWHERE)
def test_labels_that_stand_in_no_table_are_one_line(tmp_path: Path, name: str) -> None:
    place, other, message = HELD_ELSEWHERE[name]
    (tmp_path / "annotations").mkdir()
    folders_of(tmp_path, place, other, lambda n: f"{n},0", "id,label")
    with pytest.raises(DataError, match=message) as caught:
        probe(str(tmp_path))
    assert "\n" not in str(caught.value)
    if not other.endswith(".csv"):
        with pytest.raises(
            DataError, match=r"labels are read from .csv and .tsv: write one with the columns image and"
        ):
            probe(str(tmp_path / other))


def test_splits_in_a_list_of_text_are_said(tmp_path: Path) -> None:
    data = folders_of(
        tmp_path, lambda n: f"images/{n % 2:03d}.Bird_{n % 2}/{n}.png", "train_test_split.txt", lambda n: f"{n} 1", ""
    )
    found = probe(str(data))
    assert found.classes == ("000.Bird_0", "001.Bird_1")
    assert any(note.startswith("train_test_split.txt: not read; to keep these splits") for note in found.listing.notes)


def test_names_that_fit_two_endings_are_both_shown(tmp_path: Path) -> None:
    table = str(published(tmp_path, Shape(png, "id,breed", lambda n: f"{n},b{n % 2}", (), lambda n: 0)))
    PICTURE.save(tmp_path / "images" / "7.jpg")
    with pytest.raises(DataError, match=r"7 is 7.jpg and 7.png: image_ending='.jpg' or image_ending='.png'"):
        probe(table)
    assert len(probe(table, options=SourceOptions(image_ending="png")).listing.names) == ROWS


def test_a_file_of_exactly_the_name_goes_before_one_with_an_ending(tmp_path: Path) -> None:
    for number in range(12):
        made.image(number, size=8).save(tmp_path / str(number), "PNG")
    made.image(99, size=8).save(tmp_path / "3.png")  # a preview, perhaps
    (tmp_path / "4").unlink()
    (tmp_path / "4").mkdir()
    made.image(4, size=8).save(tmp_path / "4.png")
    (tmp_path / "t.csv").write_text("id,label\n" + "".join(f"{number},{'ab'[number % 2]}\n" for number in range(12)))
    names = [Path(name).name for name in probe(str(tmp_path / "t.csv")).listing.names]
    assert names == ["0", "1", "2", "3", "4.png", *map(str, range(5, 12))]


def test_groups_are_kept_in_one_split_and_equal_images_too(tmp_path: Path) -> None:
    rows = 80
    shape = Shape(png, "id,label,patient_id", lambda n: f"{n},b{n // 8 % 2},p{n // 4}", (), lambda n: 0)
    table = published(tmp_path, shape, rows)
    for number in range(1, rows):  # images 0 and 79 are equal: their patients belong together
        made.image(number if number < rows - 1 else 0, size=8).save(tmp_path / png(number))
    made.image(0, size=8).save(tmp_path / png(0))
    found = probe(str(table))
    assert any("group_column='patient_id' keeps each in one split" in note for note in found.listing.notes)
    found = probe(str(table), options=SourceOptions(group_column="Patient ID"))
    for seed in range(8):
        data = open_dataset(found, cache_directory=tmp_path / "cache", seed=seed)
        of = {name: split for split, images in data.splits.items() for name in images.names}
        for number in range(rows):
            assert of[str(tmp_path / png(number))] == of[str(tmp_path / png(number // 4 * 4))]
        assert of[str(tmp_path / png(0))] == of[str(tmp_path / png(79))]
        assert data.counts == pytest.approx({"train": 64, "val": 8, "test": 8}, abs=4)
    assert "groups: 20 by patient_id for 80 images; none is parted by a split" in data.notes


def test_groups_by_a_part_of_the_names_of_class_folders(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / "ab"[number // 2 % 2]).mkdir(exist_ok=True)
        made.image(number, size=8).save(tmp_path / "ab"[number // 2 % 2] / f"p{number // 4}_{number}.png")
    found = probe(str(tmp_path))
    assert "group_by='{group}_*' keeps each in one split" in found.listing.notes[-1]
    found = probe(str(tmp_path), options=SourceOptions(group_by="{group}_*"))
    assert found.listing.groups is not None and found.listing.groups.count == 10
    data = open_dataset(found, cache_directory=tmp_path.with_name("cache"))
    patients = {
        split: {Path(name).name.split("_")[0] for name in images.names} for split, images in data.splits.items()
    }
    assert sum(map(len, patients.values())) == len(frozenset().union(*patients.values())) == 10
    made.image(99, size=8).save(tmp_path / "a" / "overview.png")
    with pytest.raises(DataError, match=r"group_by {group}_\* does not fit 1 of 41 names; the first is overview.png"):
        probe(str(tmp_path), options=SourceOptions(group_by="{group}_*"))


@pytest.mark.parametrize("pattern", ["*/{group}/*", "*/*/{group}_*"])
def test_groups_by_path_are_the_same_however_the_folder_is_named(
    pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/p.1/0", "a/p.2/1_3", "b/p.1/2", "b/p.2/3_3"):  # folders with a point, files without
        folder = tmp_path / "set" / name.rpartition("/")[0]
        folder.mkdir(parents=True, exist_ok=True)
        made.image(int(name[6]), size=8).save(tmp_path / "set" / name, "PNG")
    monkeypatch.chdir(tmp_path / "set")
    found = []
    for source in (".", str(tmp_path / "set"), "../set"):
        try:
            groups = probe(source, layout="classes", options=SourceOptions(group_by=pattern)).listing.groups
            found.append(groups.names if groups else "")
        except DataError as error:
            found.append(str(error).partition("group_by")[2])
    assert len(set(found)) == 1
    assert found[0] == ("p.1", "p.2") if pattern == "*/{group}/*" else "does not fit 2 of 4 names" in found[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group_by": "_"}, r"group_by is '_': mark the part"),
        ({"group_by": "{group}*"}, "there must be a sign between"),
        ({"group_by": "{group}"}, "makes every name a group of its own"),
        ({"group_by": "{group}_*", "group_column": "p"}, "leave one out"),
        ({"image_ending": "/"}, "it is the end of files' names"),
        ({"label_separator": "bars"}, r"one of bar, semicolon, comma, blank, none. Did you mean bar\?"),
    ],
)
def test_options_that_can_not_be_meant(options: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        SourceOptions(**options)


def test_columns_are_of_tables_alone(tmp_path: Path) -> None:
    made.fill(tmp_path, {"a": 2, "b": 2})
    with pytest.raises(
        DataError, match=r"label_column breed: .* is read without a table: name the .csv file, or leave it out"
    ):
        probe(str(tmp_path), options=SourceOptions(label_column="breed"))
    assert np.array_equal(probe(str(tmp_path)).listing.labels, [0, 0, 1, 1])


NAMES = ("cat", "dog", "hen")
TWINS: list[tuple[str, Callable[[int], str], dict[str, str], Sequence[str]]] = [
    ("id,label,label_name", lambda n: f"{n},{n % 3},{NAMES[n % 3]}", {}, NAMES),
    ("id,label,breed", lambda n: f"{n},{n % 3},{NAMES[n % 3]}", {}, NAMES),
    ("id,class,label", lambda n: f"{n},{NAMES[n % 2]},{n % 2}", {}, NAMES[:2]),
    ("id,label,class_name", lambda n: f"{n},{n % 3},{NAMES[n % 2]}", {}, "012"),
    ("id,label,sex", lambda n: f"{n},{n % 2},{'mf'[n % 2]}", {}, "01"),
    ("id,label,malignant", lambda n: f"{n},{n % 2},{n % 2 == 1}", {}, "01"),
    ("id,label,label_name", lambda n: f"{n},{n % 3},{NAMES[n % 3]}", {"label_column": "label"}, "012"),
]


@pytest.mark.parametrize(("head", "row", "options", "classes"), TWINS)
def test_of_two_columns_that_say_the_same_the_one_with_names_is_taken(
    tmp_path: Path, head: str, row: Callable[[int], str], options: dict[str, str], classes: Sequence[str]
) -> None:
    table = str(published(tmp_path, Shape(png, head, row, (), lambda n: 0)))
    found = probe(table, options=SourceOptions(**options))
    assert found.classes == tuple(classes)
    # A run that was trained on the numbers is measured by them.
    assert probe(table, options=SourceOptions(**options), earlier=("0", "1", "2")).classes[0] in {"0", *NAMES[:1]}


def drivers(tmp_path: Path) -> str:
    """A table of bare names of images that lie three folders below, in folders of classes."""
    row = lambda n: f"p{n // 6},c{n % 2},img_{n}.jpg"  # noqa: E731
    return str(
        published(
            tmp_path, Shape(lambda n: f"imgs/train/c{n % 2}/img_{n}.jpg", "subject,classname,img", row, (), lambda n: 0)
        )
    )


@pytest.mark.parametrize("folder", ["imgs", "imgs/train"])
def test_bare_names_are_found_anywhere_below_a_named_folder(tmp_path: Path, folder: str) -> None:
    table = drivers(tmp_path)
    with pytest.raises(DataError, match=r"but imgs/train/c0/img_0.jpg is there: image_folder='imgs/train'"):
        probe(table)
    found = probe(table, options=SourceOptions(image_folder=folder, group_column="subject")).listing
    assert found.classes == ("c0", "c1") and found.groups is not None and found.groups.count == 4
    assert f"table: images by img in {folder} and the folders in it; labels by classname" in found.notes


def test_a_bare_name_of_two_images_below_is_refused(tmp_path: Path) -> None:
    table = drivers(tmp_path)
    other = tmp_path / "imgs/test/img_3.jpg"
    other.parent.mkdir()
    made.image(1, size=8).save(other)
    with pytest.raises(DataError, match=r"img_3.jpg is both .*imgs/test/img_3.jpg and .*imgs/train/c1/img_3.jpg"):
        probe(table, options=SourceOptions(image_folder="imgs"))
    assert len(probe(table, options=SourceOptions(image_folder="imgs/train")).listing.names) == ROWS
