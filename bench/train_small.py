"""The three figures of small-scale training, through the real command line: test accuracy and wall seconds.

    python bench/train_small.py [FOLDER]

FOLDER (or the variable CONVSCOPE_DATASETS) holds `mnist10k/` and `cifar10/`; what is not there is left out and said.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from convscope.report.table import Column, Table, print_table
from convscope.report.units import percent
from convscope.report.units import seconds as in_words


@dataclass(frozen=True)
class Work:
    """A command that trains, the run it makes, the data it needs, and what it must reach."""

    arguments: tuple[str, ...]
    run: str
    folder: str | None
    accuracy: float
    seconds: float


WORKS = (
    Work(("demo", "--no-open"), "demo", None, 0.98, 40),
    Work(("train", "{}", "--model", "lenet5"), "mnist10k-lenet5", "mnist10k", 0.98, 120),
    Work(("train", "{}", "--model", "alexnet-mini"), "cifar10-alexnet-mini", "cifar10", 0.75, 900),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("CONVSCOPE_DATASETS"))
    given: str | None = parser.parse_args().folder
    rows = []
    with tempfile.TemporaryDirectory() as place:
        # A cache of its own, so that decoding is part of the time, as it is the first time for a user.
        environment = {**os.environ, "CONVSCOPE_CACHE": str(Path(place) / "cache")}
        for work in WORKS:
            data = Path(given) / work.folder if given and work.folder else None
            shown = "convscope " + " ".join(part.replace("{}", f"{work.folder}/") for part in work.arguments)
            if work.folder and (data is None or not data.is_dir()):
                rows.append((shown, "", f"{work.accuracy:.0%}", "", in_words(work.seconds), f"no {work.folder} here"))
                continue
            arguments = [part.replace("{}", str(data)) for part in work.arguments]
            accuracy, seconds = measure(work, arguments, Path(place), environment)
            reached = accuracy >= work.accuracy and seconds < work.seconds
            rows.append(
                (shown, percent(accuracy, decimals=2), f"{work.accuracy:.0%}", in_words(seconds),
                 in_words(work.seconds), "reached" if reached else "missed")
            )  # fmt: skip
    columns = [
        Column("command"),
        Column("test accuracy", numeric=True),
        Column("needed", numeric=True),
        Column("in all", numeric=True),
        Column("allowed", numeric=True),
        Column("verdict"),
    ]
    print_table(Table.of(columns, rows))


def measure(work: Work, arguments: list[str], place: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Test accuracy as `evaluate --json` says it, and the seconds that the training command took in all."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "convscope", *arguments, "--runs", str(place / "runs")],
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.perf_counter() - began
    told = subprocess.run(
        [sys.executable, "-m", "convscope", "evaluate", str(place / "runs" / work.run), "--split", "test", "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(told.stdout)["accuracy_top1"], seconds


if __name__ == "__main__":
    main()
