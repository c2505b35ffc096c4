"""A story of unequal classes: an accuracy that hides one is never shown alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import run_command


def paint(folder: Path, counts: dict[str, int]) -> Path:
    """Grey images of noise, of which nothing can be learned."""
    draw = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = draw.integers(0, 256, (31, 29), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_a_hidden_class_is_named_wherever_the_accuracy_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = paint(tmp_path / "bolts", {"fine": 40, "torn": 6, "single": 1})
    typed = f"train {images} --model lenet5 --epochs 1 --threads 1 --test-fraction 0.3 --learning-rate 1e-9"
    code, out, err = run_command(capsys, *typed.split(), "--runs", tmp_path / "runs", "--name", "bolts")
    assert code == 0
    lines = out.splitlines()
    assert "test has no images of single" in err
    (headline,) = (line for line in lines if line.startswith("test accuracy"))
    assert ", balanced " in headline and ", macro F1 " in headline
    notes = [line.removeprefix("note: ") for line in lines if line.startswith("note: ")]
    assert "no test images of 'single': nothing is measured of it" in notes
    assert any(note.startswith("no validation images of 'single'") for note in notes)
    assert any(
        "of the test images are of class 'fine': predicting it always has that accuracy" in note for note in notes
    )

    run = tmp_path / "runs" / "bolts"
    page = (run / "report.html").read_text()
    assert "Balanced accuracy" in page and "Macro F1" in page
    assert "No test images of &#x27;single&#x27;" in page and "are of class &#x27;fine&#x27;" in page

    code, out, _ = run_command(capsys, "evaluate", run)
    assert code == 0 and "balanced accuracy" in out and "macro F1" in out
    assert [line for line in out.splitlines() if line.startswith("· no ") or "has no images" in line] == [
        "· no test images of 'single': nothing is measured of it"
    ]
    code, out, _ = run_command(capsys, "evaluate", run, "--json")
    found = json.loads(out)
    assert found["classes_without_images"] == ["single"] and found["largest_class"] == "fine"
    assert found["cautions"] == [note for note in notes if "validation" not in note]
    recalls = [item["recall"] for item in found["per_class"] if item["images"]]
    assert found["balanced_accuracy"] == pytest.approx(sum(recalls) / 2)
