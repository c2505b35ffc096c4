"""Seconds that `convscope check` takes: with nothing decoded yet, and again.

    python bench/check.py [DATA] [--repeats 3] [--near-duplicates]

DATA is a folder of images, by default `cifar10` below CONVSCOPE_DATASETS: CIFAR-10 as 60,000 JPEG files. Each
measurement is a process of its own, its start and the page with contact sheets included. The files themselves are in
the page cache: a disk adds its own time to the first.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# What is asked of 60,000 images, in seconds.
COLD, WARM = 60, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", default=str(Path(os.environ.get("CONVSCOPE_DATASETS", ".")) / "cifar10"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--near-duplicates", action="store_true")
    options = parser.parse_args()
    if not Path(options.data).is_dir():
        print(f"{options.data}: not there. Give a folder of images, or set CONVSCOPE_DATASETS.")
        return
    also = ["--near-duplicates"] if options.near_duplicates else []
    seconds: dict[str, list[float]] = {"nothing decoded": [], "again": []}
    images = 0
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as folder:
            for name, taken in seconds.items():
                before = time.perf_counter()
                page = str(Path(folder, "page.html"))
                command = [sys.executable, "-m", "convscope", "check", options.data, "--cache", folder, "--json", *also]
                ran = subprocess.run([*command, "--page", page], capture_output=True, text=True, check=True)
                taken.append(time.perf_counter() - before)
                images = sum(json.loads(ran.stdout)["images"].values())
                print(f"  {name}: {taken[-1]:.1f} s", file=sys.stderr)
    print(f"{images:,} images of {options.data}; medians of {options.repeats} (least to most), seconds\n")
    for (name, taken), asked in zip(seconds.items(), (COLD, WARM), strict=True):
        spread = f"({min(taken):.1f} to {max(taken):.1f})"
        print(f"{name:<20}{statistics.median(taken):>8.1f}  {spread:<18} asked of 60,000: {asked}")


if __name__ == "__main__":
    main()
