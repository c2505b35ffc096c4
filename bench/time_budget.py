"""Whether a training ends within the minutes that it is given, and what it reaches in them.

    python bench/time_budget.py [FOLDER] [--minutes 1 2 5 10] [--sets digits ...] [--seeds 0 1 2] [--results FOLDER]

Each row is one command, `convscope train SET --minutes M`, in a process of its own, with an empty cache and from its
start to its end, so that decoding, test and report are in its time. A row has the minutes asked and taken, their
ratio, the shares of the time before the first step, of the epochs and after the last one, the learning rate of the
last step as a share of the highest and the share at which its schedule ends, how often the steps were planned again,
and the test accuracy. A training whose validation stays flat ends early: its forecast then has the seconds of the
earliest end as well, and what it took is to be between the two. The last line counts the forecasts that were within
15 % of that.

FOLDER (or the variable CONVSCOPE_DATASETS) holds `cifar10/` and `mnist10k/`; the grey crops are made
(`bench/grey_crops.py`), and the digits come along. Rows go to docs/benchmarks/time-budget.csv, and one that is there is
not measured again on its machine, so a call that was stopped goes on where it was. `--fixed 3 4 5` measures fixed
numbers of epochs instead of minutes, for comparison; `--default` measures commands that name neither.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import convscope
from convscope.recipe.setting import plain
from convscope.report.table import Column, Table, print_table
from convscope.report.units import exact, percent, plural
from convscope.training.optim.schedule import learning_rate_factor
from kit.images import reference_set
from kit.results import RESULTS, add_rows, by_machine, of_this_machine, read_rows, where_and_when

SETS = ("digits", "mnist10k", "grey-crops", "cifar10")
ASKED = ("set", "minutes", "epochs_asked", "seed", "settings")
KEY = (*ASKED, "machine")
# A forecast is good within this share of it.
GOOD = 0.15


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=os.environ.get("CONVSCOPE_DATASETS"))
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 2.0, 5.0, 10.0])
    parser.add_argument("--fixed", type=int, nargs="+", default=[], help="numbers of epochs, in place of minutes")
    parser.add_argument("--default", action="store_true", help="neither minutes nor epochs, in place of minutes")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--settings", default="", help="options of the command beside these: '--model cifarnet'")
    parser.add_argument("--work", type=Path, default=Path("time-budget"), help="runs, caches and made images")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of time-budget.csv")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    file = given.results / "time-budget.csv"
    for asked in points(given):
        if any(all(row[name] == asked[name] for name in ASKED) for row in of_this_machine(read_rows(file))):
            continue
        data = source(asked["set"], given)
        if data is None:
            print(f"skipped: no {asked['set']} in {given.folder or 'CONVSCOPE_DATASETS'}")
            continue
        try:
            found = measured(data, asked, given.work)
        except CommandError as reason:
            print(f"{asked['set']}, {length_of(asked)}: {reason}", flush=True)
            continue
        add_rows(file, [{**asked, **found, **where_and_when()}], key=KEY)
    rows = read_rows(file)
    print_table(table(rows))
    print(judged(rows))


class CommandError(Exception):
    """A command failed, with the last line that it wrote."""


def points(given: argparse.Namespace) -> Iterator[dict[str, str]]:
    """Yield what is asked for, the short ones first."""
    lengths = [("", str(epochs)) for epochs in given.fixed] + ([("", "")] if given.default else [])
    for seed in given.seeds:
        for minutes, epochs in lengths or [(f"{minutes:g}", "") for minutes in given.minutes]:
            for name in given.sets:
                values = (name, minutes, epochs, str(seed), given.settings)
                yield dict(zip(ASKED, values, strict=True))


def length_of(row: dict[str, str]) -> str:
    """Return what of minutes and epochs a command named."""
    if row["minutes"]:
        return f"{row['minutes']} min"
    return plural(int(row["epochs_asked"]), "epoch") if row["epochs_asked"] else "nothing"


def source(name: str, given: argparse.Namespace) -> str | None:
    """Return the images of a set, made where that is needed; None where there are none."""
    if name == "digits":
        return name
    folder = reference_set(name, given.folder, given.work)
    return None if folder is None else str(folder)


def measured(data: str, asked: dict[str, str], work: Path) -> dict[str, Any]:
    """Run the command, and return its seconds and what its run holds; raise CommandError where it fails."""
    with tempfile.TemporaryDirectory(dir=work) as place:
        length = ["--minutes", asked["minutes"]] if asked["minutes"] else []
        length += ["--epochs", asked["epochs_asked"]] if asked["epochs_asked"] else []
        words = ["train", data, *length, "--seed", asked["seed"], *asked["settings"].split()]
        words += ["--runs", f"{place}/runs", "--cache", f"{place}/cache", "--json"]
        began = time.monotonic()
        ended = subprocess.run([sys.executable, "-m", "convscope", *words], capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
        if ended.returncode:
            raise CommandError(ended.stderr.strip().splitlines()[-1])
        found = json.loads(ended.stdout)
        times = {
            "seconds": seconds,
            "forecast": found["forecast"]["seconds"],
            "earliest": found["forecast"]["earliest"],
            "ratio": seconds / 60 / float(asked["minutes"]) if asked["minutes"] else None,
        }
        return {**times, **shares(seconds, found), **of_run(Path(found["run"]), found)}


def shares(seconds: float, found: dict[str, Any]) -> dict[str, float]:
    """Return the shares of a command's seconds before the first step, in the epochs, and in the test and the report."""
    before, epochs = found["forecast"]["begun"], found["seconds"]
    return {
        "share_before": before / seconds,
        "share_epochs": epochs / seconds,
        "share_after": max(0.0, seconds - before - epochs) / seconds,
    }


