"""Accuracy against minutes: ours and the peers that are installed, with defaults and with recipes for small images.

    python bench/minutes.py [FOLDER] [--minutes 1 5 10] [--sets cifar10 grey-crops] [--only convscope,timm,timm-small]

Ours is `convscope train SET --minutes M`, with three seeds; a peer has one. fastai, timm and ultralytics train with
their defaults and, beside it as NAME-small, with what they document for small images and short trainings
(listed in `bench/peers/`, with each departure); on the grey crops NAME-small has no random crops, which can cut the
defect away. AutoGluon has its own `time_limit`. All start from fresh weights: pretrained ones can't be had for every
method alike. AutoGluon's preset is made for these, at 224 pixels: from fresh ones it trains a fraction of an epoch in
minutes. FOLDER (or the variable CONVSCOPE_DATASETS) holds `cifar10/`, as JPEG files; the grey crops are made
(`bench/grey_crops.py`): 40 % of them are of one class, so that a constant prediction has 40 % accuracy.

A run is a fresh process, with a cold cache of its own, and its time counts from the command. Ours ends with the
command: decoding, validation, the test and the report are in it. A peer's ends when its weights are saved; its clock
is stopped while it finds how many epochs fit, and while it validates (but for AutoGluon, which averages weights
by that), and it is measured on the test images, by its own means, after that. fastai and timm, which have no time
limit, train what fills their minutes. Where a run took over 2 % more than its minutes, the README's table has what it
took.

Rows go to docs/benchmarks/minutes.csv, each when its run is done, and a row that is there is not measured again on its
machine: a call that was stopped, or that has more methods, minutes or seeds, measures what is missing. Machines have a
table each, as their times can't be compared; the plots, and the README's table, are of the one with the most rows. A
peer that is not installed is skipped with a line; `--peers-python` names another environment. `--plot-only` runs
nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from convscope.report.charts import Curve, line_chart
from convscope.report.table import Column, Table, print_table
from convscope.report.units import percent, plural
from kit.images import read_once, reference_set
from kit.results import RESULTS, add_rows, by_machine, of_this_machine, read_rows, where_and_when
from kit.training_runs import OURS, Measured, NotHereError, SkippedError, ours, peer

SETS = {"cifar10": "CIFAR-10 from JPEG files", "grey-crops": "Grey crops of 64 pixels"}
# The label of each method, to the peer's script and its recipe.
METHODS = {
    OURS: (OURS, ""),
    **{name: (name, "default") for name in ("fastai", "timm", "ultralytics", "autogluon")},
    **{f"{name}-small": (name, "small") for name in ("fastai", "timm", "ultralytics")},
}
# A label of these sets may be that of a detail: NAME-small has no random crops there.
OF_DETAILS = ("grey-crops",)
ASKED = ("method", "set", "minutes", "seed")
KEY = (*ASKED, "machine")
# A peer is ended after this number of minutes plus this multiple of the minutes asked.
HANGS = (30, 3)
OVER = 1.02  # times the minutes asked: from there on the table has how many were taken

Row = dict[str, str]


@dataclass(frozen=True)
class Asked:
    """One run that is asked for."""

    method: str
    set: str
    minutes: float
    seed: int

    def row(self) -> Row:
        """Return the columns that tell a row from others."""
        values = (self.method, self.set, f"{self.minutes:g}", str(self.seed))
        return dict(zip(ASKED, values, strict=True))


def main() -> None:
    given = arguments()
    # A bench that is ended ends its run, which has a session of its own; under nohup a hang-up stays ignored.
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda received, _: sys.exit(128 + received))
    if not given.plot_only:
        measure_all(given)
    rows = read_rows(given.results / "minutes.csv")
    if rows:
        print_table(table(rows))
        rows = of_one_machine(rows)
        for name in dict.fromkeys(row["set"] for row in rows):
            file = given.results / f"minutes-{name}.svg"
            file.write_text(plot(rows, name).document(), encoding="utf-8")
            print(f"plot: {file}")
        print(f"rows: {given.results}/minutes.csv")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    folder = os.environ.get("CONVSCOPE_DATASETS") or None
    parser.add_argument("folder", nargs="?", type=Path, default=folder and Path(folder))
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 5.0, 10.0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--only", default=",".join(METHODS), help="methods, with commas between")
    parser.add_argument("--seeds", type=int, default=3, help="runs of ours for each set and time: seeds 0, 1, ...")
    parser.add_argument("--peer-seeds", type=int, default=1, help="runs of a peer")
    parser.add_argument(
        "--images", type=int, help="train on this number of images: a trial, whose results are not kept"
    )
    parser.add_argument("--peers-python", default=sys.executable, help="with fastai, timm, ultralytics, AutoGluon")
    parser.add_argument(
        "--work", type=Path, default=Path("minutes"), help="made images, the run that goes on, and the logs of all"
    )
    parser.add_argument("--results", type=Path, help=f"folder of the CSV file and the plots  [{RESULTS.name}]")
    parser.add_argument("--plot-only", action="store_true", help="no run: the table and plots of what is there")
    given = parser.parse_args()
    given.only = given.only.split(",")
    if unknown := sorted(set(given.only) - set(METHODS)):
        parser.error(f"--only {', '.join(unknown)}: methods are {', '.join(METHODS)}")
    if not all(minutes > 0 for minutes in given.minutes):
        parser.error("--minutes must be above 0")
    if given.images and given.results and given.results.resolve() == RESULTS.resolve():
        parser.error("--images is a trial: its rows don't go among the results")
    if given.results is None:
        given.results = Path(tempfile.mkdtemp()) if given.images else RESULTS
    return given


def measure_all(given: argparse.Namespace) -> None:
    """Measure what is asked for and has no row yet; a row is written when its run is done."""
    file, absent = given.results / "minutes.csv", set()
    folders = {name: reference_set(name, given.folder, given.work, images=given.images) for name in given.sets}
    for name in [name for name, folder in folders.items() if folder is None]:
        print(f"skipped: no {name} in {given.folder or 'CONVSCOPE_DATASETS'}")
    sets = {name: folder.resolve() for name, folder in folders.items() if folder is not None}
    todo = missing(asked(given, list(sets)), of_this_machine(read_rows(file)))
    total = sum(point.minutes for point in todo)
    print(f"{plural(len(todo), 'run')} to measure, of {total:g} minutes in all", flush=True)
    for folder in sets.values():
        read_once(folder)
    for point in todo:
        if point.method in absent:
            continue
        try:
            found = measured(point, sets[point.set], given)
        except SkippedError as reason:
            label = point.method if isinstance(reason, NotHereError) else f"{point.method}, {at(point)}"
            print(f"skipped: {label}: {reason}", flush=True)
            if isinstance(reason, NotHereError):
                absent.add(point.method)
            continue
        values = {name: value for name, value in vars(found).items() if name != "curve"}
        add_rows(file, [{**point.row(), **values, **where_and_when()}], key=KEY)
        print(
            f"{point.method}, {at(point)}: {found.seconds / 60:.2f} min, {percent(best(values), decimals=2)}",
            flush=True,
        )


def asked(given: argparse.Namespace, sets: Sequence[str]) -> Iterator[Asked]:
    """Yield the runs that are asked for: seed by seed, the short ones first, so that a machine slows down all alike."""
    for seed in range(max(given.seeds, given.peer_seeds)):
        for minutes in sorted(given.minutes):
            for name in sets:
                for method in given.only:
                    if seed < (given.seeds if method == OURS else given.peer_seeds):
                        yield Asked(method, name, minutes, seed)


def missing(points: Iterator[Asked], rows: Sequence[Row]) -> list[Asked]:
    """Return the runs that have no row among those of this machine."""
    there = {tuple(row[name] for name in ASKED) for row in rows}
    return [point for point in points if tuple(point.row().values()) not in there]


def measured(point: Asked, data: Path, given: argparse.Namespace) -> Measured:
    """Run one method in a folder that is empty before and gone after; its log stays in `logs/`."""
    place = (given.work / "run").resolve()
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    script, recipe = METHODS[point.method]
    options = ["--minutes", f"{point.minutes:g}", "--seed", str(point.seed)]
    try:
        if script == OURS:
            return ours(data, place, options)
        limit = 60 * (HANGS[0] + HANGS[1] * point.minutes)
        options += ["--recipe", recipe]
        options += ["--whole"] if recipe == "small" and point.set in OF_DETAILS else []
        return peer(script, data, place, options, python=given.peers_python, limit=limit)
    finally:
        if (place / "log").is_file():
            logs = given.work / "logs"
            logs.mkdir(exist_ok=True)
            shutil.copyfile(place / "log", logs / f"{point.method}-{point.set}-{point.minutes:g}-{point.seed}.txt")
        shutil.rmtree(place, ignore_errors=True)


def at(point: Asked) -> str:
    return f"{point.set}, {point.minutes:g} min, seed {point.seed}"


def best(row: dict[str, object]) -> float:
    """Return a run's accuracy: with several views of an image where the method tests so."""
    return float(str(row["accuracy_views"] or row["accuracy"]))


