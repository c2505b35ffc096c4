"""Labs are checked from the folders that commands write; what is missing, damaged or hostile is said."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import run_command
from convscope.course.course import chapters
from convscope.course.labs import LABS, check_lab
from convscope.course.texts import texts_of
from convscope.data.sources.cifar import CIFAR10_CLASSES
from convscope.errors import ArgumentError

RESULTS = """variant,seed,ending,accuracy,train_accuracy,best_val_accuracy,best_epoch,seconds
baseline,0,done,0.80,0.9,0.8,9,10
baseline,1,done,0.82,0.9,0.8,9,10
no-dropout,0,done,0.83,0.9,0.8,9,10
no-dropout,1,done,0.85,0.9,0.8,9,10
sigmoid,0,diverged,,0.1,0.1,1,10
sigmoid,1,done,0.10,0.1,0.1,1,10
"""
MODEL = {
    "format": 2, "loss": "softmax", "tta": "one", "temperature": 1.0,
    "preprocessing": {
        "size": [32, 32], "channels": 3, "resize_mode": "crop", "background": [255, 255, 255], "value_range": "auto",
        "max_megapixels": 50, "jpeg_reduction": 1, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25],
    },
}  # fmt: skip


def test_an_ablation_is_shown_once_its_order_is_guessed(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(RESULTS)
    first = check_lab("ablation", tmp_path)
    assert (first.done, first.says, first.rows) == (False, "guess-first", ())
    found = check_lab("ablation", tmp_path, ["baseline", "no-dropout", "sigmoid"])
    assert found.done and found.values == {"right": 1, "count": 3}
    assert [row[0] for row in found.rows] == ["no-dropout", "baseline", "sigmoid"]
    assert found.rows[0][1] == "84.0 %" and "–" in found.rows[0][2] and found.rows[2][2] == ""


def test_an_ablation_that_goes_on_shows_no_order(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(RESULTS)
    plan = {"variants": ["baseline", "no-dropout", "sigmoid", "relu"], "seeds": [0, 1]}
    (tmp_path / "ablation.json").write_text(json.dumps(plan))
    found = check_lab("ablation", tmp_path, ["baseline", "no-dropout", "sigmoid"])
    assert (found.done, found.says, found.rows) == (False, "unfinished", ())
    assert found.values == {"trained": 6, "count": 8}
    (tmp_path / "ablation.json").write_text(json.dumps({**plan, "variants": plan["variants"][:3]}))
    assert check_lab("ablation", tmp_path, ["Baseline", "No-Dropout", "sigmoid"]).done
    (tmp_path / "ablation.json").write_text("[]")  # the results are there all the same
    assert check_lab("ablation", tmp_path, ["baseline", "no-dropout", "sigmoid"]).done


def test_of_variants_that_are_equal_either_order_is_right(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("variant,seed,accuracy\na,0,0.1\nb,0,0.1\nc,0,0.5\n")
    for guess in (["c", "a", "b"], ["c", "b", "a"]):
        assert check_lab("ablation", tmp_path, guess).values["right"] == 3


@pytest.mark.parametrize(("maps", "says"), [
    (np.random.default_rng(0).normal(size=(8, 5, 5)), "maps"), (np.zeros((8, 5, 5)), "other-maps"),
    (np.ones((3, 5, 5)), "other-maps"), (np.ones(4), "other-maps"),
])  # fmt: skip
def test_eight_maps_are_counted(tmp_path: Path, maps: np.ndarray, says: str) -> None:
    np.savez_compressed(tmp_path / "random-convolution.npz", maps=maps, measures=np.ones(8))
    assert check_lab("maps", tmp_path).says == says


def test_the_command_of_the_maps_passes_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save("photo.jpg")
    command = shlex.split(texts_of("7")["widget"]["lab-maps-command"])
    code, _, err = run_command(capsys, *command[1:])
    assert code == 0, err
    found = check_lab("maps", Path("runs/eight-maps"))
    assert found.done and found.values == {"count": 8, "varied": 8}


@pytest.mark.parametrize(("network", "data", "accuracy", "says"), [
    ("alexnet-mini", "cifar10", 0.751, "reached"), ("alexnet-mini", "cifar10", 0.749, "below"),
    ("alexnet-mini", "digits", 0.99, "other-data"), ("lenet5", "cifar10", 0.8, "other-network"),
])  # fmt: skip
def test_an_alexnet_counts_on_the_images_of_the_lab(
    tmp_path: Path, network: str, data: str, accuracy: float, says: str
) -> None:
    classes = CIFAR10_CLASSES if data == "cifar10" else tuple("0123456789")
    model = {**MODEL, "network": {"name": network, "options": {}}, "classes": classes}
    (tmp_path / "model.json").write_text(json.dumps(model))
    scores = {"format": 1, "split": "test", "images": 10_000, "accuracy_top1": accuracy}
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    assert check_lab("alexnet", tmp_path).says == says
    (tmp_path / "scores.json").write_text(json.dumps({**scores, "accuracy_top1": 0.7496}))
    assert check_lab("alexnet", tmp_path).values.get("accuracy") in (None, "74.96 %")  # not 75.0, which would do
    (tmp_path / "scores.json").write_text(json.dumps({**scores, "images": 20}))
    assert check_lab("alexnet", tmp_path).says == (says if says.startswith("other") else "few-images")


def test_no_interval_is_beyond_what_an_accuracy_can_be(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("variant,seed,accuracy\na,0,0.7\na,1,0.97\nb,0,0.1\nb,1,0.1\n")
    found = check_lab("ablation", tmp_path, ["a", "b"])
    assert found.rows[0][2] == "0.0 % – 100.0 %"


@pytest.mark.parametrize("lab", list(LABS))
@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", b"\xff\xfe" * 40, RESULTS.encode()[:90], b"variant,seed\n1,2\n"]
)
def test_a_folder_without_a_lab_is_said(tmp_path: Path, lab: str, content: bytes) -> None:
    for name in ("results.csv", "random-convolution.npz", "model.json", "scores.json"):
        (tmp_path / name).write_bytes(content)
    found = check_lab(lab, tmp_path)
    assert not found.done and found.says in ("no-maps", "no-run", "no-ablation", "other-maps")


def test_there_is_a_sentence_for_everything_that_is_found() -> None:
    texts = texts_of("7")["widget"]
    source = Path(check_lab.__code__.co_filename).read_text(encoding="utf-8")
    said = {part.split('"')[1] for part in source.split("says=")[1:] if part.startswith('"')}
    assert {f"says-{name}" for name in said} <= set(texts)
    assert {"says-maps", "says-order", "says-reached", "says-below"} <= set(texts)


def test_an_unknown_lab_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="Did you mean ablation"):
        check_lab("ablatoin", tmp_path)


@pytest.mark.parametrize("number", [5, 6, 7, 8])
def test_a_chapter_has_at_most_900_words_and_8_steps(number: int) -> None:
    texts = texts_of(str(number))
    prose = [texts["summary"], *texts["own"]["text"], *(task["text"] for task in texts["tasks"])]
    for step in texts["steps"]:
        prose += [step["title"], *step["text"]]
    assert sum(len(text.split()) for text in prose) <= 900
    assert len(texts["steps"]) <= 8
    assert number in {chapter.number for chapter in chapters()}