def of_run(run: Path, found: dict[str, Any]) -> dict[str, Any]:
    """Return what a run reached, by its files and the command's JSON."""
    recipe = convscope.load_recipe(run / "recipe.toml")
    status = json.loads((run / "status.json").read_text())
    newest = max((run / "checkpoint").iterdir()) / "state.json"
    pieces = json.loads(newest.read_text())["plan"]["pieces"]
    schedule_steps = pieces[0][1]
    end = learning_rate_factor(
        recipe.schedule, step=schedule_steps - 1, steps=schedule_steps, warmup=plain(recipe.warmup)
    )
    return {
        "network": recipe.model,
        "image_size": recipe.image_size,
        "batch_size": recipe.batch_size,
        "epochs": found["epochs"],
        "steps": status["steps"],
        "planned_again": len(pieces) - 1,
        "last_rate": found["history"][-1]["learning_rate"] / plain(recipe.learning_rate),
        "schedule_end": end,
        "ended_early": "validation is flat" in (run / "log.txt").read_text(),
        "accuracy": found["scores"]["accuracy_top1"],
        "validation": found["best_validation"],
    }


def off(row: dict[str, str]) -> float:
    """Return by what share of its forecast a command took longer (above 0) or less than was said before it began."""
    took, most = float(row["seconds"]), float(row["forecast"])
    least = float(row["earliest"]) if row.get("earliest") and row["ended_early"] == "True" else most
    return max(0.0, took / most - 1) + min(0.0, took / least - 1)


def judged(rows: list[dict[str, str]]) -> str:
    """Return how many forecasts are good.

    >>> row = {"seconds": "60", "forecast": "100", "earliest": "62", "ended_early": "True"}
    >>> judged([row, {**row, "ended_early": "False"}])
    '1 of 2 forecasts within 15 %'
    """
    good = sum(abs(off(row)) <= GOOD for row in rows)
    return f"{good} of {plural(len(rows), 'forecast')} within {percent(GOOD, decimals=0)}"


def forecast_text(row: dict[str, str]) -> str:
    """Return the minutes of a forecast: from the earliest end, where there is one, to the planned one."""
    least = f"{float(row['earliest']) / 60:.2f}–" if row.get("earliest") else ""
    return f"{least}{float(row['forecast']) / 60:.2f} min"


def table(rows: list[dict[str, str]]) -> Table:
    """Return a row for each command."""
    numbers = ("asked", "seed", "taken", "ratio", "forecast", "before", "training", "after", "steps", "epochs")
    numbers += ("planned again", "last rate", "accuracy")
    columns = [Column("machine"), Column("set"), Column("network"), *(Column(name, numeric=True) for name in numbers)]
    lines = []
    machines = list(by_machine(rows))

    def order(row: dict[str, str]) -> tuple[Any, ...]:
        where = machines.index(row["machine"])
        return where, row["set"], float(row["minutes"] or 0), row["epochs_asked"], row["seed"]

    for row in sorted(rows, key=order):
        ratio = f"{float(row['ratio']):.3f}" if row["ratio"] else ""
        times = (f"{float(row['seconds']) / 60:.2f} min", ratio, forecast_text(row))
        parts = [percent(float(row[f"share_{name}"])) for name in ("before", "epochs", "after")]
        counts = (exact(int(row["steps"])), row["epochs"], row["planned_again"])
        ends = (f"{float(row['last_rate']):.4g}", percent(float(row["accuracy"]), decimals=2))
        lines.append(
            (row["machine"], row["set"], row["network"], length_of(row), row["seed"], *times, *parts, *counts, *ends)
        )
    return Table.of(columns, lines)


if __name__ == "__main__":
    main()
