"""The forecast of a training before its first step, against what the command took.

    python bench/forecasts.py [FOLDER] [--only TEXT] [--out FILE.jsonl] [--work PLACE]

20 commands of different images, networks, sizes and epochs, each in a process of its own with an empty cache, from its
start to its end. A row has the seconds of the forecast and those of the command, and their ratio. FOLDER (or the
variable CONVSCOPE_DATASETS) holds `cifar10/` and `mnist10k/`; the grey crops are made (`bench/grey_crops.py`), the
digits come along. What is in FILE.jsonl is not measured again, so a call that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from convscope.report.table import Column, Table, print_table
from convscope.report.units import percent
from convscope.report.units import seconds as shown
from kit.results import where_and_when
from time_budget import source

# A forecast is good within this share of the time that a command took.
GOOD = 0.15
COMMANDS = (
    "digits",
    "digits --epochs 10",
    "digits --model cifarnet-tiny --epochs 5",
    "digits --model cifarnet --epochs 2",
    "digits --minutes 1",
    "mnist10k",
    "mnist10k --epochs 5",
    "mnist10k --model cifarnet-tiny --epochs 2",
    "mnist10k --model cifarnet-small --epochs 2",
    "mnist10k --model lenet5 --image-size 32 --epochs 10",
    "mnist10k --minutes 2",
    "grey-crops --model cifarnet-small --epochs 2",
    "grey-crops --model cifarnet --image-size 32 --epochs 3",
    "grey-crops --model resnet18 --epochs 1",
    "grey-crops",
    "cifar10 --epochs 1",
    "cifar10 --epochs 3",
    "cifar10 --model cifarnet-tiny --epochs 2",
    "cifar10 --model resnet18 --train-images 5000 --epochs 1",
    "cifar10 --minutes 5",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=os.environ.get("CONVSCOPE_DATASETS"))
    parser.add_argument("--only", default="", help="commands that contain this")
    parser.add_argument("--work", type=Path, default=Path("forecasts"), help="runs, caches and made images")
    parser.add_argument("--out", type=Path, default=Path("forecasts.jsonl"))
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    for command in COMMANDS:
        if given.only not in command or any(row["command"] == command for row in rows):
            continue
        name, *words = command.split()
        data = source(name, given)
        if data is None:
            print(f"skipped: no {name} in {given.folder or 'CONVSCOPE_DATASETS'}")
            continue
        rows.append({"command": command, **measured([data, *words], given.work), **where_and_when()})
        with given.out.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print(f"{command}: {rows[-1]['error'] or rows[-1]['ratio']}", flush=True)
    print_table(table(rows))
    good = sum(not row["error"] and abs(row["ratio"] - 1) <= GOOD for row in rows)
    print(f"{good} of {len(rows)} within {percent(GOOD, decimals=0)}")


def measured(words: list[str], work: Path) -> dict[str, Any]:
    """Run a command, and return the forecast and the seconds that it took; one that fails has its message."""
    with tempfile.TemporaryDirectory(dir=work) as place:
        places = ["--runs", f"{place}/runs", "--cache", f"{place}/cache", "--json"]
        began = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-m", "convscope", "train", *words, *places], capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - began
    if ended.returncode:
        return {"seconds": seconds, "error": ended.stderr.strip().splitlines()[-1]}
    found = json.loads(ended.stdout)
    forecast = found["forecast"]
    return {"seconds": seconds, "forecast": forecast, "ratio": forecast["seconds"] / seconds, "error": ""}


def table(rows: list[dict[str, Any]]) -> Table:
    """Return a row for each command."""
    columns = [Column("command"), *(Column(name, numeric=True) for name in ("forecast", "took", "ratio"))]
    lines = []
    for row in rows:
        took = shown(row["seconds"])
        if row["error"]:
            lines.append((row["command"], row["error"], took, ""))
        else:
            lines.append((row["command"], shown(row["forecast"]["seconds"]), took, f"{row['ratio']:.3f}"))
    return Table.of(columns, lines)


if __name__ == "__main__":
    main()
