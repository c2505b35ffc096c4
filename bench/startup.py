"""How long the commands take that need no torch: the median of ten runs each, and proof that torch stays out."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from convscope.report.table import Column, Table, print_table

RUNS = 10
LIMIT_SECONDS = 0.3
COMMANDS = (
    ("--help",),
    ("size", "224", "--kernel", "7", "--stride", "2", "--padding", "3"),
    ("models",),
    ("train", "--help"),
)
# Runs a command and reports, as its exit code, whether torch was imported on the way.
WITHOUT_TORCH = """
import sys
from convscope.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
sys.exit("torch" in sys.modules)
"""


def main() -> None:
    # Without compiled files every start compiles the sources again, which no user's does.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run(*arguments: str) -> int:
        done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, check=False)
        return done.returncode

    rows = []
    for command in COMMANDS:
        without_torch = run("-c", WITHOUT_TORCH, *command) == 0  # also compiles what is not compiled yet
        seconds = []
        for _ in range(RUNS):
            began = time.perf_counter()
            run("-m", "convscope", *command)
            seconds.append(time.perf_counter() - began)
        median = statistics.median(seconds)
        verdict = "reached" if median < LIMIT_SECONDS and without_torch else "missed"
        rows.append(
            ("convscope " + " ".join(command), f"{median:.3f} s", f"{min(seconds):.3f} s",
             "no" if without_torch else "yes", verdict)
        )  # fmt: skip
    columns = [Column("command"), Column("median", numeric=True), Column("fastest", numeric=True)]
    columns += [Column("imports torch"), Column(f"under {LIMIT_SECONDS} s")]
    print_table(Table.of(columns, rows))


if __name__ == "__main__":
    main()
