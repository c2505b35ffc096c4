"""What a part of a training costs: the same recipe with and without it in this process, in turns."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import convscope
from convscope.report.table import Column, Table, print_table

# Trains data by a recipe in a folder, with the part or without, and returns the seconds that are compared.
Timed = Callable[[str, convscope.Recipe, Path, bool], float]


def compare(description: str | None, timed: Timed, *, epochs: int) -> None:
    """Run the command of a bench: train with the part and without it in each round, and print the ratios.

    Args:
        description: of the bench; its first line is the command's.
        timed: one training.
        epochs: of each training unless given.
    """
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--model", default="lenet5")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=0, help="the recipe's own unless given")
    given = parser.parse_args()
    recipe = convscope.Recipe(model=given.model, epochs=given.epochs, autotune="rules")
    if given.batch:
        recipe = recipe.changed({"batch_size": given.batch})
    with tempfile.TemporaryDirectory() as folder:
        timed(given.data, recipe, Path(folder), True)  # the data is decoded, and both are warm
        rounds = []
        for number in range(given.rounds):
            order = (True, False) if number % 2 else (False, True)
            rounds.append({with_it: timed(given.data, recipe, Path(folder), with_it) for with_it in order})
    print_table(ratios(rounds, title=f"{given.model} on {given.data}, {given.epochs} epochs"))


def ratios(rounds: list[dict[bool, float]], *, title: str) -> Table:
    """Return the seconds with the part and without it, and their ratio: of each round, and the medians."""
    found = [each[True] / each[False] for each in rounds]
    columns = [Column("round"), *(Column(name, numeric=True) for name in ("with, s", "without, s", "ratio"))]
    rows = [
        (str(number), f"{each[True]:.3f}", f"{each[False]:.3f}", f"{ratio:.4f}")
        for number, (each, ratio) in enumerate(zip(rounds, found, strict=True), 1)
    ]
    medians = [statistics.median(each[with_it] for each in rounds) for with_it in (True, False)]
    rows.append(("median", *(f"{median:.3f}" for median in medians), f"{statistics.median(found):.4f}"))
    return Table.of(columns, rows, title=title)
