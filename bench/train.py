"""Time to accuracy on CIFAR-10's JPEG files: ours and the peers that are installed, from command to saved weights.

    python bench/train.py [FOLDER] [--only convscope,airbench,tutorial,fastai,timm,ultralytics] [--seeds 3]

FOLDER (or the variable CONVSCOPE_DATASETS) holds `cifar10/` with train/ and test/ class folders. Every run is a fresh
process with a cold cache of its own, and decoding is part of its time; the files themselves have been read once, so
that no run waits for the disk. airbench runs where `--airbench` says where its file is, and trains its 8 epochs; the
other peers train what fits into `--minutes`. Peers may live in another environment: `--peers-python`.

"to weights" is when the weights that the run keeps were saved. "In all" counts to the end of the work: ours and
airbench have measured on the test images by then, with several views of each; the other peers are measured after it.

The curves end with what the run reached on the test images. On the way there, ours are of the images that it holds back
from training; the peers' of the test images (the tutorial's of 1,000 of them), which is not in their time. A row of a
peer without "to weights" was measured before its script recorded that; that of ultralytics has its own validation in
its time, too.

`--epochs` gives every method another length than its own, and its rows another name: convscope, 5 epochs. So do
`--minutes` other than 5 (fastai, 10 minutes) and `--options` (convscope --model resnet18).

Rows go to docs/benchmarks/train.csv and train-curves.csv, where those of the same method and seed are replaced, so
that methods can be measured one after another; the table and the plot are of all rows. `--plot-only` runs nothing.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from convscope.report.charts import Curve, line_chart
from convscope.report.table import Column, Table, print_table
from convscope.report.units import percent, plural
from kit.images import read_once, some_of
from kit.results import RESULTS, add_rows, read_rows, where_and_when
from kit.training_runs import OURS, Measured, NotHereError, SkippedError, ours, peer

PEERS = ("airbench", "tutorial", "fastai", "timm", "ultralytics")
OWN_LENGTH = ("airbench",)  # the others train what fits into the minutes
MINUTES = 5.0


def main() -> None:
    given = arguments()
    if not given.plot_only:
        folder = Path(given.folder) / "cifar10" if given.folder else None
        if folder is None or not (folder / "train").is_dir():
            print(f"skipped: no cifar10/train in {given.folder or 'CONVSCOPE_DATASETS'}")
            return
        with tempfile.TemporaryDirectory() as place:
            data = some_of(folder, Path(place) / "data", given.images) if given.images else folder
            measure_all(given, data.resolve(), Path(place))
    rows = read_rows(given.results / "train.csv")
    if rows:
        print_table(table(rows))
        for line in beside_airbench(rows):
            print(line)
        drawing = plot(read_rows(given.results / "train-curves.csv"))
        (given.results / "train.svg").write_text(drawing.document(), encoding="utf-8")
        print(f"\nrows, curves and plot: {given.results}/train.csv, train-curves.csv, train.svg")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("CONVSCOPE_DATASETS"))
    parser.add_argument("--only", default=",".join((OURS, *PEERS)), help="methods, with commas between")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each method, with the seeds 0, 1, ...")
    parser.add_argument("--first-seed", type=int, default=0, help="go on with this one after a bench that was stopped")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="that peers without a length of their own get")
    parser.add_argument("--epochs", type=int, help="of every method, instead of its own")
    parser.add_argument("--images", type=int, help="train on this number: a trial, whose results are not kept")
    parser.add_argument("--options", default="", help="more options of `convscope train`, in one string")
    parser.add_argument("--airbench", type=Path, help="airbench94_muon.py, or a git directory that holds it")
    parser.add_argument("--peers-python", default=sys.executable, help="with fastai, timm and ultralytics")
    parser.add_argument("--results", type=Path, help=f"folder of the CSV files and the plot  [{RESULTS.name}]")
    parser.add_argument("--plot-only", action="store_true", help="no run: the table and plot of what is there")
    given = parser.parse_args()
    if unknown := set(given.only.split(",")) - {OURS, *PEERS}:
        parser.error(f"--only {', '.join(sorted(unknown))}: methods are {', '.join((OURS, *PEERS))}")
    if given.results is None:
        given.results = Path(tempfile.mkdtemp()) if given.images else RESULTS
    return given


def measure_all(given: argparse.Namespace, data: Path, place: Path) -> None:
    """Measure every method with every seed, seed by seed, so that a machine that slows down does so for all."""
    read_once(data)
    methods = given.only.split(",")
    for seed in range(given.first_seed, given.seeds):
        for method in list(methods):
            folder = place / f"{method}-{seed}"
            folder.mkdir()
            try:
                found = run(method, data, seed, folder, given)
            except SkippedError as reason:
                print(f"skipped: {method}: {reason}")
                methods.remove(method)
                continue
            print(f"{method}, seed {seed}: {found.seconds:.1f} s, {found.accuracy:.2%}", flush=True)
            name = called(method, given.epochs, minutes=given.minutes, options=given.options)
            keep(given.results, name, seed, found)


def run(method: str, data: Path, seed: int, place: Path, given: argparse.Namespace) -> Measured:
    """Train by one method with one seed."""
    options = ["--seed", str(seed), *(["--epochs", str(given.epochs)] if given.epochs else [])]
    if method == OURS:
        return ours(data, place, [*shlex.split(given.options), *options])
    options += ["--minutes", str(given.minutes)]
    if method == "airbench":
        if given.airbench is None:
            raise NotHereError("give its file with --airbench (github.com/KellerJordan/cifar10-airbench)")
        options += ["--airbench", str(given.airbench.resolve())]
    python = sys.executable if method in ("airbench", "tutorial") else given.peers_python
    return peer(method, data, place, options, python=python)


def called(method: str, epochs: int | None, *, minutes: float = MINUTES, options: str = "") -> str:
    """Return the label of a method's rows, which names another length than its own, and other settings of ours.

    >>> called("fastai", None, minutes=10), called("convscope", 5, minutes=10, options="--model resnet18")
    ('fastai, 10 minutes', 'convscope --model resnet18, 5 epochs')
    """
    if method == OURS:
        method = " ".join([method, *shlex.split(options)])
    elif epochs is None and minutes != MINUTES and method not in OWN_LENGTH:
        return f"{method}, {minutes:g} minutes"
    return method if epochs is None else f"{method}, {plural(epochs, 'epoch')}"


def keep(results: Path, method: str, seed: int, found: Measured) -> None:
    """Add a run to the two CSV files; the curve ends with what the run itself reached on the test images."""
    own = {"method": method, "seed": seed}
    values = {name: value for name, value in vars(found).items() if name != "curve"}
    add_rows(results / "train.csv", [{**own, **values, **where_and_when()}], key=("method", "seed"))
    end = (found.seconds, found.accuracy if found.accuracy_views is None else found.accuracy_views)
    points = [point for point in found.curve if point[0] < found.seconds] + [end]
    rows = [{**own, "point": i, "seconds": x, "accuracy": y} for i, (x, y) in enumerate(points, start=1)]
    add_rows(results / "train-curves.csv", rows, key=("method", "seed"))


def table(rows: list[dict[str, str]]) -> Table:
    """Return a row a run, and under several runs of a method their mean."""
    columns = [Column("method"), Column("seed")] + [
        Column(name, numeric=True)
        for name in ("epochs", "to weights, s", "in all, s", "images/s", "test accuracy", "with views")
    ]
    cells: list[tuple[str, ...]] = []
    for method in dict.fromkeys(row["method"] for row in rows):
        runs = sorted((row for row in rows if row["method"] == method), key=lambda row: int(row["seed"]))
        cells += [(method, row["seed"], *figures([row])) for row in runs]
        if len(runs) > 1:
            cells.append((method, "mean", *figures(runs)))
    return Table.of(columns, cells)


def figures(runs: list[dict[str, str]]) -> tuple[str, ...]:
    """Return the numbers of a row, each the mean over the runs."""
    formats: dict[str, Callable[[float], str]] = {
        "epochs": "{:.3g}".format,
        "to_weights": "{:.1f}".format,
        "seconds": "{:.1f}".format,
        "images_per_second": "{:,.0f}".format,
        "accuracy": partial(percent, decimals=2),
        "accuracy_views": partial(percent, decimals=2),
    }
    return tuple(
        written(statistics.mean(float(run[name]) for run in runs)) if all(run.get(name) for run in runs) else ""
        for name, written in formats.items()
    )


def beside_airbench(rows: list[dict[str, str]]) -> Iterator[str]:
    """Our time as a share of airbench's, means over the runs: to the saved weights and in all, where both are known."""
    for name, what in (("to_weights", "to saved weights"), ("seconds", "in all")):
        of = {method: [row.get(name, "") for row in rows if row["method"] == method] for method in (OURS, "airbench")}
        if all(values and all(values) for values in of.values()):
            own, other = (statistics.mean(map(float, values)) for values in of.values())
            yield f"{OURS} beside airbench, {what}: {own:.1f} s to {other:.1f} s, {own / other:.2f} of its time"


def plot(rows: list[dict[str, str]]):
    """Accuracy over seconds, a curve a method: the mean of its runs, point by point."""
    curves = []
    for method in dict.fromkeys(row["method"] for row in rows):
        points: dict[int, list[tuple[float, float]]] = {}
        for row in rows:
            if row["method"] == method:
                points.setdefault(int(row["point"]), []).append((float(row["seconds"]), float(row["accuracy"])))
        runs = len(points[1])
        full = [found for _, found in sorted(points.items()) if len(found) == runs]
        means = [tuple(map(statistics.mean, zip(*found, strict=True))) for found in full]
        curves.append(Curve(method, [x for x, _ in means], [100 * y for _, y in means]))
    return line_chart(
        curves, title="Time to accuracy, CIFAR-10 from JPEG files", x_label="seconds since the command",
        y_label="accuracy, %", y_limits=(0, 100), width=760, height=400,
    )  # fmt: skip


if __name__ == "__main__":
    main()
