"""What measuring the norms of layers costs a training: the same recipe with and without it, in turns.

    python bench/layer_norms.py [--data digits] [--model lenet5] [--epochs 3] [--rounds 7] [--batch 0]

In each round the recipe is trained twice in this process, once as every run does it and once without the norms; which
comes first alternates. Compared is the training time that a run reports, without opening the data and the report.
Printed are the medians and the ratio of each round, its median last: the limit is 1.02.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from unittest import mock

import convscope
from convscope.report.table import Column, Table, print_table
from convscope.training.loop.norms import LayerNormMeter


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--model", default="lenet5")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=0, help="the recipe's own unless given")
    given = parser.parse_args()
    recipe = convscope.Recipe(model=given.model, epochs=given.epochs, autotune="rules")
    if given.batch:
        recipe = recipe.changed({"batch_size": given.batch})
    with tempfile.TemporaryDirectory() as folder:
        timed(given.data, recipe, Path(folder), measured=True)  # the data is decoded, and both are warm
        rounds = []
        for number in range(given.rounds):
            order = (True, False) if number % 2 else (False, True)
            rounds.append({measured: timed(given.data, recipe, Path(folder), measured=measured) for measured in order})
    ratios = [each[True] / each[False] for each in rounds]
    columns = [Column("round"), *(Column(name, numeric=True) for name in ("with, s", "without, s", "ratio"))]
    rows = [
        (str(number), f"{each[True]:.3f}", f"{each[False]:.3f}", f"{ratio:.4f}")
        for number, (each, ratio) in enumerate(zip(rounds, ratios, strict=True), 1)
    ]
    medians = [statistics.median(each[measured] for each in rounds) for measured in (True, False)]
    rows.append(("median", *(f"{median:.3f}" for median in medians), f"{statistics.median(ratios):.4f}"))
    print_table(Table.of(columns, rows, title=f"{given.model} on {given.data}, {given.epochs} epochs"))


def timed(data: str, recipe: convscope.Recipe, folder: Path, *, measured: bool) -> float:
    """Return the seconds of a training, validation included."""
    due = LayerNormMeter.is_due if measured else lambda self, step: False
    with mock.patch.object(LayerNormMeter, "is_due", due):
        return convscope.train(data, recipe, runs_directory=folder / "runs", cache_directory=folder / "cache").seconds


if __name__ == "__main__":
    main()
