"""Shards: a folder and the shards made of it are one data set, and hostile archives are refused in a line."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import data_makers as made
from commands import run_command
from convscope.data.open import open_dataset, probe
from convscope.data.pixels import build
from convscope.data.records import Dataset, Decoding
from convscope.data.shard import shard
from convscope.data.shards import write_shards as write_shards_module
from convscope.data.shards.shard_names import expand, split_of
from convscope.data.shards.write_shards import write_shards
from convscope.data.sources.measure import FileReader
from convscope.errors import DataError

SMALL = Decoding(size=(16, 16))


def file_bytes(seed: int) -> bytes:
    content = io.BytesIO()
    made.image(seed).save(content, "PNG")
    return content.getvalue()


def write_tar(path: Path, members: list[tuple[str, bytes]], **entry: object) -> Path:
    """An archive of members; `entry` changes each TarInfo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            described = tarfile.TarInfo(name)
            described.size = len(content)
            for key, value in entry.items():
                setattr(described, key, value)
            archive.addfile(described, io.BytesIO(content))
    return path


def pairs(count: int, *, first: int = 0) -> list[tuple[str, bytes]]:
    """Images of two classes, by their names, each beside its label."""
    members = []
    for number in range(first, first + count):
        members.append((f"{number:04d}.png", file_bytes(number)))
        members.append((f"{number:04d}.cls", b"cat" if number % 2 else b"dog"))
    return members


def many(count: int) -> list[tuple[str, bytes]]:
    """So many members of one picture, each beside its label: few among them are less than one in a hundred."""
    picture = file_bytes(999)
    return [
        member
        for number in range(count)
        for member in ((f"many{number:04d}.png", picture), (f"many{number:04d}.cls", b"cat"))
    ]


def contents(dataset: Dataset) -> dict[str, list[tuple[str, str]]]:
    """Each split's (class, hash of the pixels), sorted."""
    return {
        split: sorted(
            (dataset.classes[label], hashlib.sha256(images.images[row].tobytes()).hexdigest())
            for row, label in enumerate(images.labels)
        )
        for split, images in dataset.splits.items()
    }


def split_folder(folder: Path) -> Path:
    seed = made.fill(folder / "train", {"cat": 9, "dog": 7, "a bird": 5})
    seed = made.fill(folder / "val", {"cat": 2, "dog": 3, "a bird": 1}, first_seed=seed, ending="jpg")
    made.fill(folder / "test", {"cat": 1, "dog": 1, "a bird": 2}, first_seed=seed, ending="webp")
    return folder


def test_a_folder_and_its_shards_are_one_data_set(tmp_path: Path) -> None:
    folder = split_folder(tmp_path / "photos")
    written = write_shards(probe(str(folder)).listing, tmp_path / "shards", shard_images=4, seed=3)
    assert [(item.split, item.shards, item.images) for item in written.splits] == [
        ("train", 6, 21),
        ("val", 2, 6),
        ("test", 1, 4),
    ]
    one, other = open_dataset(str(folder), decoding=SMALL), open_dataset(str(tmp_path / "shards"), decoding=SMALL)
    assert (other.kind, other.classes) == ("shards", one.classes) == ("shards", ("a bird", "cat", "dog"))
    assert contents(one) == contents(other) and not other.problems
    # Shuffled: no class comes before all of another.
    assert other.train is not None and list(other.train.labels) != sorted(other.train.labels)
    # The files' own bytes are in there.
    with tarfile.open(tmp_path / "shards" / "val-000000.tar") as archive:
        image = next(entry for entry in archive if entry.name.endswith(".jpg"))
        assert archive.extractfile(image).read() in {path.read_bytes() for path in folder.glob("val/*/*.jpg")}  # type: ignore[union-attr]


def test_what_has_no_splits_keeps_none(tmp_path: Path) -> None:
    made.fill(tmp_path / "photos", {"a": 12, "b": 12})
    write_shards(probe(str(tmp_path / "photos")).listing, tmp_path / "out")
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["all-000000.tar", "dataset.json"]
    dataset = open_dataset(str(tmp_path / "out"), decoding=SMALL, validation_fraction=0.25, test_fraction=0.25)
    assert dataset.counts == {"train": 12, "val": 6, "test": 6}


