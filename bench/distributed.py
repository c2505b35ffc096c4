"""Two processes on this machine beside one with two threads: are the losses the same, and what does it cost?

    python bench/distributed.py [--steps 20] [--rounds 3] [--batch 128]

Both train the same network on the same images (noise, 32x32, in memory) in float32, without dropout. The losses are of
each step, with batch normalization over the whole batch (--sync-batchnorm), where one process and two must agree. One
process with one thread sums in another order too: its difference is what rounding alone grows to in these steps. The
rate leaves the first quarter of the steps out; `exchange` is what a step spends on adding the gradients up, the wait
for the other process included.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from convscope.report.table import Column, Table, print_table
from kit.results import RESULTS, add_rows, read_rows, where_and_when

NETWORKS = ("alexnet-mini", "resnet18")
# (what is said of it, processes, threads of each, batch normalization over all processes)
WAYS = (
    ("1 process, 2 threads", 1, 2, False),
    ("1 process, 1 thread", 1, 1, False),
    ("2 processes, 1 thread each", 2, 1, False),
    ("2 processes, shared batch normalization", 2, 1, True),
)
MOST_DIFFERENCE, MOST_TIME = 1e-4, 1.15


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128, help="images of a step, in all processes together")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, in turn")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of distributed.csv")
    parser.add_argument("--member", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.member:
        from kit.team_member import member  # imports torch, which the processes alone need

        member(**json.loads(given.member))
        return
    kept: list[dict[str, Any]] = []
    for network in NETWORKS:
        rounds: dict[str, list[dict[str, Any]]] = {way[0]: [] for way in WAYS}
        for _ in range(given.rounds):
            for name, processes, threads, shared in WAYS:
                rounds[name].append(together(network, processes, threads, shared, given.steps, given.batch))
        alone = rounds[WAYS[0][0]]
        for name, *_ in WAYS:
            found = rounds[name]
            difference = max(
                abs(mine - other) for mine, other in zip(found[0]["losses"], alone[0]["losses"], strict=True)
            )
            kept.append(
                {"network": network, "way": name, "steps": given.steps, "batch": given.batch, "rounds": given.rounds,
                 "difference": difference,
                 "images_per_second": statistics.median(one["images_per_second"] for one in found),
                 "exchange_ms": statistics.median(one["exchange_ms"] for one in found),
                 **where_and_when()}
            )  # fmt: skip
    add_rows(given.results / "distributed.csv", kept, key=("network", "way"))
    print_table(table(read_rows(given.results / "distributed.csv")))


def table(rows: list[dict[str, str]]) -> Table:
    """Return a row a way; times are against one process."""
    columns = [Column("network"), Column("way")] + [
        Column(name, numeric=True)
        for name in ("largest difference of a loss", "images/s", "times as long", "exchange, ms a step")
    ]
    cells = []
    for row in rows:
        alone = next(
            float(one["images_per_second"])
            for one in rows
            if (one["network"], one["way"]) == (row["network"], WAYS[0][0])
        )
        rate = float(row["images_per_second"])
        cells.append(
            (row["network"], row["way"], f"{float(row['difference']):.1e}", f"{rate:,.0f}", f"{alone / rate:.2f}",
             f"{float(row['exchange_ms']):.1f}")
        )  # fmt: skip
    return Table.of(
        columns, cells, title=f"Bars: {MOST_DIFFERENCE:g} where batch normalization is shared, and {MOST_TIME:g}"
    )


def together(network: str, processes: int, threads: int, shared: bool, steps: int, batch: int) -> dict[str, Any]:
    """Return the measurements of the first process."""
    with socket.socket() as here:
        here.bind(("localhost", 0))
        port = here.getsockname()[1]
    with tempfile.TemporaryDirectory() as place:
        how = {"network": network, "shared": shared, "steps": steps, "batch": batch, "threads": threads,
               "out": str(Path(place) / "found.json")}  # fmt: skip
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        if processes > 1:
            environment |= {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        members = [
            subprocess.Popen(
                [sys.executable, __file__, "--member", json.dumps(how)],
                env={**environment, "RANK": str(rank)} if processes > 1 else environment,
            )
            for rank in range(processes)
        ]
        codes = [one.wait() for one in members]
        if any(codes):
            raise SystemExit(f"{network}: the processes ended with {codes}")
        found: dict[str, Any] = json.loads(Path(how["out"]).read_text())
        return found


if __name__ == "__main__":
    main()
