"""How long an ablation of MiniAlexNet on CIFAR-10 takes, and whether it finds the order that the lecture notes expect.

    python bench/ablate.py [FOLDER] [--epochs 10] [--seeds 3] [--jobs auto] [--without relu,dropout] [--keep FOLDER]

FOLDER (or the variable CONVSCOPE_DATASETS) holds `cifar10/`. Five variants, the baseline among them, with three seeds
are to be done in under 60 minutes, decoding included; `--epochs 1 --seeds 1` is a trial of a few minutes. The
directory of the ablation, with its report, is kept where `--keep` says.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from convscope.report.units import plural
from convscope.report.units import seconds as in_words

WITHOUT = "relu,dropout,augmentation,weight-decay"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.environ.get("CONVSCOPE_DATASETS"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", default="auto")
    parser.add_argument("--without", default=WITHOUT)
    parser.add_argument("--limit", type=float, default=60.0, help="minutes that it may take")
    parser.add_argument("--keep", help="where the ablation's directory goes; thrown away unless given")
    given = parser.parse_args()
    data = Path(given.folder or "") / "cifar10"
    if not given.folder or not data.is_dir():
        print("no cifar10 here: name the folder that holds it, or set CONVSCOPE_DATASETS")
        return
    with tempfile.TemporaryDirectory() as place:
        # A cache of its own, so that decoding and planning are part of the time, as they are the first time for a user.
        environment = {**os.environ, "CONVSCOPE_CACHE": str(Path(place) / "cache")}
        options = {
            "--model": "alexnet-mini",
            "--epochs": given.epochs,
            "--seeds": given.seeds,
            "--jobs": given.jobs,
            "--without": given.without,
            "--runs": given.keep or place,
        }
        arguments = [str(part) for pair in options.items() for part in pair]
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "convscope", "ablate", str(data), *arguments], env=environment, check=True
        )
        wall = time.perf_counter() - began
    trainings = (given.without.count(",") + 2) * given.seeds
    reached = "reached" if wall < 60 * given.limit else "missed"
    print(f"\n{plural(trainings, 'training')} of {plural(given.epochs, 'epoch')} in {in_words(wall)}; "
          f"under {given.limit:g} min: {reached}")  # fmt: skip


if __name__ == "__main__":
    main()