def test_arrays_and_several_labels_go_through_as_well(tmp_path: Path) -> None:
    write_shards(probe("digits").listing, tmp_path / "digits")
    one, other = open_dataset("digits"), open_dataset(str(tmp_path / "digits"))
    assert sum(one.counts.values()) == sum(other.counts.values()) == 1797 and one.classes == other.classes

    made.fill(tmp_path / "images", {"x": 6})
    rows = ["image,labels", *(f"images/x/{n:03d}.png,{'cat|dog' if n % 2 else 'cat'}" for n in range(6))]
    (tmp_path / "table.csv").write_text("\n".join(rows))
    table = probe(str(tmp_path / "table.csv"))
    assert table.multi_label
    write_shards(table.listing, tmp_path / "several")
    found = probe(str(tmp_path / "several"))
    assert found.multi_label and found.classes == table.classes
    assert found.listing.targets is not None and sorted(found.listing.targets.sum(1)) == [1, 1, 1, 2, 2, 2]


def test_made_again_they_are_the_same_and_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = split_folder(tmp_path / "photos")

    def digests(name: str, **how: int) -> dict[str, str]:
        write_shards(probe(str(folder)).listing, tmp_path / name, shard_bytes=20_480, **how)
        assert max(path.stat().st_size for path in (tmp_path / name).iterdir()) == 20_480
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / name).iterdir()}

    first = digests("one", seed=1)
    assert digests("two", seed=1) == first != digests("three", seed=2)
    with pytest.raises(DataError, match="is there already, and is never overwritten"):
        write_shards(probe(str(folder)).listing, tmp_path / "one")
    with pytest.raises(DataError, match="lies in the source itself"):
        write_shards(probe(str(folder)).listing, folder / "shards")
    assert not list(tmp_path.glob(".new-*"))


def test_images_without_an_ending_are_found_again(tmp_path: Path) -> None:
    for number, name in enumerate(("a/1", "a/2.dat", "a/3.PNG", "b/1", "b/2", "b/3.x.y")):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(file_bytes(number))
    files = "".join(f"{path.relative_to(tmp_path)},{path.parent.name}\n" for path in sorted(tmp_path.glob("in/*/*")))
    (tmp_path / "labels.csv").write_text(f"image,label\n{files}")
    made = shard(tmp_path / "labels.csv", tmp_path / "shards")
    assert made.splits[0].images == 6 and not made.problems
    found = probe(str(tmp_path / "shards"))
    assert found.counts == {"all": 6} and found.listing.notes[:1] == ("1 shard",)
    assert all(name.endswith(".png") for name in found.listing.names)


def test_what_can_not_be_read_is_left_out_and_listed(tmp_path: Path) -> None:
    made.fill(tmp_path / "photos", {"a": 3, "b": 3})
    (tmp_path / "photos" / "a" / "torn.png").write_bytes(file_bytes(9)[:200])
    written = write_shards(probe(str(tmp_path / "photos")).listing, tmp_path / "out")
    assert [Path(problem.path).name for problem in written.problems] == ["torn.png"]
    assert written.splits[0].images == 6


def test_what_the_range_of_a_training_reads_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(3):
            floats = np.linspace(100, 300, 256, dtype=np.float32).reshape(16, 16) + number
            Image.fromarray(floats).save(tmp_path / "set" / name / f"{number}.tiff")
    Image.fromarray(np.full((16, 16), 9000, np.float32)).save(tmp_path / "set" / "a" / "bright.tiff")
    made_of = {
        value_range: shard(tmp_path / "set", tmp_path / value_range.replace(":", "-"), value_range=value_range)
        for value_range in ("100:400", "minmax")
    }
    counts = {value_range: (each.splits[0].images, len(each.problems)) for value_range, each in made_of.items()}
    assert counts == {"100:400": (6, 1), "minmax": (7, 0)}
    assert "bright.tiff" in made_of["100:400"].problems[0].path
    code, out, _ = run_command(capsys, "shard", tmp_path / "set", tmp_path / "typed", "--value-range", "100:400")
    assert code == 0 and "bright.tiff" in out
    for value_range, said in (("9:1", "9:1"), ("auto", "none of the images can be read; the first is ")):
        code, _, err = run_command(capsys, "shard", tmp_path / "set", tmp_path / "no", "--value-range", value_range)
        assert code == 2 and said in err and not (tmp_path / "no").exists()
    # Numbers in memory become levels by the range.
    given = (np.linspace(100, 400, 4 * 64).reshape(4, 8, 8), [0, 1, 0, 1])
    assert shard(given, tmp_path / "memory", value_range="100:400").splits[0].images == 4


