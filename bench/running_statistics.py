"""Validation losses while an epoch has few steps, by how running statistics are kept; and what measuring them takes.

    python bench/running_statistics.py [--data DATA] [--model NAME] [--epochs 8] [--seeds 3] [--batch-sizes 256,96]

"the network's momentum" is 0.1, or 0.01 in MobileNetV3: so far the running mean moves at each step. "momentum by
steps" spans the steps of an epoch, 2 / (steps + 1), where that is more. "measured anew" is what convscope does: the
statistics of the weights as they are, over a few training batches.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from convscope.nets.modules import TorchBatchNorm
from convscope.recipe.recipe import Recipe
from convscope.report.table import Column, Table, print_table
from convscope.report.units import percent
from convscope.training.loop import loop
from convscope.training.train import train

OWN, BY_STEPS, ANEW = "the network's momentum", "momentum by steps", "measured anew"
MEASURE, TRAIN_EPOCH = loop._measure_statistics, loop._train_epoch


def main() -> None:
    """Train with each way and each batch size, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--model", default="mobilenet_v3_small")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch-sizes", default="256,96")
    given = parser.parse_args()
    rows = []
    for batch_size in map(int, given.batch_sizes.split(",")):
        for way in (OWN, BY_STEPS, ANEW):
            rows.append(measured(given, way, batch_size))
    print_table(
        Table.of(
            [
                Column("batch size", numeric=True),
                Column("running statistics"),
                Column("steps an epoch", numeric=True),
                Column("largest validation loss", numeric=True),
                Column("of the second half", numeric=True),
                Column("best validation accuracy", numeric=True),
                Column("of an epoch's time", numeric=True),
            ],
            rows,
        )
    )


def measured(given: argparse.Namespace, way: str, batch_size: int) -> tuple[object, ...]:
    """Return a row of the table: medians over the seeds."""
    largest, late, best, shares = [], [], [], []
    steps = 0
    for seed in range(given.seeds):
        spent = [0.0]

        def timed(state: Any, batches: Any, spent: list[float] = spent) -> None:
            nonlocal steps
            steps = len(batches)
            began = time.perf_counter()
            if way == ANEW:
                MEASURE(state, batches)
            spent[0] += time.perf_counter() - began

        loop._measure_statistics = timed
        loop._train_epoch = by_steps if way == BY_STEPS else TRAIN_EPOCH
        recipe = Recipe(
            model=given.model, epochs=given.epochs, batch_size=batch_size, seed=seed, patience=0, autotune="rules",
            image_size="32", calibrate=False,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            done = train(given.data, recipe, runs_directory=Path(folder))
        losses = [row.val_loss or 0.0 for row in done.rows]
        largest.append(max(losses))
        late.append(max(losses[len(losses) // 2 :]))
        best.append(max(row.val_accuracy or 0.0 for row in done.rows))
        shares.append(spent[0] / done.seconds)
    middle = statistics.median
    cost = percent(middle(shares)) if way == ANEW else ""
    return (
        str(batch_size),
        way,
        str(steps),
        f"{middle(largest):.3g}",
        f"{middle(late):.3g}",
        percent(middle(best)),
        cost,
    )


def by_steps(state: Any, settings: Any, batches: Any, *others: Any) -> Any:
    """Train an epoch with a momentum by its steps."""
    for module in state.network.modules():
        if isinstance(module, TorchBatchNorm):
            module.momentum = max(module.momentum or 0.0, 2 / (len(batches) + 1))
    return TRAIN_EPOCH(state, settings, batches, *others)


if __name__ == "__main__":
    main()
