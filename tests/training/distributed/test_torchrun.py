"""Stories of torchrun: one run directory from several processes, and no process left over however it ends."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import data_makers as made
from convscope.data.open import probe
from convscope.data.shards.write_shards import write_shards
from convscope.recipe.recipe import Recipe
from convscope.runs.run_directory import Run
from convscope.training.train import train

SOURCE = Path(__file__).parents[3] / "src"
pytestmark = pytest.mark.long


# Seconds: two processes that start on a busy machine need theirs.
PATIENCE = 400
LAUNCHED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _nothing_goes_on() -> Iterator[None]:
    """However a story ends, what it launched ends with it."""
    yield
    while LAUNCHED:
        launcher = LAUNCHED.pop()
        if launcher.poll() is None:
            started = workers(launcher)
            launcher.kill()
            launcher.communicate()
            for pid in alive(started):
                os.kill(pid, signal.SIGKILL)


def launch(folder: Path, *words: str, restarts: int = 0) -> subprocess.Popen[str]:
    """`torchrun --nproc-per-node 2 -m convscope train digits ...` as its own group of processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command += ["--max-restarts", str(restarts), "-m", "convscope", "train"]
    launcher = subprocess.Popen(
        [*command, *words, *(["--runs", str(folder)] if "--resume" not in words else [])],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "CONVSCOPE_CACHE": str(folder / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    LAUNCHED.append(launcher)
    return launcher


def workers(launcher: subprocess.Popen[str]) -> list[int]:
    """The processes that a launcher started."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


def alive(pids: list[int]) -> list[int]:
    def runs(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    return [pid for pid in pids if runs(pid)]


def wait_for(what: Callable[[], object], seconds: float = PATIENCE) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.1)


def test_two_processes_leave_one_run(tmp_path: Path) -> None:
    launcher = launch(tmp_path, "digits", "--model", "lenet5", "--epochs", "2", "--name", "two")
    said, _ = launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode == 0, said
    assert said.count("report ") == 1 and "2 processes, each on cpu" in said
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["two"]
    alone = train("digits", Recipe(model="lenet5", epochs=2), runs_directory=tmp_path, name="one")
    assert alone.scores is not None
    shown = re.search(r"test accuracy ([\d.]+) %", said)
    # No dropout, no batch normalization: the same curve but for rounding.
    assert shown is not None and abs(float(shown[1]) / 100 - alone.scores.accuracy_top1) < 0.02


def test_two_processes_choose_and_keep_to_their_minutes(tmp_path: Path) -> None:
    launcher = launch(tmp_path, "digits", "--minutes", "0.7", "--name", "two", "--json")
    said, _ = launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode == 0, said
    assert said.count("auto: model ") == 1 and "expected after" in said
    run = Run(tmp_path / "two")
    recipe = run.recipe()
    assert recipe.minutes == 0 and recipe.model in said
    status = run.status()
    assert status is not None and status.state == "done"


def test_two_processes_train_on_a_stream_as_one_does(tmp_path: Path) -> None:
    made.fill(tmp_path / "photos", {"cat": 60, "dog": 60})
    write_shards(probe(str(tmp_path / "photos")).listing, tmp_path / "shards", shard_images=10)
    settings = {"model": "lenet5", "batch-size": "16", "epochs": "2", "stream": "yes", "precision": "fp32"}
    words = [f"--{name}={value}" for name, value in settings.items()]
    launcher = launch(tmp_path, str(tmp_path / "shards"), *words, "--name", "two")
    said, _ = launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode == 0 and "train is streamed" in said, said
    recipe = Run(tmp_path / "two").recipe()
    one = train(recipe.data, recipe, runs_directory=tmp_path, name="one")
    losses = []
    for run in (one.run.path, tmp_path / "two"):
        with (run / "metrics.csv").open() as file:
            losses.append([float(row["train/loss"]) for row in csv.DictReader(file)])
    assert len(losses[0]) == 2 and losses[1] == pytest.approx(losses[0], abs=1e-4)


def test_two_processes_solve_the_head_of_one(tmp_path: Path) -> None:
    begun = train("digits", Recipe(model="lenet5", epochs=1), runs_directory=tmp_path, name="begun").run.path
    words = ("digits", "--recipe", "probe", "--weights", str(begun), "--head-views", "flip")
    launcher = launch(tmp_path, *words, "--name", "two")
    said, _ = launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode == 0 and said.count("head: output solved") == 1, said
    recipe = Run(tmp_path / "two").recipe().changed({"threads": "auto"})
    one = train("digits", recipe, runs_directory=tmp_path, cache_directory=tmp_path / "other", name="one").run
    # Each process computes the features of whole batches of one process, so they are the same bit for bit.
    for name, tensor in one.read_weights().items():
        assert torch.equal(tensor, Run(tmp_path / "two").read_weights()[name]), name


def test_a_refusal_is_one_line(tmp_path: Path) -> None:
    launcher = launch(tmp_path, "digits", "--model", "lenet5", "--batch-size", "1")
    said, _ = launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode == 1
    assert said.count("convscope: batch_size is 1 for 2 processes: take 2 or more") == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the parent-death signal is Linux's")
def test_no_process_is_left_when_the_launcher_is_killed(tmp_path: Path) -> None:
    launcher = launch(tmp_path, "digits", "--model", "lenet5", "--epochs", "4000", "--name", "orphans")
    wait_for((tmp_path / "orphans" / "metrics.csv").exists)
    started = workers(launcher)
    assert len(started) == 2
    launcher.kill()
    launcher.wait(timeout=PATIENCE)
    wait_for(lambda: not alive(started), 60)
    launcher.communicate()  # closes its end of the pipe
    assert (tmp_path / "orphans" / "report.html").exists()


def test_an_interrupt_is_written_down_and_goes_on_in_one_process(tmp_path: Path) -> None:
    launcher = launch(tmp_path, "digits", "--model", "lenet5", "--epochs", "4000", "--name", "stopped")
    wait_for((tmp_path / "stopped" / "checkpoint").exists)
    started = workers(launcher)
    launcher.send_signal(signal.SIGINT)
    said, _ = launcher.communicate(timeout=PATIENCE)
    assert "to go on: convscope train --resume" in said and not alive(started)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_is_started_again_and_the_run_comes_out_as_the_unbroken_one(
    tmp_path: Path, victim: int
) -> None:
    words = ("digits", "--model", "lenet5", "--epochs", "12")
    whole = launch(tmp_path, *words, "--name", "whole")
    said, _ = whole.communicate(timeout=PATIENCE)
    assert whole.returncode == 0, said
    broken = launch(tmp_path, *words, "--name", "broken", restarts=3)
    wait_for(lambda: list((tmp_path / "broken" / "checkpoint").glob("step-*")))
    os.kill(sorted(workers(broken))[victim], signal.SIGKILL)
    said, _ = broken.communicate(timeout=PATIENCE)
    assert broken.returncode == 0, said
    assert "resuming" in said and not (tmp_path / "broken-2").exists()
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "broken")]
    assert weights[0] == weights[1]