@pytest.mark.parametrize("layout", ["names", "numbers and classes.txt", "json", "split folders", "pattern"])
def test_layouts_that_others_write(tmp_path: Path, layout: str) -> None:
    source = tmp_path / "data"
    members = pairs(8)
    if layout == "numbers and classes.txt":
        members = [(name, {b"cat": b"0", b"dog": b" 1\n"}.get(content, content)) for name, content in members]
        source.mkdir()
        (source / "classes.txt").write_text("cat\ndog\n")
    if layout == "json":
        members = [
            (name.replace(".cls", ".json"), json.dumps({"label": content.decode(), "width": 3}).encode())
            if name.endswith(".cls")
            else (name, content)
            for name, content in members
        ]
    train = source / "train" / "000.tar" if layout == "split folders" else source / "imagenet-train-000.tar"
    val = source / "val" / "000.tar" if layout == "split folders" else source / "imagenet-val-000.tar"
    write_tar(train, members[:12])
    write_tar(val, members[12:])
    given = str(source / "imagenet-{train,val}-*.tar") if layout == "pattern" else str(source)
    dataset = open_dataset(given, decoding=SMALL)
    assert dataset.classes == ("cat", "dog") and dataset.counts == {"train": 6, "val": 2}
    assert dataset.class_counts("train") == {"cat": 3, "dog": 3}
    expected = np.asarray(made.image(int(Path(dataset.splits["train"].names[0]).name.split(":")[1][:4])))
    assert np.array_equal(dataset.splits["train"].images[0], expected)


def test_patterns_and_names() -> None:
    assert expand("a/{train,val}-{098..101}.tar")[2:5] == ["a/train-100.tar", "a/train-101.tar", "a/val-098.tar"]
    assert [split_of(name) for name in ("Validation_1.tar", "restrain.tar", "x-test-0.tar")] == ["val", "all", "test"]
    with pytest.raises(DataError, match=r"names more than 100,000 shards"):
        expand("{0..99999999999}.tar")
    with pytest.raises(DataError, match=r"the numbers of \{12..03\} go down: write \{03..12\}"):
        expand("train-{12..03}.tar")


@pytest.mark.parametrize("folder", ["set[1]", "set{old}", "set*"])
def test_a_file_of_exactly_this_name_is_no_pattern(folder: str, tmp_path: Path) -> None:
    assert probe(str(write_tar(tmp_path / folder / "train-0.tar", pairs(4)))).counts == {"train": 4}


def test_no_more_images_are_read_ahead_than_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.fill(tmp_path, {"a": 6, "b": 6})
    read: list[int] = []

    class Counted(FileReader):
        def original(self, row: int) -> tuple[bytes, str]:
            read.append(row)
            return super().original(row)

    monkeypatch.setattr(write_shards_module, "AHEAD_BYTES", 1)
    monkeypatch.setattr(write_shards_module.os, "cpu_count", lambda: 2)
    listing = probe(str(tmp_path)).listing
    listing = replace(listing, read=Counted(listing.names))
    look = Decoding(size=(8, 8))
    ahead = [len(read) - done for done, _ in enumerate(write_shards_module._contents(listing, [*range(12)], look, []))]
    assert max(ahead) <= 2 and ahead[2:] == [1] * 10


def test_a_folder_whose_name_is_too_long_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be written: File name too long"):
        shard("digits", tmp_path / ("x" * 300))


