"""A disk that refuses files, and a process that is killed between two of them: what was reached is kept."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ablations import RECIPE
from convscope.cli.progress import log_lines
from convscope.errors import RunError
from convscope.recipe.recipe import Recipe
from convscope.runs import atomic_files as files
from convscope.runs.atomic_files import WriteError
from convscope.runs.checkpoint import saved_checkpoints
from convscope.runs.events import EpochRow, Silent
from convscope.runs.run_directory import Run
from convscope.runs.run_names import create_run
from convscope.training import kept_state, new_run
from convscope.training.loop import loop
from convscope.training.outcome import Outcome
from convscope.training.train import train
from convscope.training.train_run import train_on
from trainings import train_watched

EPOCHS = 3


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_state, "CHECKPOINT_EVERY_SECONDS", 0.0)
        recipe = RECIPE.changed({"epochs": EPOCHS})
        return train("digits", recipe, runs_directory=tmp_path_factory.mktemp("runs"), name="whole")


class _Disk:
    """A disk that takes no file of more bytes than `limit`."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.limit = 2**40
        self._write = files._write_through
        patch.setattr(files, "_write_through", self._take)

    def _take(self, path: Path, content: bytes | str) -> None:
        if len(content) > self.limit:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._write(path, content)


class _FullAfter(Silent):
    def __init__(self, disk: _Disk, epoch: int, limit: int) -> None:
        self._disk, self._epoch, self._limit = disk, epoch, limit

    def epoch_ended(self, row: EpochRow) -> None:
        if row.epoch == self._epoch:
            self._disk.limit = self._limit


@pytest.mark.parametrize(
    ("full_from", "share", "kept", "on"),
    [
        # As shares of a checkpoint: weights fit, then nothing but small files, then nothing at all.
        (1, 0.6, "kept: the weights of epoch 1, the best, the report; make room, and start a new run with", False),
        (2, 0.6, r"kept: the weights of epoch \d, the best, the report, the checkpoint of epoch 1; make room,", True),
        (
            2,
            0.2,
            "kept: the weights of epoch 1, the report, the checkpoint of epoch 1; make room, and go on with",
            True,
        ),
        (2, 0.0, "kept: the weights of epoch 1, the checkpoint of epoch 1; make room, and go on with convscope", True),
        (1, 0.0, r"kept: nothing; make room, and go on with convscope\.train\(resume=", True),
    ],
)
def test_a_full_disk_keeps_what_fits_and_says_what(
    whole: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_from: int, share: float, kept: str, on: bool
) -> None:
    monkeypatch.setattr(kept_state, "CHECKPOINT_EVERY_SECONDS", 0.0)
    disk = _Disk(monkeypatch)
    size = (saved_checkpoints(whole.run.checkpoints)[-1] / "tensors.safetensors").stat().st_size
    assert whole.run.weights.stat().st_size < 0.6 * size and 0.2 * size > whole.run.report.stat().st_size
    full = _FullAfter(disk, full_from, int(share * size))
    recipe = RECIPE.changed({"epochs": EPOCHS})
    with pytest.raises(WriteError, match=kept) as refused:
        train_watched("digits", recipe, runs_directory=tmp_path, name="run", listener=full)
    assert "No space left on device" in str(refused.value)
    run = Run(tmp_path / "run")
    assert run.log_path.read_text().endswith(f"{refused.value}\n")
    assert not list(run.path.rglob(".tmp-*"))
    disk.limit = 2**40
    if not on:
        run.network()
        with pytest.raises(RunError, match="has weights but no checkpoint to go on from"):
            train_on(run.path, {}, listener=Silent(), cache_directory=None)
        return
    train_on(run.path, {}, listener=Silent(), cache_directory=None)
    assert run.weights.read_bytes() == whole.run.weights.read_bytes()


