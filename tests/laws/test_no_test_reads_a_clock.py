"""No test depends on how fast or how busy the machine is: those that read a real clock stand here, with the reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
READS = re.compile(
    r"\btime\.(?:time|monotonic|perf_counter|process_time|thread_time)(?:_ns)?\b|\bfrom time import\b"
    r"|\bdate(?:time)?\.(?:now|today|utcnow)\("
)
# Of what a process, a thread or a server is given to end; a browser's are in milliseconds.
LIMIT = re.compile(r"(?:timeout=|\bwait\(|\bcommunicate\(|\bjoin\()(\d+(?:\.\d+)?)\b")
LEAST_SECONDS = 60

ALLOWED = {
    "clocks.py": "stops it, or compares two of its times",
    "data/pixels/test_cache.py": "sets the age of files, in minutes and days",
    "fuzzing.py": "lists what is slow",
    "studio/test_compute_client.py": "the fastest of 50 answers",
    "studio/trainings/test_train_room.py": "a limit of minutes",
    "studio_command.py": "a limit of minutes",
    "training/distributed/test_torchrun.py": "a limit of minutes",
    "training/live/test_live_run.py": "hours are added to it",
    "training/test_halved_batch.py": "the plan is a multiple of the usual one",
    "training/timing/test_time_budget.py": "replaces it",
}
# Waits that may end without what is waited for.
SHORT = {
    "laws/test_threads.py": {0.1, 0.0001},  # it goes on either way
    "studio_command.py": {0.01},  # looks again
}


@pytest.mark.parametrize(
    ("line", "reads"),
    [
        ("began = time.perf_counter_ns()", True),
        ("from time import monotonic", True),
        ("datetime.datetime.now(UTC)", True),
        ("date.today()", True),
        ("datetime(2024, 5, 1, tzinfo=UTC)", False),
        ("time.sleep(0.02)", False),
    ],
)
def test_a_clock_is_seen_however_it_is_read(line: str, reads: bool) -> None:
    assert bool(READS.search(line)) is reads


def test_those_that_do_have_a_reason() -> None:
    found, short = set(), []
    for path in sorted(TESTS.rglob("*.py")):
        name, text = path.relative_to(TESTS).as_posix(), path.read_text(encoding="utf-8")
        if READS.search(text) and path != Path(__file__):
            found.add(name)
        if "browser" not in name:
            limits = {float(limit) for limit in LIMIT.findall(text)}
            short += [(name, limit) for limit in limits - SHORT.get(name, set()) if limit < LEAST_SECONDS]
    assert found == ALLOWED.keys(), "stop the clock (clocks.py), wait for a state, or say here why not"
    assert short == [], "a limit of time ends what hangs, on a machine that is ten times slower too"