def test_members_that_are_no_sample_are_listed_with_the_reason(tmp_path: Path) -> None:
    good = [*pairs(6), *many(500)]
    odd = [
        ("../escape.png", file_bytes(20)),
        ("../escape.cls", b"cat"),
        ("/absolute.png", file_bytes(21)),
        ("unlabelled.png", file_bytes(22)),
        ("empty.png", file_bytes(23)),
        ("empty.cls", b"  "),
        ("two.left.png", file_bytes(24)),
        ("two.right.png", file_bytes(25)),
        ("two.cls", b"cat"),
        ("0001.png", file_bytes(26)),
        ("torn.png", file_bytes(27)[:300]),
        ("torn.cls", b"cat"),
        ("bad.png", file_bytes(28)),
        ("bad.json", b"{" * 100_000),
        ("point.png", file_bytes(30)),
        ("point.json", b'{"label": 3.5}'),
        ("alone.cls", b"cat"),
        ("huge.png", file_bytes(29)),
        ("huge.cls", b"9" * (2**20 + 1)),
    ]
    path = write_tar(tmp_path / "shard-0.tar", good + odd)
    with tarfile.open(path, "a") as archive:
        for name, kind, target in (("l.png", tarfile.SYMTYPE, "/etc/passwd"), ("h.png", tarfile.LNKTYPE, "0001.png")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            archive.addfile(link)
        device = tarfile.TarInfo("d.png")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
    write_tar(tmp_path / "shard-1.tar", pairs(1))
    dataset = open_dataset(str(tmp_path), decoding=SMALL, validation_fraction=0, test_fraction=0)
    assert sum(dataset.counts.values()) == 506
    reasons = {problem.path.removeprefix(str(tmp_path)): problem.reason for problem in dataset.problems}
    for name, reason in {
        "../escape.png": "leads out of the archive",
        "/absolute.png": "leads out of the archive",
        "unlabelled.png": "no label: there is no KEY.cls and no KEY.json",
        "empty.png": "its label is empty",
        "two.left.png": "its key has 2 images",
        "0001.png": "its name is there already",
        "torn.png": "",
        "bad.png": "KEY.json can't be read",
        "point.png": "label of its KEY.json is 3.5, and must be a text or a whole number",
        "huge.png": "its label claims 1,048,577 bytes",
        "l.png": "a link",
        "h.png": "a link",
        "d.png": "not a plain file",
    }.items():
        assert any(name == path.split(":", 1)[1] and reason in said for path, said in reasons.items()), (name, reasons)
    assert "already, in this split" in reasons["/shard-1.tar:0000.png"]
    assert any("2 members (.cls) belong to no image and were not read" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "is empty"),
        (lambda data: b"no archive " * 100, "is not a whole tar archive"),
        (lambda data: data[:700], "cut short|not a whole"),
        (lambda data: data[: len(data) // 2], "cut short|not a whole"),
        (lambda data: data[: len(data) // 1024 * 512], "cut short|not a whole|claims"),
        (lambda data: data[:1536] + b"\xff" * 512 + data[2048:], "damaged|not a whole"),
        (lambda data: b"\x1f\x8b" + data, "is compressed"),
        # A size of 8 GiB less a byte in the first header, its checksum put right.
        (lambda data: resized(data, b"77777777777\0"), "claims 8,589,934,591 bytes"),
        (lambda data: resized(data, b"\xff" * 12), "claims -1 bytes|not a whole"),
    ],
)
def test_damaged_archives_are_one_line(tmp_path: Path, damage: object, message: str) -> None:
    path = write_tar(tmp_path / "train-0.tar", pairs(6))
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DataError, match=message) as refused:
        probe(str(tmp_path))
    assert "train-0.tar" in str(refused.value) and "\n" not in str(refused.value)


def resized(data: bytes, size: bytes) -> bytes:
    header = bytearray(data[:512])
    header[124:136] = size
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header) + data[512:]


def test_a_header_that_asks_for_memory_is_refused(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 2**31
    (tmp_path / "a.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with pytest.raises(DataError, match=r"a header of 2,147,48\d,\d+ bytes"):
        probe(str(tmp_path / "a.tar"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"val-0.tar": 4}, "shards of val but none of train"),
        ({"train-0.tar": 4, "more.tar": 4}, "more.tar names no split and others do"),
        ({"train-0.tar": 1}, "has one class only"),
    ],
)
def test_folders_of_shards_that_can_not_be_trained_on(tmp_path: Path, files: dict[str, int], message: str) -> None:
    for place, (name, count) in enumerate(files.items()):
        write_tar(tmp_path / name, pairs(count, first=100 * place))
    with pytest.raises(DataError, match=message):
        probe(str(tmp_path))


def test_lists_of_labels_that_are_all_empty_are_refused(tmp_path: Path) -> None:
    members = [(f"{n}.{ending}", data) for n in range(4) for ending, data in (("png", file_bytes(n)), ("json", b"{}"))]
    write_tar(
        tmp_path / "train-0.tar", [(name, data if data != b"{}" else b'{"labels": []}') for name, data in members]
    )
    with pytest.raises(DataError, match="no image has a label"):
        probe(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("classes.txt", "cat\ncat\n", "is no list of different class names"),
        ("classes.json", "{", "not JSON"),
        ("dataset.json", '{"classes": ["cat", 3]}', "is no list of different class names"),
        ("classes.txt", "cat\ndog\nowl\n", "no image that is learned from shows the class 'owl'"),
    ],
)
def test_lists_of_classes_that_do_not_fit(tmp_path: Path, name: str, text: str, message: str) -> None:
    write_tar(tmp_path / "train-0.tar", pairs(6))
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        probe(str(tmp_path))