def test_a_log_that_takes_no_more_lines_keeps_what_is_reached(
    whole: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines are added to a file in place, which a full disk refuses as it does a new file."""
    monkeypatch.setattr(kept_state, "CHECKPOINT_EVERY_SECONDS", 0.0)
    full, opened = [False], os.fdopen

    def added_to(descriptor: int, mode: str = "r", *more: Any, **named: Any) -> Any:
        if full[0] and mode == "ab":
            os.close(descriptor)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(descriptor, mode, *more, **named)

    class FullAfterTwo(Silent):
        def epoch_ended(self, row: EpochRow) -> None:
            full[0] = row.epoch == 2

    monkeypatch.setattr(os, "fdopen", added_to)
    said = r"log.txt can't be written: no space left on device; kept: .*, the report, the checkpoint of epoch 2; make"
    with pytest.raises(WriteError, match=said):
        train_watched(
            "digits", RECIPE.changed({"epochs": EPOCHS}), runs_directory=tmp_path, name="run", listener=FullAfterTwo()
        )
    run = Run(tmp_path / "run")
    log_lines(run, ["a line that is not needed"])
    full[0] = False
    train_on(run.path, {}, listener=Silent(), cache_directory=None)
    assert run.weights.read_bytes() == whole.run.weights.read_bytes()


def test_a_disk_without_room_for_weights_and_a_checkpoint_is_named_before_training(
    whole: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = whole.run.weights.stat().st_size
    monkeypatch.setattr(new_run, "free_space", lambda _: size)
    said = r"is on a disk with .* free, and the weights and one checkpoint .* at least: .* by runs_directory"
    with pytest.raises(RunError, match=said):
        train_watched("digits", RECIPE, listener=Silent(), runs_directory=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    monkeypatch.setattr(new_run, "free_space", lambda _: 3 * size)
    assert train_watched("digits", RECIPE, listener=Silent(), runs_directory=tmp_path / "runs").run.weights.exists()


def test_a_run_that_was_killed_before_its_last_files_gets_them(whole: Outcome, tmp_path: Path) -> None:
    def resumed(*gone: str) -> Path:
        copied = shutil.copytree(whole.run.path, tmp_path / str(len(gone)))
        for name in gone:
            (copied / name).unlink()
        train_on(copied, {}, listener=Silent(), cache_directory=None)
        return copied

    with pytest.raises(RunError, match=r"has all of its 3 epochs: add some with recipe=convscope.Recipe.epochs=13"):
        resumed()
    copied = resumed("weights.safetensors", "report.html", "split.csv")
    for name in ("weights.safetensors", "split.csv"):
        assert (copied / name).read_bytes() == (whole.run.path / name).read_bytes()
    assert "has all of its 3 epochs, but was stopped before it was measured" in (copied / "log.txt").read_text()
    assert (copied / "report.html").is_file()


class _Killed(BaseException):
    """What ends a training as kill -9 does: nothing more is written."""


def test_the_temperature_and_the_threshold_of_a_killed_run_belong_to_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_state, "CHECKPOINT_EVERY_SECONDS", 0.0)
    recipe = RECIPE.changed({"epochs": 2, "good_class": "0", "miss_rate": 0.1})
    run = train("digits", recipe, runs_directory=tmp_path, name="run").run
    fitted, first = run.spec(), run.measures_of_weights()
    assert fitted.temperature != 1.0 and fitted.defect_rule is not None and fitted.defect_rule.miss_rate == 0.1
    plain = loop.guarded_step
    seen = set()
    for step in (40, 60):  # in the third epoch, and once the third epoch's weights are kept

        def killed(state: Any, settings: Any, inputs: Any, *others: Any, step: int = step) -> Any:
            if inputs.step >= step:
                raise _Killed
            return plain(state, settings, inputs, *others)

        monkeypatch.setattr(loop, "guarded_step", killed)
        with pytest.raises(_Killed):
            train(recipe=Recipe(epochs=4), resume=run)
        same = run.measures_of_weights() == first
        seen.add(same)
        assert run.spec() == (fitted if same else fitted.of_training)
        run.network()
    assert seen == {True, False}
    monkeypatch.setattr(loop, "guarded_step", plain)
    train(resume=run)
    assert run.spec().temperature not in (1.0, fitted.temperature)


def test_a_recipe_that_is_cut_off_is_not_taken_for_one(whole: Outcome, tmp_path: Path) -> None:
    copied = shutil.copytree(whole.run.path, tmp_path / "copy")
    recipe = copied / "recipe.toml"
    lines = recipe.read_text().splitlines(keepends=True)
    for length in range(0, len(lines) - 1, 7):
        recipe.write_text("".join(lines[:length]))
        with pytest.raises(RunError, match=r"recipe\.toml"):
            train_on(copied, {}, listener=Silent(), cache_directory=None)


def test_a_log_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    run = create_run(tmp_path, "run")
    run.log_path.mkdir()
    with pytest.raises(WriteError, match=r"log\.txt can't be written: is a directory"):
        run.log("a line")


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounts a small disk")
@pytest.mark.parametrize("mebibytes", [1, 2, 4, 6, 8, 11])
def test_a_small_disk_that_fills_up(tmp_path: Path, mebibytes: int) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("this system allows no mount of a disk")
    try:
        words = (
            f"train digits --model alexnet-mini --image-size 8 --epochs 60 --threads 1 --autotune rules --runs {disk}"
        )
        done = subprocess.run(
            [sys.executable, "-m", "convscope", *words.split()],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
        said = done.stderr.splitlines()[-1]
        assert re.search(r"can't be written: No space left on device; kept: .*; make room, and ", said)
        run = Run(disk / "digits-alexnet-mini")
        assert run.weights.exists() == ("the weights of epoch" in said)
        assert run.report.exists() == ("the report" in said)
        assert bool(saved_checkpoints(run.checkpoints)) == ("the checkpoint of epoch" in said)
        if run.weights.exists():
            run.network()
    finally:
        subprocess.run(["umount", disk], check=True)
