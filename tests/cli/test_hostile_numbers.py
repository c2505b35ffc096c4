"""Numbers that can't be held, names said twice and endless nesting in any file of ours: one line, exit 2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import data_makers as made
from commands import run_command
from convscope.files.regular import UnreadableError
from convscope.runs.progress import RunProgress
from hostile_files import untrained_run

HUGE = "1" + 400 * "0"
JSON = ("", "[]", "{", '{"format": NaN}', f'{{"format": {HUGE}}}', '{"format": 1e999}', '{"format": 1, "format": 1}',
        5_000 * '{"a":' + "1" + 5_000 * "}", 100_000 * "[", '{"format": "\\ud800"}', "\0", "\ufeff{}")  # fmt: skip
TOML = ("epochs = inf", "learning_rate = nan", "learning_rate = 1e999", f"epochs = {HUGE}", "seed = 0x" + 300 * "f",
        "epochs = 1\nepochs = 2", "epochs = " + 5_000 * "[", "a" + 30_000 * ".a" + " = 1", "epochs = {a = 1}",
        "epochs = 1979-05-27", "\0", "data = [1]", 'model = "\\u0000"\nepochs = -1')  # fmt: skip


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    made.fill(tmp_path / "photos", {"a": 2, "b": 2})
    untrained_run(tmp_path / "run", str(tmp_path / "photos"))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "words", "texts"),
    [
        ("run/model.json", ("evaluate", "run"), JSON),
        ("run/model.json", ("inspect", "run"), JSON),
        ("run/ablation.json", ("ablate", "--resume", "run"), JSON),
        ("r.toml", ("train", "photos", "--recipe", "r.toml"), TOML),
        ("run/recipe.toml", ("evaluate", "run"), TOML),
    ],
)
def test_what_can_not_be_held_is_one_line(
    work: Path, name: str, words: tuple[str, ...], texts: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    for text in texts:
        (work / name).write_text(text, encoding="utf-8")
        code, _, err = run_command(capsys, *words)
        assert (code, len(err.splitlines())) == (2, 1), (text[:40], err)
        assert name in err and len(err) < 400 + len(str(work)), (text[:40], err)


ROW: dict[str, Any] = {
    "epoch": 1, "seconds": 1.5, "train_loss": 2.0, "train_accuracy": 0.5, "val_loss": None, "val_accuracy": None,
    "learning_rate": 0.1, "images_per_second": 9.0, "data_wait": 0.0, "best": True,
}  # fmt: skip
STATE: dict[str, Any] = {
    "epoch": 1, "step": 3, "seconds": 1.5, "best": {"epoch": 1, "accuracy": None, "loss": None}, "rows": [ROW],
    "data": "0a", "bits_depend_on": {"torch": "2"},
}  # fmt: skip


def test_a_state_is_read_as_it_was_written() -> None:
    progress = RunProgress.of(STATE)
    assert progress.epoch == progress.rows[0].epoch == 1 and not progress.rows[0].multi_label
    assert RunProgress.of(json.loads(json.dumps(progress.to_dict()))) == progress


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": -1}, "epoch is -1: it must be a whole number from 0"),
        ({"epoch": True}, "epoch is true"),
        ({"step": 2**60}, "step is 1152921504606846976"),
        ({"seconds": "1"}, "seconds is '1': it must be a finite number"),
        ({"best": {"epoch": 1, "weights": []}}, "it has a field 'best.weights'"),
        ({"best": {"epoch": 1, "accuracy": [], "loss": None}}, "best.accuracy is a list of 0"),
        ({"rows": {}}, "rows is an object of 0 fields: it must be a list"),
        ({"rows": [{**ROW, "__class__": 1}]}, r"it has a field 'rows\[0\].__class__'"),
        ({"rows": [{**ROW, "train_accuracy": 2}]}, r"rows\[0\].train_accuracy is 2: it must be a finite number from 0"),
        ({"bits_depend_on": 3}, "bits_depend_on is 3: it must be an object"),
        ({"data": None}, "data is null: it must be a text"),
    ],
)
def test_a_state_of_other_keys_or_types_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UnreadableError, match=message):
        RunProgress.of({**STATE, **change})


def test_an_argument_is_called_by_its_option(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for value in ("nan", "inf"):
        code, _, err = run_command(capsys, "predict", "run", "photos", "--threshold", value)
        assert code == 2 and err.startswith(f"convscope: --threshold is {value}: give ")
        code, _, err = run_command(capsys, "evaluate", "run", "--good-class", "a", "--miss-rate", value)
        assert code == 2 and err.startswith(f"convscope: --miss-rate is {value}: give ")