def test_another_list_of_classes_takes_other_images_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "COMPARED_ROWS", 0)  # which would find it, but by chance alone
    odd = [("emu.png", file_bytes(1)), ("emu.cls", b"emu"), ("fox.png", file_bytes(2)), ("fox.cls", b"fox")]
    write_tar(tmp_path / "all-0.tar", [*pairs(2, first=5), *odd, *many(198)])
    for name in ("emu", "fox"):
        (tmp_path / "classes.txt").write_text(f"cat\ndog\n{name}\n")
        found = open_dataset(
            str(tmp_path), decoding=SMALL, validation_fraction=0, test_fraction=0, cache_directory=tmp_path / "cache"
        )
        (row,) = np.flatnonzero(found.splits["train"].labels == 2)
        expected = np.asarray(Image.open(io.BytesIO(file_bytes(1 if name == "emu" else 2))))
        assert len(found.splits["train"]) == 201 and np.array_equal(found.splits["train"].images[int(row)], expected)


def test_a_label_that_is_no_class_is_listed(tmp_path: Path) -> None:
    write_tar(tmp_path / "train-0.tar", [*pairs(6), *many(100), ("0100.png", file_bytes(100)), ("0100.cls", b"7")])
    (tmp_path / "classes.json").write_text('{"0": "cat", "1": "dog"}')
    assert [problem.reason for problem in probe(str(tmp_path)).listing.problems] == [
        "its label 7 is none of the 2 classes"
    ]


@pytest.mark.parametrize("said", [None, b"9"])
def test_many_images_without_a_label_stop_as_many_missing_files_do(tmp_path: Path, said: bytes | None) -> None:
    label = [("0100.cls", said)] if said else []
    write_tar(tmp_path / "train-0.tar", [*pairs(6), *many(90), ("0100.png", file_bytes(100)), *label])
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    with pytest.raises(DataError, match=r"1 of 97 images have no label that can be used; the first is .*0100.png: "):
        probe(str(tmp_path))


def test_shards_that_are_lost_are_missed(tmp_path: Path) -> None:
    made.fill(tmp_path / "photos", {"a": 30, "b": 30})
    whole = tmp_path / "my shards"
    write_shards(probe(str(tmp_path / "photos")).listing, whole, shard_images=12)
    assert probe(str(whole)).listing.notes == ("5 shards",)
    (whole / "all-000001.tar").unlink()
    with pytest.raises(DataError) as refused:
        probe(str(whole))
    assert "dataset.json counts 60 images in 5 shards; here are 48 images in 4 shards: 20.0 % are missing" in str(
        refused.value
    )
    # What is proposed, for those who mean what is there, does it.
    call = ast.parse(str(refused.value).rpartition(": ")[2], mode="eval").body
    assert isinstance(call, ast.Call)
    pattern = ast.literal_eval(call.args[0])
    assert probe(pattern).counts == {"all": 48} and probe(pattern).classes == ("a", "b")


