"""A row of the scorecard, and what its trials came to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SETTINGS = "--model alexnet-mini --image-size 8 --threads 1 --precision fp32 --autotune rules"


@dataclass
class Outcome:
    """How often a promise was tried, what failed, and what was measured meanwhile."""

    trials: int = 0
    failures: list[str] = field(default_factory=list)
    note: str = ""

    def check(self, held: object, what: str) -> None:
        """Count a trial, and its failure unless it held."""
        self.trials += 1
        if not held:
            self.failures.append(what)
            print(f"failed: {what}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Row:
    """A promise and its trial: `trial(folder, full)` tries it in an empty folder, few times unless `full`."""

    number: int
    promise: str
    trial: Callable[[Path, bool], Outcome]
    target: str = "0 failures"


def forked(work: Callable[[], object], output: Path, environment: dict[str, str] | None = None) -> int:
    """Run `work` in a process of its own, what it prints in a file; returns its number."""
    number = os.fork()
    if number:
        return number
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(environment or {})
    code: object = 0
    try:
        work()
    except SystemExit as ended_by:
        code = ended_by.code
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def command(words: Sequence[str]) -> Callable[[], None]:
    """Return a command of convscope as a function."""

    def work() -> None:
        from convscope.cli.main import main

        main(list(words))

    return work


def ended(number: int, seconds: float = 600.0) -> int | None:
    """Return a process's exit code, minus the signal's number if one ended it; None, and it is killed, if it hangs."""
    until = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(number, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            os.kill(number, signal.SIGKILL)
            os.waitpid(number, 0)
            return None
        time.sleep(0.01)


def wait_for(what: Callable[[], object], seconds: float = 120.0) -> bool:
    """Return whether it came true in this time."""
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def team(work: Callable[[], Any], size: int, folder: Path) -> list[Any]:
    """Run `work` in several processes that train together, and return what each returned, as JSON has it."""
    import socket

    with socket.socket() as here:
        here.bind(("127.0.0.1", 0))
        port = here.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(size)} if size > 1 else {}
    folder = Path(tempfile.mkdtemp(dir=folder))

    def keep(rank: int) -> Callable[[], None]:
        return lambda: (folder / f"{rank}.json").write_text(json.dumps(work()), encoding="utf-8") and None

    members = [
        forked(keep(rank), folder / f"{rank}.txt", {**shared, "RANK": str(rank)} if size > 1 else {})
        for rank in range(size)
    ]
    codes = [ended(member) for member in members]
    if any(codes):
        said = "\n".join((folder / f"{rank}.txt").read_text() for rank in range(size))
        raise RuntimeError(f"processes ended by {codes}: {said[-2000:]}")
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(size)]


def torchrun(words: Iterable[str], output: Path, *, processes: int = 2, restarts: int = 0) -> subprocess.Popen[bytes]:
    """Start `torchrun -m convscope WORDS`."""
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--standalone"]
    with output.open("ab") as file:
        return subprocess.Popen(
            [*start, "--max-restarts", str(restarts), "-m", "convscope", *words], stdout=file, stderr=file
        )


def children(number: int) -> list[int]:
    """Return the processes that a process has started."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{number}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def alive(numbers: Iterable[int]) -> list[int]:
    """Return which of these processes still run."""

    def runs(number: int) -> bool:
        try:
            return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    return [number for number in numbers if runs(number)]


def by_tests(*paths: str, select: str = "") -> Callable[[Path, bool], Outcome]:
    """Return the trial that runs tests of the tree, the longer ones where it is full; a trial is a test."""

    def trial(folder: Path, full: bool) -> Outcome:
        report = folder / "tests.xml"
        words = [sys.executable, "-m", "pytest", *paths, "-k", select, f"--junitxml={report}", "--basetemp"]
        words += [str(folder / "tests"), *(["-m", "long or not long"] if full else [])]
        subprocess.run(words, cwd=ROOT, check=False, stdout=sys.stderr)
        from xml.etree import ElementTree

        outcome = Outcome(note="tests: " + ", ".join(path.removeprefix("tests/") for path in paths))
        for case in ElementTree.parse(report).iter("testcase"):
            if case.find("skipped") is None:
                good = case.find("failure") is None and case.find("error") is None
                outcome.check(good, str(case.get("name")))
        return outcome

    return trial