def by_point(rows: Sequence[Row]) -> dict[tuple[str, str], dict[float, list[Row]]]:
    """Return the runs of each set and method by the minutes asked, which ascend."""
    found: dict[tuple[str, str], dict[float, list[Row]]] = {}
    for row in sorted(rows, key=lambda row: (float(row["minutes"]), int(row["seed"]))):
        found.setdefault((row["set"], row["method"]), {}).setdefault(float(row["minutes"]), []).append(row)
    # Sets in the order of their first rows, and of their methods the best at the most minutes first.
    order = list(dict.fromkeys(row["set"] for row in rows))

    def rank(key: tuple[str, str]) -> tuple[int, float]:
        return order.index(key[0]), -accuracy(found[key][max(found[key])])

    return {key: found[key] for key in sorted(found, key=rank)}


def accuracy(runs: Sequence[Row]) -> float:
    """Return the median accuracy of runs."""
    return statistics.median(best(run) for run in runs)


def taken(runs: Sequence[Row]) -> float:
    """Return the median minutes of runs."""
    return statistics.median(float(run["seconds"]) for run in runs) / 60


def of_one_machine(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the machine that has the most: of the README's table and the plots."""
    return next(iter(by_machine(rows).values()), [])


def table(rows: Sequence[Row]) -> Table:
    """Return a row for each machine, set, method and time: medians over its runs."""
    numbers = ("minutes", "taken", "epochs", "runs", "accuracy", "least to most")
    cells = []
    for machine, of_machine in by_machine(rows).items():
        for (name, method), times in by_point(of_machine).items():
            for minutes, runs in times.items():
                of_runs = sorted(best(run) for run in runs)
                ends = f"{100 * of_runs[0]:.2f} to {100 * of_runs[-1]:.2f}" if len(runs) > 1 else ""
                epochs = [float(run["epochs"]) for run in runs if run["epochs"]]
                counted = f"{statistics.median(epochs):.3g}" if epochs else ""
                values = (f"{minutes:g}", f"{taken(runs):.2f}", counted, str(len(runs)))
                cells.append((machine, name, method, *values, percent(accuracy(runs), decimals=2), ends))
    columns = [Column("machine"), Column("set"), Column("method")]
    return Table.of([*columns, *(Column(each, numeric=True) for each in numbers)], cells)


def summary(rows: Sequence[Row]) -> Table:
    """Return a row for each set and method, with the accuracy at each time; a run that took longer has its minutes.

    The rows are those of one machine.
    """
    minutes = sorted({float(row["minutes"]) for row in rows})
    cells = []
    for (name, method), times in by_point(rows).items():
        at_times = [_cell(each, times[each]) if each in times else "" for each in minutes]
        cells.append((name, method, *at_times))
    columns = [Column("images"), Column("method"), *(Column(f"{each:g} min", numeric=True) for each in minutes)]
    return Table.of(columns, cells)


def _cell(minutes: float, runs: Sequence[Row]) -> str:
    over = f" ({taken(runs):.1f} min)" if taken(runs) > OVER * minutes else ""
    return f"{percent(accuracy(runs))}{over}"


def plot(rows: Sequence[Row], name: str):
    """Draw accuracy over the minutes that were taken, for one set: a curve a method, medians over its runs."""
    curves = []
    for (of_set, method), times in by_point(rows).items():
        if of_set == name:
            points = sorted((taken(runs), 100 * accuracy(runs)) for runs in times.values())
            curves.append(Curve(method, [x for x, _ in points], [y for _, y in points]))
    return line_chart(
        curves, title=f"Accuracy against minutes: {SETS[name]}", x_label="minutes from the command",
        y_label="test accuracy, %", y_limits=(0, 100), x_scale="log", marked=True, width=760, height=400,
    )  # fmt: skip


if __name__ == "__main__":
    main()
