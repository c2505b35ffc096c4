"""Trainings that are stopped in every way, at random moments: nothing may be lost, and no traceback printed.

    python bench/stops.py [--kills 60] [--seed 0]

Processes are forked from one that has imported torch, so that a kill costs a second. Each is the command line's own
`main`, on the built-in digits, with a checkpoint after every epoch. A run is lost where its newest checkpoint can't be
read, where an epoch that was saved is gone, or where its weights in the end are not those of the unbroken run.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from convscope.cli.main import main as convscope
from convscope.report.table import Column, Table, print_table
from convscope.runs.checkpoint import load_checkpoint
from convscope.runs.run_directory import Run
from convscope.training import kept_state

EPOCHS = 6
SETTINGS = f"--model alexnet-mini --image-size 8 --threads 1 --precision fp32 --autotune rules --epochs {EPOCHS}"
# Ways to stop, the share of kills that each gets, and the exit codes that it may have: 0 where the run was done before.
WAYS: tuple[tuple[str, tuple[signal.Signals, ...], float, tuple[int, ...]], ...] = (
    ("SIGKILL", (signal.SIGKILL,), 1.0, (-signal.SIGKILL, 0)),
    ("SIGHUP, twice", (signal.SIGHUP, signal.SIGHUP), 0.25, (143, 0)),
    ("SIGTERM, then SIGHUP", (signal.SIGTERM, signal.SIGHUP), 0.25, (143, 0)),
    ("SIGINT", (signal.SIGINT,), 0.25, (130, 0)),
)
DISKS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14)
CLOSED = ("2>&1 | head -1", ">&- 2>&- <&-", ">/dev/full", "2>/dev/full", "| head -1", ">&-", "2>&-")
# A training has its output closed in all of these ways, each other command in the first CLOSED_OF_OTHERS.
CLOSED_OF_OTHERS = 3
COMMANDS = (
    f"train digits {SETTINGS} --runs RUNS",
    f"train digits {SETTINGS} --ensemble 2 --runs RUNS",
    f"ablate digits {SETTINGS} --without dropout --seeds 1 --runs RUNS",
    "lr-find digits --model lenet5 --steps 20 --threads 1 --autotune rules",
    "evaluate RUN",
    "predict RUN IMAGE",
    "shard digits OUT",
)


@dataclass
class Tally:
    """What came of one way to stop."""

    times: int = 0
    lost: int = 0
    tracebacks: int = 0
    other_codes: int = 0

    def count(self, output: str, *, lost: bool, expected: bool) -> None:
        """Count one process by what it printed and how it ended."""
        self.times += 1
        self.lost += lost
        self.tracebacks += "Traceback" in output or "Exception ignored" in output
        self.other_codes += not expected


def main() -> None:
    """Print a row a way to stop; exit 1 where anything was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=60, help="of SIGKILL; a quarter of it for each other signal")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given = parser.parse_args()
    kept_state.CHECKPOINT_EVERY_SECONDS = 0.0
    tallies: dict[str, Tally] = {}

    with tempfile.TemporaryDirectory() as folder:
        os.environ["CONVSCOPE_CACHE"] = str(Path(folder) / "cache")
        whole = unbroken(Path(folder) / "whole")
        for number, (name, signals, share, codes) in enumerate(WAYS):
            draw = random.Random(f"{given.seed} {name}")
            kills = max(1, round(given.kills * share))
            tallies[name] = stopped(Path(folder) / f"way-{number}", signals, kills, codes, draw, whole)
            print(name, tallies[name], file=sys.stderr, flush=True)
        tallies["a disk that fills up"] = full_disks(Path(folder) / "disk")
        for words in COMMANDS:
            tallies[f"{words.split()[0]}{' --ensemble' if '--ensemble' in words else ''}, output closed"] = closed(
                Path(folder), words, whole
            )
    columns = ["what happens", "times", "lost", "tracebacks", "other exit codes"]
    rows = [
        (name, str(one.times), str(one.lost), str(one.tracebacks), str(one.other_codes))
        for name, one in tallies.items()
        if one.times
    ]
    print_table(Table.of([Column(columns[0]), *(Column(name, numeric=True) for name in columns[1:])], rows))
    if any(one.lost or one.tracebacks or one.other_codes for one in tallies.values()):
        sys.exit(1)


