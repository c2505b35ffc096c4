"""The forecast of a training before its first step, against what the command took.

    python bench/forecasts.py [FOLDER] [--only TEXT] [--results FOLDER] [--work PLACE]

20 commands of different images, networks, sizes and epochs, each in a process of its own with an empty cache, from its
start to its end. A row has the time of the forecast and that of the command, and their ratio. Where the forecast names
an earliest end, a training that ended early is judged by both: it is within where it took no less than the one and no
more than the other, but for 15 %. FOLDER (or the variable CONVSCOPE_DATASETS) holds `cifar10/` and `mnist10k/`; the
grey crops are made (`bench/grey_crops.py`), the digits come along. Rows go to docs/benchmarks/forecasts.csv, and one
that is there is not measured again, so a call that was stopped goes on where it was.
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
from kit.results import RESULTS, add_rows, read_rows, where_and_when
from time_budget import GOOD, CommandError, judged, off, source

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
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of forecasts.csv")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    file = given.results / "forecasts.csv"
    for command in COMMANDS:
        if given.only not in command or any(row["command"] == command for row in read_rows(file)):
            continue
        name, *words = command.split()
        data = source(name, given)
        if data is None:
            print(f"skipped: no {name} in {given.folder or 'CONVSCOPE_DATASETS'}")
            continue
        try:
            found = measured([data, *words], given.work)
        except CommandError as reason:
            print(f"{command}: {reason}", flush=True)
            continue
        add_rows(file, [{"command": command, **found, **where_and_when()}], key=("command",))
        print(f"{command}: {found['ratio']:.3f}", flush=True)
    rows = read_rows(file)
    print_table(table(rows))
    print(judged(rows))


def measured(words: list[str], work: Path) -> dict[str, Any]:
    """Run a command, and return the forecast and the seconds that it took; raise CommandError where it fails."""
    with tempfile.TemporaryDirectory(dir=work) as place:
        places = ["--runs", f"{place}/runs", "--cache", f"{place}/cache", "--json"]
        began = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-m", "convscope", "train", *words, *places], capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - began
        if ended.returncode:
            raise CommandError(ended.stderr.strip().splitlines()[-1])
        found = json.loads(ended.stdout)
        flat = "validation is flat" in (Path(found["run"]) / "log.txt").read_text()
    forecast = found["forecast"]
    return {
        "seconds": seconds,
        "forecast": forecast["seconds"],
        "earliest": forecast["earliest"],
        "ratio": forecast["seconds"] / seconds,
        "ended_early": flat,
    }


def table(rows: list[dict[str, str]]) -> Table:
    """Return a row for each command."""
    columns = [Column("command"), *(Column(name, numeric=True) for name in ("forecast", "took", "ratio"))]
    columns += [Column("ended early"), Column(f"within {percent(GOOD, decimals=0)}")]
    lines = [
        (
            row["command"],
            " to ".join(shown(float(row[name])) for name in ("earliest", "forecast") if row[name]),
            shown(float(row["seconds"])),
            f"{float(row['ratio']):.3f}",
            "yes" if row["ended_early"] == "True" else "",
            "yes" if abs(off(row)) <= GOOD else "no",
        )
        for row in rows
    ]
    return Table.of(columns, lines)


if __name__ == "__main__":
    main()
