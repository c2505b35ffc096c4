"""How long a process takes from its start to its first prediction, and where the time goes: medians of several runs.

    python bench/first_prediction.py            trains lenet5 on the built-in digits for one epoch first
    python bench/first_prediction.py RUN IMAGE  takes a run and an image of yours

The parts are measured inside one process; the whole is the command's time as a shell sees it.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 9
LIMIT_SECONDS = 1.6
# Prints the seconds of each part as JSON; the interpreter's own start is the rest of the process's time.
PARTS = """
import json, sys, time
marks = [("", time.perf_counter())]
def mark(name): marks.append((name, time.perf_counter()))
from convscope.hardware.allocator import prepare_memory
prepare_memory()
from convscope.runs.run_like import open_run
mark("convscope without torch")
import torch
mark("torch import")
import convscope
from convscope.runs.predictor import load
mark("convscope with torch")
predictor = load(sys.argv[1])
mark("network and weights")
from convscope.data.pixels.decode import decode_image
pixels = decode_image(sys.argv[2], predictor.spec.decoding)
mark("decode")
found = predictor(pixels)
mark("forward")
print(json.dumps({name: after - before for (_, before), (name, after) in zip(marks, marks[1:])}))
"""


def _seconds(*arguments: str) -> tuple[float, str]:
    """Return how long a Python process takes, and what it printed."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)
    return time.perf_counter() - started, done.stdout


def _cpu_seconds() -> float:
    """Return the CPU time of all child processes so far, which other work on the machine lengthens least."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run_of_digits(folder: Path) -> tuple[str, str]:
    """Train a run to measure, and write an image for it."""
    from PIL import Image

    import convscope
    from convscope.data.sources.digits import load_digits

    Image.fromarray(load_digits()[0][3][:, :, 0]).save(folder / "three.png")
    outcome = convscope.train("digits", convscope.Recipe(model="lenet5", epochs=1), runs_directory=folder)
    return str(outcome.run), str(folder / "three.png")


def main() -> int:
    """Measure, print a table, and return 1 if the whole takes longer than the limit."""
    from convscope.report.table import Column, Table, print_table

    with tempfile.TemporaryDirectory() as folder:
        run, image = sys.argv[1:3] if len(sys.argv) > 2 else _run_of_digits(Path(folder))
        command = ("-m", "convscope", "predict", run, image)
        _seconds(*command)  # fills the disk cache, and writes compiled files
        wholes, busy, parts = [], [], []
        for _ in range(RUNS):
            before = _cpu_seconds()
            wholes.append(_seconds(*command)[0])
            busy.append(_cpu_seconds() - before)
            total, printed = _seconds("-c", PARTS, run, image)
            of_parts = json.loads(printed)
            parts.append({"interpreter": total - sum(of_parts.values()), **of_parts})
    rows = [(name, f"{1000 * statistics.median(item[name] for item in parts):.0f}") for name in parts[0]]
    whole = statistics.median(wholes)
    rows.append(("convscope predict, whole command", f"{1000 * whole:.0f}"))
    rows.append(("of which the CPU was at work", f"{1000 * statistics.median(busy):.0f}"))
    print_table(Table.of([Column("part"), Column("ms", numeric=True)], rows))
    print(f"limit {LIMIT_SECONDS} s; fastest {min(wholes):.2f} s, slowest {max(wholes):.2f} s of {RUNS}")
    return int(whole > LIMIT_SECONDS)


if __name__ == "__main__":
    raise SystemExit(main())