def forked(words: Sequence[str], output: Path) -> int:
    """Start a command in a process of its own, its output in a file; returns the process's number."""
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    number = os.fork()
    if number:
        os.close(descriptor)
        return number
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    code: object = 1
    try:
        convscope(list(words))
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def ended(number: int) -> int:
    """Return the exit code of a process; minus the signal's number if one ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def unbroken(runs: Path) -> Run:
    """Run the training without interruption."""
    output = runs.with_suffix(".txt")
    code = ended(forked(f"train digits {SETTINGS} --name run --runs {runs}".split(), output))
    assert code == 0, output.read_text()
    return Run(runs / "run")


def stopped(
    folder: Path,
    signals: Sequence[signal.Signals],
    kills: int,
    codes: Sequence[int],
    draw: random.Random,
    whole: Run,
) -> Tally:
    """Stop runs at random moments and go on with them, until `kills` processes were stopped."""
    tally = Tally()
    folder.mkdir()
    began = time.monotonic()
    ended(forked(f"train digits {SETTINGS} --name timed --runs {folder}".split(), folder / "timed.txt"))
    longest = time.monotonic() - began
    number, saved = 0, 0
    while tally.times < kills:
        run = Run(folder / f"run-{number}")
        begun = run.spec_path.is_file() and run.recipe_path.is_file()
        words = ["train", "--resume", str(run)] if begun else f"train digits {SETTINGS} --runs {folder}".split()
        if not begun:
            number += run.path.exists()
            run, saved = Run(folder / f"run-{number}"), 0
            words += ["--name", run.path.name]
        output = folder / f"{number}-{tally.times}.txt"
        process = forked(words, output)
        time.sleep(draw.uniform(0.0, longest))
        for one in signals:
            os.kill(process, one)
        code = ended(process)
        lost, reached = _lost(run, saved)
        saved = max(saved, reached)
        # Before the run directory is there, nothing is heeded: the signal ends the process, and nothing was begun.
        early = code == -signals[0] or (code == 130 and not run.path.exists())
        done = code == 0 or (begun and code == 2 and "has all of its" in output.read_text())
        if done:
            lost = lost or run.weights.read_bytes() != whole.weights.read_bytes()
            number += 1
            saved = 0
        tally.count(output.read_text(), lost=lost, expected=code in codes or early or done)
    return tally


def _lost(run: Run, saved: int) -> tuple[bool, int]:
    """Return whether an epoch that was saved can't be gone on with; and the epoch of the newest checkpoint."""
    try:
        checkpoint = load_checkpoint(run.checkpoints)
    except Exception as error:
        print(f"{run}: {error}", file=sys.stderr)
        return True, 0
    reached = 0 if checkpoint is None else int(checkpoint.values["epoch"])
    return reached < saved, reached


@contextmanager
def mounted(folder: Path, mebibytes: int) -> Iterator[bool]:
    """Mount a disk of this size at the folder; returns False without permission."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    there = (
        sys.platform.startswith("linux") and subprocess.run(command, check=False, capture_output=True).returncode == 0
    )
    try:
        yield there
    finally:
        if there:
            subprocess.run(["umount", str(folder)], check=True)


def full_disks(folder: Path) -> Tally:
    """Train on disks of several sizes; what a run says that it keeps must be there, and be readable."""
    tally = Tally()
    for mebibytes in DISKS:
        with mounted(folder, mebibytes) as there:
            if not there:
                return tally
            output = folder.with_name(f"disk-{mebibytes}.txt")
            words = f"train digits {SETTINGS} --epochs 40 --patience 0 --name run --runs {folder}"
            code = ended(forked(words.split(), output))
            run, said = Run(folder / "run"), output.read_text()
            claims = {
                "the weights of epoch": run.measures_of_weights() is not None,
                "the report": run.report.is_file(),
                "the checkpoint of epoch": _lost(run, 0)[1] > 0,
            }
            kept = said.splitlines()[-1].partition("; kept: ")[2]
            lost = code != 0 and any((claim in kept) != holds for claim, holds in claims.items())
            tally.count(said, lost=lost, expected=code in (0, 2))
    return tally


def closed(folder: Path, words: str, whole: Run) -> Tally:
    """Run a command whose output nothing takes, in a shell and an interpreter of its own."""
    tally = Tally()
    image = Path(folder) / "image.png"
    if not image.exists():
        from PIL import Image

        Image.new("L", (8, 8), 128).save(image)
    ways = CLOSED if words.startswith("train") and "--ensemble" not in words else CLOSED[:CLOSED_OF_OTHERS]
    for number, redirection in enumerate(ways):
        runs = folder / f"closed-{words.split()[0]}-{number}-{'--ensemble' in words}"
        line = words.replace("RUNS", str(runs)).replace("RUN", str(whole)).replace("OUT", str(runs))
        line = line.replace("IMAGE", str(image))
        script = f"{sys.executable} -m convscope {line} {redirection}; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
        # That a disk was full is said by the exit code, unless what was made is in a run directory.
        full = redirection == ">/dev/full" and "RUNS" not in words
        lost = "RUNS" in words and not list(runs.glob("*/report.html"))
        tally.count(done.stdout + done.stderr, lost=lost, expected=done.returncode == (2 if full else 0))
    return tally


if __name__ == "__main__":
    main()
