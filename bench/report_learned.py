"""What the part "What it learned" of a report costs a training: the same recipe with and without it, in turns.

    python bench/report_learned.py [--data digits] [--model lenet5] [--epochs 20] [--rounds 7]

In each round the recipe is trained twice in this process, once as every run does it and once without that part; which
comes first alternates. Compared is the time of the whole call, with the test and the report. Printed are the seconds,
the ratio of each round, and the medians: the aim is 1.02 for a training of a minute and more; a shorter one may take a
second for it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from unittest import mock

import convscope
from convscope.interpret.learned.in_training import LearnedInTraining
from convscope.report.table import Column, Table, print_table
from convscope.training import finish


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--model", default="lenet5")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    recipe = convscope.Recipe(model=given.model, epochs=given.epochs, autotune="rules")
    with tempfile.TemporaryDirectory() as folder:
        timed(given.data, recipe, Path(folder), learned=True)  # the data is decoded, and both are warm
        rounds = []
        for number in range(given.rounds):
            order = (True, False) if number % 2 else (False, True)
            rounds.append({learned: timed(given.data, recipe, Path(folder), learned=learned) for learned in order})
    ratios = [each[True] / each[False] for each in rounds]
    columns = [Column("round"), *(Column(name, numeric=True) for name in ("with, s", "without, s", "ratio"))]
    rows = [
        (str(number), f"{each[True]:.3f}", f"{each[False]:.3f}", f"{ratio:.4f}")
        for number, (each, ratio) in enumerate(zip(rounds, ratios, strict=True), 1)
    ]
    medians = [statistics.median(each[learned] for each in rounds) for learned in (True, False)]
    rows.append(("median", *(f"{median:.3f}" for median in medians), f"{statistics.median(ratios):.4f}"))
    print_table(Table.of(columns, rows, title=f"{given.model} on {given.data}, {given.epochs} epochs"))


def timed(data: str, recipe: convscope.Recipe, folder: Path, *, learned: bool) -> float:
    """Return the seconds of a whole call of `convscope.train`."""
    measure = finish.learned_in_training if learned else lambda *_, **__: LearnedInTraining()
    with mock.patch.object(finish, "learned_in_training", measure):
        began = time.perf_counter()
        convscope.train(data, recipe, runs_directory=folder / "runs", cache_directory=folder / "cache")
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
