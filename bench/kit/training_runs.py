"""Trainings of ours and of peers (`bench/peers/`), each in a process of its own, from the command to saved weights."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kit.results import read_rows

BENCH = Path(__file__).parents[1]
OURS = "convscope"
CANT_RUN_HERE = 3  # peers/common.py


class SkippedError(Exception):
    """A run that failed; the message says why."""


class NotHereError(SkippedError):
    """A method that can't run here at all."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run, and what it reached on the test images.

    Wall seconds from the command: `seconds` to the end of the process, accuracy and all; `to_weights` to the moment at
    which the weights that are kept were on the disk. None where a peer does not say.
    """

    seconds: float
    epochs: float | None
    images_per_second: float | None
    accuracy: float
    accuracy_views: float | None
    curve: list[tuple[float, float]]
    to_weights: float | None = None


def ours(data: Path, place: Path, options: Sequence[str]) -> Measured:
    """Run `convscope train DATA` with these options, all else at its default, with an empty cache in `place`."""
    command = [sys.executable, "-m", "convscope", "train", str(data), "--json", "--name", "run"]
    command += ["--runs", str(place / "runs"), "--cache", str(place / "cache"), *options]
    metrics, weights = (place / "runs" / "run" / name for name in ("metrics.csv", "weights.safetensors"))
    start = None
    at = time.time()
    with (place / "out.json").open("w") as out, (place / "log").open("w") as log:
        began = time.perf_counter()
        with started(command, stdout=out, stderr=log) as process:
            while process.poll() is None:
                if start is None and (rows := read_rows(metrics)):
                    # Its `time` counts from the first step; so long after the command was that.
                    start = time.perf_counter() - began - float(rows[-1]["time"])
                time.sleep(0.05)
        seconds = time.perf_counter() - began
    if process.returncode:
        raise SkippedError(last_line(place / "log"))
    rows = read_rows(metrics)
    told = json.loads((place / "out.json").read_text(encoding="utf-8"))
    # Where the recipe tests with several views of an image, its score is theirs.
    reached, one_view = told["scores"]["accuracy_top1"], told.get("one_view")
    start = seconds - float(rows[-1]["time"]) if start is None else start
    # After an epoch it measures on images held back from the training files: the curve is of those.
    return Measured(
        seconds=seconds,
        epochs=len(rows),
        images_per_second=statistics.median(float(row["images_per_second"]) for row in rows),
        # The run writes its weights after epochs and at the end of training; measuring on the test images comes after.
        to_weights=weights.stat().st_mtime - at,
        accuracy=reached if one_view is None else one_view,
        accuracy_views=None if one_view is None else reached,
        curve=[
            (start + float(row["time"]), float(row["val/accuracy_top1"])) for row in rows if row["val/accuracy_top1"]
        ],
    )


def peer(
    name: str,
    data: Path,
    place: Path,
    options: Sequence[str],
    *,
    python: str = sys.executable,
    limit: float | None = None,
) -> Measured:
    """Run a peer's own script with these options, by a Python that has it; after `limit` seconds it is ended."""
    command = [python, "-m", f"peers.{name}", str(data), "--out", str(place), *options]
    paths = [str(BENCH.parent / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "BENCH_BEGAN": repr(time.time())}
    with (
        (place / "log").open("w") as log,
        started(command, cwd=BENCH, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            raise SkippedError(f"it was not done after {limit:.0f} s, and was ended") from None
    if process.returncode:
        error = NotHereError if process.returncode == CANT_RUN_HERE else SkippedError
        raise error(last_line(place / "log"))
    result = json.loads((place / "result.json").read_text(encoding="utf-8"))
    return Measured(**{**result, "curve": [tuple(point) for point in result["curve"]]})


@contextmanager
def started(
    command: Sequence[str],
    *,
    stdout: IO[str],
    stderr: IO[str],
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command, and end it and its workers with the block where that is left before it is done."""
    process = subprocess.Popen(command, stdout=stdout, stderr=stderr, cwd=cwd, env=env, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def last_line(log: Path) -> str:
    """Return the last line of a log."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it failed without a word"