def test_a_shortfall_of_less_than_one_in_a_hundred_is_a_note(tmp_path: Path) -> None:
    write_tar(tmp_path / "train-0.tar", [*pairs(6), *many(195)])
    written = {"train": {"shards": 1, "images": 203, "bytes": 0}}
    (tmp_path / "dataset.json").write_text(json.dumps({"classes": ["cat", "dog"], "splits": written}))
    assert probe(str(tmp_path)).listing.notes == (
        "1 shard",
        "dataset.json counts 203 images in 1 shard; here are 201 images in 1 shard: 2 are missing",
    )
    for strange in ("none", ["train"], {"train": 3}, {"train": {"images": "many"}}):
        (tmp_path / "dataset.json").write_text(json.dumps({"classes": ["cat", "dog"], "splits": strange}))
        assert probe(str(tmp_path)).listing.notes == ("1 shard",)


def test_of_what_comes_twice_only_images_are_kept_out(tmp_path: Path) -> None:
    write_tar(tmp_path / "train-0.tar", [*pairs(6), *pairs(3)])
    listing = probe(str(tmp_path)).listing
    assert [Path(problem.path).suffix for problem in listing.problems] == [".png"] * 3
    assert "3 members beside images came a second time: the first counts" in listing.notes


def test_the_keys_of_each_archive_may_begin_anew(tmp_path: Path) -> None:
    for shard_number in range(3):
        named = [(f"{n:04d}.{end}", content) for n in range(4) for end, content in (
            ("png", file_bytes(4 * shard_number + n)), ("cls", b"cat" if n % 2 else b"dog"))]  # fmt: skip
        write_tar(tmp_path / f"train-{shard_number}.tar", named)
    write_tar(tmp_path / "train-copy.tar", pairs(4))
    listing = probe(str(tmp_path)).listing
    assert listing.parts == {"train": 12}
    assert [problem.path.partition("/train-")[2] for problem in listing.problems] == [
        f"copy.tar:{number:04d}.png" for number in range(4)
    ]


def test_hidden_members_are_passed_over(tmp_path: Path) -> None:
    fork = b"\0\5\x16\7" + bytes(100)
    twins = [(f"{folder}._{name}", fork) for folder in ("", "./") for name, _ in pairs(4)]
    write_tar(tmp_path / "train-0.tar", [*twins, ("__MACOSX/0001.png", fork), *pairs(4)])
    listing = probe(str(tmp_path)).listing
    assert listing.parts == {"train": 4} and not listing.problems and listing.notes == ("1 shard",)


def test_an_archive_beside_class_folders_is_not_read(tmp_path: Path) -> None:
    made.fill(tmp_path, {"a": 3, "b": 3})
    write_tar(tmp_path / "backup.tar", pairs(4))
    assert probe(str(tmp_path)).kind == "folder"


def test_a_pattern_may_be_longer_than_a_name(tmp_path: Path) -> None:
    shards = [f"train-{number:03d}" for number in range(30)]
    for number, shard_name in enumerate(shards):
        write_tar(tmp_path / f"{shard_name}.tar", pairs(2, first=2 * number))
    pattern = f"{{{','.join(shards)}}}.tar"
    assert len(pattern) > 255 and probe(str(tmp_path / pattern)).counts == {"train": 60}


def test_shards_that_are_not_there(tmp_path: Path) -> None:
    write_tar(tmp_path / "train-0.tar", pairs(4))
    with pytest.raises(DataError, match=r"there is no shard .*train-1.tar"):
        probe(str(tmp_path / "train-{0..1}.tar"))
    with pytest.raises(DataError, match="there is no shard"):
        probe(str(tmp_path / "nothing-*.tar"))
