"""Whether trainings that would have ended early were better later: the rule on the curves of whole trainings.

    python bench/early_end.py [DATA ...] [--model lenet5] [--epochs 90] [--seeds 10] [--results FOLDER]

Each training, by default on the built-in digits, has a fixed number of epochs, and no early end. The rule of
`training/timing/early_end` is then asked after each of its epochs. A row has the epoch after which it would have ended
the training, the best validation accuracy until there and the best of all epochs. The rest of the schedule, which an
early end takes in few steps, is not in it: what that gains is left out.

Rows go to docs/benchmarks/early-end.csv, and one that is there is not measured again.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import convscope
from convscope.data.open import probe
from convscope.report.table import Column, Table, print_table
from convscope.report.units import percent
from convscope.training.resolve.budget import rows_to_learn, validation_fraction
from convscope.training.timing.early_end import steps_with_rest
from convscope.training.timing.step_plan import StepPlan
from kit.results import RESULTS, add_rows, read_rows, where_and_when

KEY = ("data", "model", "epochs", "seed")
# A training is worse off with an early end where it was better by more than this later.
NOTICED = 0.005


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="*", default=["digits"])
    parser.add_argument("--model", default="lenet5")
    parser.add_argument("--epochs", type=int, default=90)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of early-end.csv")
    given = parser.parse_args()
    file = given.results / "early-end.csv"
    for data in given.data:
        for seed in range(given.seeds):
            values = (Path(data).name, given.model, str(given.epochs), str(seed))
            key = dict(zip(KEY, values, strict=True))
            if not any(all(row[name] == value for name, value in key.items()) for row in read_rows(file)):
                found = measured(data, given.model, given.epochs, seed)
                add_rows(file, [{**key, **found, **where_and_when()}], key=KEY)
    print_table(table(read_rows(file)))


def measured(data: str, model: str, epochs: int, seed: int) -> dict[str, object]:
    """Train to the end, and return after which epoch the rule ends it, with the best accuracies until then and in all.

    The epoch is None where the rule does not end it.
    """
    recipe = convscope.Recipe().changed({"model": model, "epochs": epochs, "seed": seed})
    listing = probe(data).listing
    held_back = validation_fraction(recipe.validation_fraction, listing, test_fraction=recipe.test_fraction)
    _, validated = rows_to_learn(
        listing, held_back=held_back, test_fraction=recipe.test_fraction, seed=recipe.seed_of_split
    )
    with tempfile.TemporaryDirectory() as place:
        outcome = convscope.train(data, recipe, runs_directory=place)
        status = outcome.run.status()
    assert status is not None
    curve = [row.val_accuracy for row in outcome.rows]
    plan = StepPlan.of(status.steps, epoch_steps=status.steps // epochs)
    ends = (n for n in range(1, epochs) if steps_with_rest(plan, n, curve[:n], images=len(validated)) is not None)
    end = next(ends, None)
    return {
        "images": len(validated),
        "end": end,
        "best_until": max(curve[:end]),
        "best": max(curve),
    }


def table(rows: list[dict[str, str]]) -> Table:
    """Return a row for each kind of training: how often it ended, and how often it was better by a half point later."""
    kinds: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        kinds.setdefault(tuple(row[name] for name in ("data", "model", "epochs", "images")), []).append(row)
    numbers = ("epochs", "validation images", "seeds", "end early", "better later", "most gained later")
    lines = []
    for (data, model, epochs, images), own in kinds.items():
        gained = [float(row["best"]) - float(row["best_until"]) for row in own]
        ended = sum(bool(row["end"]) for row in own)
        better = sum(gain > NOTICED for gain in gained)
        most = percent(max(gained), decimals=2)
        lines.append((data, model, epochs, images, str(len(own)), str(ended), str(better), most))
    return Table.of([Column("data"), Column("network"), *(Column(name, numeric=True) for name in numbers)], lines)


if __name__ == "__main__":
    main()
