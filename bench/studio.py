"""What the page of `convscope studio` takes, in a real Chromium: every row of its table, asked and measured.

    python bench/studio.py [--events 200] [--only TEXT] [--results FOLDER]

Each row starts the real command, opens its page, and measures in the page: from the time that the browser gives an
event to the frame that shows what follows. p50 and p95 are of that many events; of a start or an export, of a few. What
is asked is for a quiet Zen 5 machine with two cores; so that another machine can be judged, the last columns have the
same in forward passes of ResNet-50, measured before the row in a process of its own. Nothing is written unless
--results names a folder; then it is `studio.csv` there. Run it in an otherwise idle container.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from convscope.report.table import Column, Table, print_table
from kit.results import add_rows, read_rows, where_and_when
from kit.studio_bench import Measured, StudioBench
from kit.studio_rows import ROWS
from studio_browser import running_browser

# One forward pass of ResNet-50 at 224 pixels on the machine for which the milliseconds are asked.
ASKED_FORWARD = 70.0
FORWARD = """
import statistics, sys, time, torch
from convscope.nets.build import build
torch.manual_seed(0)
network, image = build(sys.argv[1]).eval(), torch.zeros(1, 3, 224, 224)
times = []
with torch.inference_mode():
    for _ in range(12):
        began = time.perf_counter()
        network(image)
        times.append(time.perf_counter() - began)
print(1000 * statistics.median(times[2:]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--only", default="", help="rows that contain this")
    parser.add_argument("--results", type=Path, help="folder in which studio.csv is written")
    given = parser.parse_args()
    if not any(given.only in name for name, _ in ROWS):
        parser.error(f"--only {given.only}: no row contains it; rows: {', '.join(name for name, _ in ROWS)}")
    found: list[Measured] = []
    with running_browser() as browser, tempfile.TemporaryDirectory() as folder:
        bench = StudioBench(browser=browser, folder=Path(folder), events=given.events)
        for name, measure in ROWS:
            if given.only not in name:
                continue
            bench.forward = forward_ms("resnet50")
            try:
                rows = list(measure(bench))
            except Exception as problem:  # the other rows are measured all the same
                rows = [Measured(name=name, asked=None, note=f"failed: {' '.join(str(problem).split())[:160]}")]
            for row in rows:
                row.forward = bench.forward
                print(f"{row.name}: {row.said()}", flush=True)
            found += rows
        add_rows(bench.folder / "studio.csv", [row.to_row() for row in found], key=("row",))
        print_table(table(read_rows(bench.folder / "studio.csv")))
    if given.results:
        kept = [{**row.to_row(), **where_and_when()} for row in found if row.numbers]
        add_rows(given.results / "studio.csv", kept, key=("row",))


def forward_ms(model: str) -> float:
    """Return the median time of a forward pass in a process of its own, with all threads, in milliseconds."""
    words = [sys.executable, "-c", FORWARD, model]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def table(rows: Sequence[Mapping[str, str]]) -> Table:
    """Return the table of rows of studio.csv: asked, measured, and in forward passes of the run."""
    columns = [
        Column("what"),
        *(Column(name, numeric=True) for name in ("asked", "p50", "p95", "events")),
        Column("met"),
        *(Column(name, numeric=True) for name in ("asked, forwards", "p95, forwards")),
        Column("remark"),
    ]
    lines = []
    for row in rows:
        asked, p50, p95, forward = (number(row[name]) for name in ("asked", "p50", "p95", "forward_ms"))
        in_forwards = row["unit"] == "ms"
        lines.append(
            [
                row["row"],
                "" if asked is None else f"{asked:,g} {row['unit']}",
                "" if p50 is None else f"{p50:,.1f}",
                "" if p95 is None else f"{p95:,.1f}",
                row["events"] if row["events"] != "0" else "",
                {"True": "yes", "False": "no"}.get(row["met"], ""),
                "" if asked is None or not in_forwards else f"{asked / ASKED_FORWARD:.1f}",
                "" if p95 is None or not forward or not in_forwards else f"{p95 / forward:.1f}",
                row["note"],
            ]
        )
    return Table.of(columns, lines)


def number(cell: str) -> float | None:
    """Return the number of a cell of a CSV file; None where it is empty."""
    return float(cell) if cell else None


if __name__ == "__main__":
    main()
