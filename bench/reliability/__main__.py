"""Try the promises of docs/reliability.md, and write that page.

    cd bench; python -m reliability [--rows 5,12] [--small]

Each row runs in a process of its own. Its result replaces the row's last one in docs/reliability.json; of a `--small`
run, with few trials, nothing is written.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kit.results import where_and_when
from reliability.row import ROOT, Outcome
from reliability.rows import ROWS

RESULTS = ROOT / "docs" / "reliability.json"
PAGE = ROOT / "docs" / "reliability.md"
SHOWN = 3  # failures of a row that are named


def main() -> None:
    """Run the rows, write the page, and exit 1 where one failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", default=",".join(map(str, ROWS)), help="numbers, with commas")
    parser.add_argument("--small", action="store_true", help="few trials, of which no record is kept")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    numbers = [int(number) for number in given.rows.split(",")]
    if given.child:
        given.child.write_text(json.dumps(asdict(tried(numbers[0], full=not given.small))), encoding="utf-8")
        return
    kept: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    failed = False
    for number in numbers:
        found = apart(number, small=given.small)
        failed = failed or bool(found["failures"])
        print(
            f"{number:>3}  {ROWS[number].promise}: {found['trials']} trials, {len(found['failures'])} failures, "
            f"{found['seconds']} s. {found['note']}",
            flush=True,
        )
        for failure in found["failures"]:
            print(f"     failed: {failure}", flush=True)
        if not given.small:
            kept[str(number)] = found
            RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            PAGE.write_text(page(kept), encoding="utf-8")
    sys.exit(failed)


def apart(number: int, *, small: bool) -> dict[str, Any]:
    """Try a row in a process of its own."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        words = [sys.executable, "-m", "reliability", "--rows", str(number), "--child", str(result)]
        paths = [str(ROOT / "src"), str(ROOT / "bench"), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "passive", "CONVSCOPE_CACHE": str(Path(folder) / "cache"),
        }  # fmt: skip
        done = subprocess.run([*words, *(["--small"] if small else [])], env=environment, check=False)
        found = (
            json.loads(result.read_text(encoding="utf-8"))
            if result.is_file()
            else asdict(Outcome(1, [f"the trial itself ended with {done.returncode}"]))
        )
    return {**found, "seconds": round(time.monotonic() - began), **where_and_when()}


def tried(number: int, *, full: bool) -> Outcome:
    """Try a row; a trial that breaks off has failed."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return ROWS[number].trial(Path(folder), full)
        except Exception as error:
            traceback.print_exc()
            return Outcome(1, [f"broke off: {type(error).__name__}: {str(error)[:300]}"])


def page(kept: dict[str, Any]) -> str:
    """Return docs/reliability.md."""
    lines = [
        "# Reliability",
        "",
        "Written by `make reliability` (`ROWS=5,12` for some rows): what is promised, how often it was tried, and how",
        "often it did not hold. The trials are in `bench/reliability/`. A number that is missing has no trial here.",
        "",
        "| # | promise | target | trials | failures | measured | date |",
        "|---:|---|---|---:|---:|---|---|",
    ]
    for number, row in ROWS.items():
        found = kept.get(str(number))
        if found is None:
            lines.append(f"| {number} | {row.promise} | {row.target} | not run | | | |")
            continue
        failures = found["failures"]
        said = "; ".join([found["note"], *(f"failed: {one}" for one in failures[:SHOWN])]).strip("; ").replace("|", "/")
        said = " ".join(said.split())
        lines.append(
            f"| {number} | {row.promise} | {row.target} | {found['trials']:,} | {len(failures)} | {said} | "
            f"{found['date']} |"
        )
    machines = sorted({f"{one['machine']}, torch {one['torch']}" for one in kept.values()})
    return "\n".join([*lines, "", "Measured on: " + "; ".join(machines) + ".", ""])


if __name__ == "__main__":
    main()
