"""Whether a training ends within the minutes that it is given, and what it reaches in them.

    python bench/time_budget.py [FOLDER] [--minutes 1 2 5 10] [--sets digits ...] [--seeds 0 1 2] [--out FILE.jsonl]

Each row is one command, `convscope train SET --minutes M`, in a process of its own, with an empty cache and from its
start to its end, so that decoding, test and report are in its time. A row has the minutes asked and taken, their
ratio, the shares of the time before the first step, of the epochs and after the last one, the learning rate of the
last step as a share of the highest and the share at which its schedule ends, how often the steps were planned again,
and the test accuracy.

FOLDER (or the variable CONVSCOPE_DATASETS) holds `cifar10/` and `mnist10k/`; the grey crops are made
(`bench/grey_crops.py`), and the digits come along. What is in FILE.jsonl is not measured again, so a call that was
stopped goes on where it was. `--fixed 3 4 5` measures fixed numbers of epochs instead of minutes, for comparison.
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
from convscope.report.units import percent
from convscope.training.optim.schedule import learning_rate_factor
from kit.images import reference_set
from kit.results import where_and_when

SETS = ("digits", "mnist10k", "grey-crops", "cifar10")
KEY = ("set", "minutes", "epochs_asked", "seed", "settings")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=os.environ.get("CONVSCOPE_DATASETS"))
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 2.0, 5.0, 10.0])
    parser.add_argument("--fixed", type=int, nargs="+", default=[], help="numbers of epochs, in place of minutes")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--settings", default="", help="options of the command beside these: '--model cifarnet'")
    parser.add_argument("--work", type=Path, default=Path("time-budget"), help="runs, caches and made images")
    parser.add_argument("--out", type=Path, default=Path("time-budget.jsonl"))
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    for asked in points(given):
        if any(all(row[name] == asked[name] for name in KEY) for row in rows):
            continue
        data = source(asked["set"], given)
        if data is None:
            print(f"skipped: no {asked['set']} in {given.folder or 'CONVSCOPE_DATASETS'}")
            continue
        rows.append({**asked, **measured(data, asked, given.work), **where_and_when()})
        with given.out.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    print_table(table(rows))


def points(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield what is asked for, the short ones first."""
    lengths = [(None, epochs) for epochs in given.fixed] or [(minutes, None) for minutes in given.minutes]
    for seed in given.seeds:
        for minutes, epochs in lengths:
            for name in given.sets:
                yield {
                    "set": name,
                    "minutes": minutes,
                    "epochs_asked": epochs,
                    "seed": seed,
                    "settings": given.settings,
                }


def source(name: str, given: argparse.Namespace) -> str | None:
    """Return the images of a set, made where that is needed; None where there are none."""
    if name == "digits":
        return name
    folder = reference_set(name, given.folder, given.work)
    return None if folder is None else str(folder)


def measured(data: str, asked: dict[str, Any], work: Path) -> dict[str, Any]:
    """Run the command, and return its seconds and what its run holds; a command that fails has its message."""
    with tempfile.TemporaryDirectory(dir=work) as place:
        length = (
            ["--minutes", f"{asked['minutes']:g}"] if asked["minutes"] else ["--epochs", str(asked["epochs_asked"])]
        )
        words = ["train", data, *length, "--seed", str(asked["seed"]), *asked["settings"].split()]
        words += ["--runs", f"{place}/runs", "--cache", f"{place}/cache", "--json"]
        began = time.monotonic()
        ended = subprocess.run([sys.executable, "-m", "convscope", *words], capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
        if ended.returncode:
            return {"seconds": seconds, "error": ended.stderr.strip().splitlines()[-1]}
        found = json.loads(ended.stdout)
        ratio = seconds / 60 / asked["minutes"] if asked["minutes"] else None
        parts = shares(seconds, found)
        return {"seconds": seconds, "ratio": ratio, "error": "", **parts, **of_run(Path(found["run"]), found)}


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
        "ending": found["ending"],
        "accuracy": found["scores"]["accuracy_top1"],
        "validation": found["best_validation"],
    }


def table(rows: list[dict[str, Any]]) -> Table:
    """Return a row for each command."""
    columns = [Column("set"), Column("network")]
    columns += [
        Column(name, numeric=True)
        for name in (
            "asked",
            "taken",
            "ratio",
            "before",
            "training",
            "after",
            "steps",
            "epochs",
            "planned again",
            "last rate",
            "accuracy",
        )
    ]
    lines = []
    for row in rows:
        asked = f"{row['minutes']:g} min" if row["minutes"] else f"{row['epochs_asked']} epochs"
        taken = f"{row['seconds'] / 60:.2f} min"
        if row["error"]:
            lines.append((row["set"], row["error"], asked, taken, *[""] * 9))
            continue
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.3f}"
        # Rows of an earlier version of this script have no parts.
        parts = [percent(row.get(f"share_{name}")) for name in ("before", "epochs", "after")]
        counts = (f"{row['steps']:,}", str(row["epochs"]), str(row["planned_again"]))
        ends = (f"{row['last_rate']:.4g}", percent(row["accuracy"], decimals=2))
        lines.append((row["set"], row["network"], asked, taken, ratio, *parts, *counts, *ends))
    return Table.of(columns, lines)


if __name__ == "__main__":
    main()
