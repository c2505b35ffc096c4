"""A story of an inspection line: one class is good, every other is a defect, and few defects may be missed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convscope
from commands import run_command
from convscope.report.csv_table import read_csv


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey images: good ones of noise, with a bright column (=split) or a bright disc (verdict); one run of them."""
    folder = tmp_path_factory.mktemp("line")
    draw = np.random.default_rng(0)
    for name, count in {"good": 60, "=split": 30, "verdict": 30}.items():
        (folder / "parts" / name).mkdir(parents=True)
        for number in range(count):
            pixels = draw.integers(0, 120, (16, 16), dtype=np.uint8)
            if name == "=split":
                pixels[:, number % 16] = 255
            elif name == "verdict":
                pixels[3:9, 4:10] = 255
            Image.fromarray(pixels).save(folder / "parts" / name / f"{number}.png")
    return folder


TRAIN = "--model lenet5 --epochs 2 --threads 1 --validation-fraction 0.4 --test-fraction 0.3"


def test_the_threshold_is_kept_and_used_everywhere(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed = ("--good-class", "good", "--miss-rate", "0.05", "--runs", line / "runs", "--name", "line")
    code, out, err = run_command(capsys, "train", line / "parts", *TRAIN.split(), *typed)
    assert (code, err) == (0, err) and "from 24 validation defects" in out
    run = line / "runs" / "line"
    kept = json.loads((run / "model.json").read_text())["defects"]
    assert (kept["good_class"], kept["miss_rate"], kept["validation_defects"]) == ("good", 0.05, 24)
    page = (run / "report.html").read_text()
    assert "Missed defects and false alarms" in page and "precision, %" in page

    code, out, _ = run_command(capsys, "evaluate", run, "--json", "--predictions", line / "test.csv")
    found = json.loads(out)
    measured, rows = found["defects"], read_csv((line / "test.csv").read_text())
    assert (code, measured["threshold"]) == (0, kept["threshold"])
    assert list(rows[0]) == ["image", "true", "predicted", "verdict", "defect_score", "=split", "good", "P(verdict)"]
    missed = sum(row["true"] != "good" and row["verdict"] == "good" for row in rows)
    alarms = sum(row["true"] == "good" and row["verdict"] == "defect" for row in rows)
    assert (missed, alarms) == (measured["missed_defects"]["count"], measured["false_alarms"]["count"])
    assert [curve["class"] for curve in found["curves"]] == ["defect"]

    code, out, _ = run_command(capsys, "predict", run, line / "parts" / "good", "--csv")
    verdicts = read_csv(out)
    assert code == 0 and {row["verdict"] for row in verdicts} <= {"good", "defect"}
    for row in verdicts:
        assert sum(float(row[name]) for name in ("=split", "good", "P(verdict)")) == pytest.approx(1, abs=1e-6)
        assert (row["verdict"] == "defect") == (float(row["defect_score"]) >= float(f"{kept['threshold']:.6g}"))
    predictions = convscope.predict(run, line / "parts" / "good")
    assert [item["image"] for item in read_csv(predictions.to_csv(line / "all.csv"))] == [p.image for p in predictions]
    assert (line / "all.csv").read_text() == out.replace("\r", "") and "verdict" in str(predictions)
    _, out, _ = run_command(capsys, "predict", run, line / "parts" / "good", "--threshold", "0", "--csv")
    assert {row["verdict"] for row in read_csv(out)} == {"defect"}

    # Another rate, for this measuring alone.
    again = convscope.evaluate(run, miss_rate=0.5)
    assert again.to_dict()["defects"]["miss_rate"] == 0.5
    assert any("was chosen on these images" in note for note in convscope.evaluate(run, split="val").notes)
    assert json.loads((run / "model.json").read_text())["defects"] == kept
    # What is trained can't hold back more: the advice is a command that can.
    code, _, err = run_command(capsys, "evaluate", run, "--miss-rate", "0.01")
    assert code == 2 and "convscope train DATA --validation-fraction SHARE, or take 0.04 or more" in err


def test_an_ensemble_has_a_threshold_of_its_own(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed = ("--good-class", "good", "--miss-rate", "0.2", "--runs", line / "runs", "--name", "two", "--ensemble", "2")
    code, _, _ = run_command(capsys, "train", line / "parts", *TRAIN.split(), *typed)
    run = line / "runs" / "two"
    kept = json.loads((run / "model.json").read_text())["defects"]
    members = [json.loads((run / f"seed-{seed}" / "model.json").read_text())["defects"] for seed in (0, 1)]
    assert code == 0 and len({each["threshold"] for each in (kept, *members)}) == 3
    assert convscope.evaluate(run).to_dict()["defects"]["threshold"] == kept["threshold"]
    assert "Missed defects and false alarms" in (run / "report.html").read_text()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("--good-class god", "no class is called 'god'. Did you mean good? The classes: =split, good, verdict"),
        ("--miss-rate 0.05", "miss_rate 0.05: say which class is not a defect, --good-class good"),
        ("--good-class good --miss-rate 0.01", "takes 99 validation defects, and there are 24: hold back more, "),
        ("--good-class good --miss-rate 0.01", "--validation-fraction SHARE, or take 0.04 or more"),
    ],
)
def test_bad_input_is_a_line_before_an_image_is_decoded(
    line: Path, capsys: pytest.CaptureFixture[str], typed: str, said: str
) -> None:
    code, _, err = run_command(capsys, "train", line / "parts", *TRAIN.split(), *typed.split(), "--runs", line / "none")
    assert code == 2 and said in err and not (line / "none").exists()
