"""Tables: the time in which a table of many rows is read, and how near splits by group come to what is asked.

    python bench/tables.py [--rows 100000] [--trials 300]

The table is as some are published: `id,breed,patient_id` beside `train/`, with names without endings. The random tables
have 60 to 600 rows and 20 to 120 groups of unequal size, each of which leans to some classes; a fifth is held back.
scikit-learn's StratifiedGroupKFold splits the same ones.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from convscope.data.group_split import group_split
from convscope.data.open import probe
from convscope.data.partition import split_rows
from convscope.data.records import Labels, Pixels
from convscope.data.source_options import SourceOptions
from convscope.report.png import png_bytes

Held: TypeAlias = npt.NDArray[np.bool_]
CLASSES, EACH = 120, 7
HELD_BACK = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--trials", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        time_a_table(Path(folder), options.rows)
    compare_splits(options.trials)


def time_a_table(folder: Path, rows: int) -> None:
    """Print the seconds in which a table and its folder are read, and its groups split."""
    image: Pixels = np.zeros((8, 8, 3), np.uint8)
    content = png_bytes(image)
    (folder / "train").mkdir()
    for row in range(rows):
        (folder / "train" / f"{row:08x}.png").write_bytes(content)
    lines = (f"{row:08x},breed {row % CLASSES},p{row // EACH}" for row in range(rows))
    table = folder / "train.csv"
    table.write_text("\n".join(["id,breed,patient_id", *lines]))
    probe("digits")  # imports
    for name, given in (("read", SourceOptions()), ("read, with groups", SourceOptions(group_column="patient_id"))):
        started, of_cpu = time.perf_counter(), time.process_time()
        listing = probe(str(table), options=given).listing
        print(
            f"{rows:,} rows {name}: {time.perf_counter() - started:.2f} s, {time.process_time() - of_cpu:.2f} s of CPU"
        )
    started = time.perf_counter()
    split_rows(listing, listing.rows_of("all"), (0.1, 0.1), seed=0)
    print(f"{rows // EACH:,} groups split: {time.perf_counter() - started:.2f} s\n")


def compare_splits(trials: int) -> None:
    """Print how far splits of random tables are from what was asked, here and by scikit-learn."""
    tables = [_drawn(seed) for seed in range(trials)]
    title = f"of {trials:,} tables"
    print(f"{title:<24}{'share off':>11}{'worst':>8}{'class share off':>17}{'seconds':>10}")
    for name, split in SPLITS.items():
        off, of_classes, started = [], [], time.perf_counter()
        for seed, (group_of, labels, classes) in enumerate(tables):
            held = split(group_of, labels, classes, seed)
            off.append(abs(held.mean() - HELD_BACK))
            counts = np.bincount(labels, minlength=classes)
            shares = np.bincount(labels[held], minlength=classes) / counts.clip(1)
            of_classes.append(np.average(abs(shares - HELD_BACK), weights=counts))
        seconds = time.perf_counter() - started
        print(f"{name:<24}{np.mean(off):>11.2%}{max(off):>8.1%}{np.mean(of_classes):>17.2%}{seconds:>10.1f}")


def _drawn(seed: int) -> tuple[Labels, Labels, int]:
    """Return the group and the label of each row of a random table, and the number of classes."""
    draw = np.random.default_rng(seed)
    rows, groups, classes = int(draw.integers(60, 600)), int(draw.integers(20, 120)), int(draw.integers(2, 6))
    popular = draw.dirichlet(np.full(groups, draw.choice([0.5, 2.0, 50.0])))
    _, group_of = np.unique(draw.choice(groups, rows, p=popular), return_inverse=True)
    leaning = draw.dirichlet(np.full(classes, draw.choice([0.05, 1.0, 20.0])), groups)
    labels: Labels = (draw.random((rows, 1)) > leaning.cumsum(1)[group_of, :-1]).sum(1)
    return group_of, labels, classes


def _ours(group_of: Labels, labels: Labels, classes: int, seed: int) -> Held:
    part_of: Labels = group_split(group_of, labels, classes, (HELD_BACK,), seed=seed)
    held: Held = part_of[group_of] == 1
    return held


def _of_scikit_learn(group_of: Labels, labels: Labels, classes: int, seed: int) -> Held:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class of fewer rows than folds
        folds = StratifiedGroupKFold(round(1 / HELD_BACK), shuffle=True, random_state=seed)
        _, held = next(folds.split(np.zeros(len(labels)), labels, group_of))
    is_held: Held = np.zeros(len(labels), np.bool_)
    is_held[held] = True
    return is_held


SPLITS: dict[str, Callable[[Labels, Labels, int, int], Held]] = {
    "convscope": _ours,
    "StratifiedGroupKFold": _of_scikit_learn,
}

if __name__ == "__main__":
    main()
