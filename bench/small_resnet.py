"""Images a second of ResNet-18 at 32 pixels: `convscope train --model resnet18` beside the plain tutorial loop.

    python bench/small_resnet.py [FOLDER] [--images 6400] [--rounds 3]

Both train the same network (3x3 stem, no max-pool) for one epoch on the same JPEG files of `cifar10/` in FOLDER (or
CONVSCOPE_DATASETS), each in a fresh process, in turn. What is compared is the rate within the epoch: neither start-up
nor ours' decoding into its cache nor measuring is in it; the tutorial's loop decodes as it goes, in two workers.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from convscope.report.table import Column, Table, print_table
from convscope.report.units import exact
from kit.images import read_once, some_of
from kit.results import RESULTS, add_rows, read_rows, where_and_when
from kit.training_runs import ours, peer


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("CONVSCOPE_DATASETS"))
    parser.add_argument("--images", type=int, default=6400, help="in the epoch")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, in turn")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of small-resnet.csv")
    given = parser.parse_args()
    folder = Path(given.folder) / "cifar10" if given.folder else None
    if folder is None or not (folder / "train").is_dir():
        print(f"skipped: no cifar10/train in {given.folder or 'CONVSCOPE_DATASETS'}")
        return
    rates: dict[str, list[float]] = {"tutorial": [], "convscope": []}
    with tempfile.TemporaryDirectory() as place:
        data = some_of(folder, Path(place) / "data", given.images)
        read_once(data)
        for number in range(given.rounds):
            for method, found in rates.items():
                run = Path(place) / f"{method}-{number}"
                run.mkdir()
                options = ["--epochs", "1", "--seed", str(number)]
                measured = (
                    ours(data, run, ["--model", "resnet18", *options])
                    if method == "convscope"
                    else peer(method, data, run, options)
                )
                found.append(measured.images_per_second)
                print(f"{method}: {found[-1]:,.0f} images/s", flush=True)
    kept = [
        {"loop": method, "images": given.images, "rounds": given.rounds, "images_per_second": statistics.median(found),
         "least": min(found), "most": max(found), **where_and_when()}
        for method, found in rates.items()
    ]  # fmt: skip
    add_rows(given.results / "small-resnet.csv", kept, key=("loop",))
    print_table(table(read_rows(given.results / "small-resnet.csv")))


def table(rows: list[dict[str, str]]) -> Table:
    """Return a row a loop; the last column is its rate against the tutorial's."""
    columns = [Column("loop")] + [
        Column(name, numeric=True)
        for name in ("images", "rounds", "images/s, median", "least to most", "times the tutorial's")
    ]
    plain = next(float(row["images_per_second"]) for row in rows if row["loop"] == "tutorial")
    cells = []
    for row in rows:
        rate, least, most = (float(row[name]) for name in ("images_per_second", "least", "most"))
        of_run = (exact(int(row["images"])), row["rounds"])
        cells.append((row["loop"], *of_run, f"{rate:,.0f}", f"{least:,.0f} to {most:,.0f}", f"{rate / plain:.2f}"))
    return Table.of(columns, cells)


if __name__ == "__main__":
    main()
