"""A data set is looked at as a training would: what is planted is found, and nothing else is said to be wrong."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convscope
import data_makers as made
from commands import run_command
from convscope.experiments.check.label_errors import _confidently_other


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CONVSCOPE_CACHE", str(folder))
    return folder


def said(found: convscope.DataCheck, severity: str) -> str:
    return "\n".join("\n".join((f.text, *f.more)) for f in found.findings if f.severity == severity)


def test_a_clean_data_set_has_no_error(tmp_path: Path) -> None:
    made.fill(tmp_path, {"cat": 30, "dog": 30})
    found = convscope.check(tmp_path, near_duplicates=True)
    assert found.errors == 0 and not said(found, "warning") and "split in memory" in said(found, "note")
    assert found.images == {"train": 48, "val": 6, "test": 6} and found.counts["train"] == {"cat": 24, "dog": 24}
    values = found.to_dict()
    assert values["formats"] == {"PNG, colour": 60} and values["sizes"]["median"] == "16x16"
    assert values["near_duplicates"] == [] and values["label_errors"] is None


def test_what_is_wrong_is_found_and_counts_when_strict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = made.fill(tmp_path / "train", {"cat": 40, "dog": 12})
    seed = made.fill(tmp_path / "test", {"cat": 4, "dog": 4}, first_seed=seed)
    made.fill(tmp_path / "val", {"cat": 2, "dog": 2}, first_seed=seed)
    (tmp_path / "train/cat/torn.png").write_bytes((tmp_path / "train/cat/000.png").read_bytes()[:200])
    (tmp_path / "train/dog/text.jpg").write_text("not an image")
    Image.open(tmp_path / "train/cat/001.png").save(tmp_path / "test/cat/same.bmp")
    large = Image.open(tmp_path / "train/cat/002.png").resize((64, 64), Image.Resampling.BICUBIC)
    large.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "test/dog/mirrored.png")
    found = convscope.check(tmp_path, near_duplicates=True)
    errors = said(found, "error")
    assert "2 images can't be read" in errors and "torn.png" in errors and "text.jpg" in errors
    assert "1 image has the same pixels" in errors and "same.bmp" in errors
    assert "1 pair of near-duplicates (1 mirrored) between train and test" in errors
    assert "1 pair of near-duplicates (1 mirrored) of two classes" in errors and "mirrored.png" in errors
    assert found.near_duplicates is not None
    assert [Path(found.names[pair.second]).name for pair in found.near_duplicates] == ["mirrored.png"]
    assert "'cat' has 40 training images and 'dog' 12" in said(found, "note")
    assert found.errors == 4 and len(found.to_dict()["not_readable"]) == 2

    page = tmp_path / "page.html"
    code, out, _ = run_command(capsys, "check", tmp_path, "--near-duplicates", "--page", page, "--json")
    printed, expected = json.loads(out), json.loads(json.dumps(found.to_dict()))
    # Advice names settings as options there, and as arguments here.
    assert [f["topic"] for f in printed.pop("findings")] == [f["topic"] for f in expected.pop("findings")]
    assert code == 0 and printed == expected
    code, out, _ = run_command(capsys, "check", tmp_path, "--strict")
    assert code == 1 and "error: 2 images can't be read" in out
    html = page.read_text()
    assert html.count("<img") == 24 + 12 + 2 + 1 and "Contact sheets" in html and "mirrored" in html
    # One file, without a script or a link to anything.
    assert not re.search(r"<script|https?://|src=\"(?!data:)", html)


def test_files_and_headers_are_read_once(tmp_path: Path, cache: Path) -> None:
    data, recipe = tmp_path / "data", convscope.Recipe(epochs=1, model="alexnet-mini", autotune="rules")
    made.fill(data, {"a": 10, "b": 10}, ending="jpg")
    first = convscope.check(data, recipe).to_dict()
    whats: list[str] = []
    again = convscope.check(data, recipe, progress=lambda done, total, what: whats.append(what)).to_dict()
    assert again == first and not whats
    # A training finds them decoded, too.
    (decoded,) = cache.rglob("entry.json")
    convscope.train(data, recipe, runs_directory=tmp_path)
    assert [*cache.rglob("entry.json")] == [decoded]


def test_a_folder_without_classes_and_one_of_one_class_are_looked_at(tmp_path: Path) -> None:
    made.fill(tmp_path, {"only": 12})
    Image.new("RGB", (16, 16)).save(tmp_path / "only/black1.png")
    Image.new("RGB", (16, 16)).save(tmp_path / "only/black2.png")
    found = convscope.check(tmp_path)
    assert "one class only" in said(found, "error") and "2 images are all black" in said(found, "warning")
    loose = convscope.check(tmp_path / "only")
    assert loose.classes == () and loose.images == {"all": 14} and "no class folders" in said(loose, "error")
    assert "Contact sheets" in loose.to_html() and "black1" in str(loose)
    with pytest.raises(convscope.ConvscopeError, match="there is no folder"):
        convscope.check(tmp_path / "nowhere")


@pytest.mark.parametrize("splits", [[""], ["train", "test"], ["train", "val"]])
def test_images_of_which_none_can_be_read_are_looked_at(splits: list[str], tmp_path: Path) -> None:
    for split in splits:
        for name in "ab":
            (tmp_path / split / name).mkdir(parents=True)
            (tmp_path / split / name / "0.jpg").write_text("version https://git-lfs.github.com/spec/v1\n")
    found = said(convscope.check(tmp_path), "error")
    assert f"{2 * len(splits)} images can't be read" in found and "none of the images of class 'a' can be read" in found


def test_several_labels_and_shards_are_looked_at(tmp_path: Path) -> None:
    table, targets = made.shapes_table(tmp_path, 60)
    found = convscope.check(table)
    assert found.errors == 0 and sum(found.counts["train"].values()) <= targets.sum()
    assert found.to_html().count("<h3>") >= 3
    convscope.shard(table, tmp_path / "shards")
    sharded = convscope.check(tmp_path / "shards")
    assert sharded.images == found.images and sharded.to_dict()["formats"] == found.to_dict()["formats"]


def test_labels_that_a_mirror_changes_and_dark_images_are_noted(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for name in ("arrow_left", "arrow_right"):
        (tmp_path / name).mkdir()
        for number in range(12):
            pixels = draw.integers(0, 24, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.{'png' if 'left' in name else 'bmp'}")
    found = convscope.check(tmp_path)
    assert "a mirror turns 'arrow_left' into 'arrow_right'" in said(found, "note")
    assert "has levels of 0 to 23 alone, of 0 to 255" in said(found, "warning")
    assert "the format and the kind of pixels alone tell the class of 100 %" in said(found, "warning")


def test_planted_label_errors_come_first(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    labels = np.arange(160) % 2
    # Bright above, or bright below.
    images = draw.integers(0, 80, (160, 16, 16, 1), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:8] += np.uint8(120 * (label == 0))
        image[8:] += np.uint8(120 * (label == 1))
    wrong = draw.choice(160, 8, replace=False)
    labels[wrong] = 1 - labels[wrong]
    found = convscope.check((images, labels), classes=["above", "below"], label_errors=True)
    assert found.label_errors is not None and found.label_errors.accuracy > 0.9
    assert set(found.label_errors.ranked[:8].tolist()) == set(wrong.tolist())
    likely = {error.row for error in found.label_errors.likely}
    assert likely and likely <= set(wrong.tolist())
    assert "likely wrong" in said(found, "warning") and "→" in found.to_html()
    alike = convscope.check((np.full((40, 16, 16, 3), 255, np.uint8), np.arange(40) % 2), label_errors=True)
    assert alike.label_errors is None and "equal pictures and groups stay together" in said(alike, "note")
    few = convscope.check((images[:12], np.arange(12) % 2), label_errors=True)
    assert few.label_errors is None and "and 10 are needed" in said(few, "note")


def test_copies_in_the_source_s_own_splits_are_an_error_whatever_is_cut_from_train(tmp_path: Path) -> None:
    seed = made.fill(tmp_path / "train", {"cat": 12, "dog": 12})
    made.fill(tmp_path / "test", {"cat": 4, "dog": 4}, first_seed=seed)
    for place in range(12):
        large = Image.open(tmp_path / f"train/cat/{place:03d}.png").resize((64, 64), Image.Resampling.BICUBIC)
        large.save(tmp_path / f"test/cat/large{place}.png")
    found = convscope.check(tmp_path, convscope.Recipe(validation_fraction=0.4), near_duplicates=True)
    assert "between val and test" in said(found, "error") and "between train and test" in said(found, "error")
    assert "near-duplicates" not in said(found, "warning")


def test_a_reason_is_said_once_whatever_its_numbers_are(tmp_path: Path) -> None:
    for number in range(24):
        picture = tmp_path / "ab"[number % 2] / f"{number}.pgm"
        picture.parent.mkdir(exist_ok=True)
        high = number < 12
        values = np.random.default_rng(number).integers(1000, 1500, (8, 8)) + 1000 * high
        picture.write_bytes(b"P5 8 8 4095\n" + values.astype(">u2").tobytes())
    found = convscope.check(tmp_path, convscope.Recipe(value_range="1900:2600"))
    assert "12: none of its pixels lies" in said(found, "error") and "other reason" not in said(found, "error")
    assert found.to_dict()["formats"] == {"PPM, 16-bit grey": 24}


def test_a_page_that_can_not_be_written_is_said_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "none/page.html"
    code, _, said = run_command(capsys, "check", tmp_path / "nothing", "--page", page)
    assert code == 2 and f"{page} can't be written: there is no folder {page.parent}" in said


def test_planted_errors_of_several_labels_come_first(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    targets = draw.integers(0, 2, (160, 2))
    images = draw.integers(0, 80, (160, 16, 16, 1), np.uint8)
    # Bright above, bright below, both or neither.
    images[:, :8] += (120 * targets[:, :1, None, None]).astype(np.uint8)
    images[:, 8:] += (120 * targets[:, 1:, None, None]).astype(np.uint8)
    wrong = draw.choice(160, 8, replace=False)
    targets[wrong, wrong % 2] ^= 1
    found = convscope.check((images, targets), classes=["above", "below"], label_errors=True)
    assert found.label_errors is not None and set(found.label_errors.ranked[:8].tolist()) == set(wrong.tolist())
    # What is wrong is one of the labels: its class, or the absence of it.
    for error in found.label_errors.likely:
        name = ("above", "below")[error.row % 2]
        shown = bool(targets[error.row, error.row % 2])
        assert (error.given, error.other) == ((name, f"not {name}") if shown else (f"not {name}", name))
    assert found.label_errors.likely and "→" in found.to_html()


def test_a_single_picture_of_one_colour_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.fill(tmp_path / "pets", {"cat": 12, "dog": 12})
    colours = ("black", "white", (9, 9, 9), (1, 2, 3), (3, 2, 1))
    for number, colour in enumerate(colours):
        Image.new("RGB", (16, 16), colour).save(tmp_path / f"pets/cat/blank{number}.png")
    Image.new("RGB", (16, 16)).save(tmp_path / "pets/loose.png")
    monkeypatch.chdir(tmp_path / "pets")
    found = convscope.check(".")
    warned = said(found, "warning")
    assert (
        re.search(r"1 image is all black: \S*blank0.png", warned) and "2 more images are each of one colour" in warned
    )
    # The folder is called by its own name.
    assert found.document().title == "Check of pets" and found.headline().startswith("pets: 29 images")
    assert "outside any class folder, and not read: 1 image in pets" in said(found, "note")


def test_a_split_of_tiny_classes_is_said(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(30), 2)
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
    notes = said(convscope.check((images, labels)), "note")
    assert "val has 50.0 % of the images, not 10.0 %" in notes and "test: no class has a third image" in notes


def test_a_class_that_every_image_shows_warns_of_nothing() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.8, 0.9]])
    given = np.array([[1, 0], [1, 1], [1, 1]], np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not _confidently_other(probabilities, given).any()


def test_a_crop_that_loses_much_of_the_pictures_is_noted(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(12):
            pixels = np.random.default_rng([number, len(name)]).integers(0, 256, (16, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{name}{number}.png")
    notes = said(convscope.check(tmp_path), "note")
    assert "24 images lose more than a quarter of the picture to the crop at 32x32: resize_mode='letterbox'" in notes
