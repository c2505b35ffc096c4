"""Results as CSV files, from which docs/benchmarks.md is written: no figure is typed by hand."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from convscope.hardware.machine import processors, this_machine

RESULTS = Path(__file__).parents[2] / "docs" / "benchmarks"

Row = Mapping[str, object]


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return a file's rows by column; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def add_rows(path: Path, rows: Sequence[Row], *, key: Sequence[str]) -> None:
    """Add rows to a file at once; those with the same `key` columns are measured anew, and go. None change nothing."""
    if not rows:
        return
    new = [{name: _cell(value) for name, value in row.items()} for row in rows]
    keys = {tuple(row[name] for name in key) for row in new}
    kept = [row for row in read_rows(path) if tuple(row[name] for name in key) not in keys]
    path.parent.mkdir(parents=True, exist_ok=True)
    # A bench that is killed meanwhile leaves the file as it was.
    written = path.with_name(f"{path.name}.part")
    with written.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(new[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*kept, *new])
    written.replace(path)


def where_and_when() -> dict[str, str]:
    """Return the machine, its torch and the day: columns of every row."""
    from importlib.metadata import version

    machine = this_machine()
    described = (f"{processors()} cores", machine.processor, instructions(machine.flags))
    return {
        "machine": ", ".join(filter(None, described)),
        "torch": version("torch"),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def of_this_machine(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return the rows that were measured on a machine such as this one."""
    machine = where_and_when()["machine"]
    return [row for row in rows if row["machine"] == machine]


def by_machine(rows: Sequence[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    """Return the rows of each machine, that with the most first: times of several can't be compared."""
    found: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        found.setdefault(row["machine"], []).append(row)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


# The instruction sets that decide how fast training is, as Linux names them, the fastest first.
INSTRUCTIONS = {
    "amx_bf16": "AMX", "avx512_bf16": "AVX-512 with bf16", "avx512f": "AVX-512", "avx2": "AVX2", "bf16": "bf16",
    "sve": "SVE", "asimd": "NEON",
}  # fmt: skip


def instructions(flags: Sequence[str]) -> str:
    """Return the fastest of a processor's instruction sets; "" where the system tells none.

    Machines of one name may differ by it.

    >>> instructions(("avx2", "avx512f"))
    'AVX-512'
    """
    return next((name for flag, name in INSTRUCTIONS.items() if flag in flags), "")


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
