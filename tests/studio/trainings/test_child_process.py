"""A training has a lower priority than the page's computing, also where the system shares cores among sessions."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convscope.studio.trainings.child_process import NICE, be_nice

BUSY = [sys.executable, "-c", "while True: pass"]
GROUPS = Path("/proc/sys/kernel/sched_autogroup_enabled")


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc, and keeps processes on one core")
def test_the_page_has_half_the_cores_beside_two_trainings() -> None:
    """On one core, each in a session of its own, as the compute process and trainings are started."""
    core = min(os.sched_getaffinity(0))
    page, *trainings = (subprocess.Popen(BUSY, start_new_session=True) for _ in range(3))
    try:
        for training in trainings:
            be_nice(training.pid)
            assert os.getpriority(os.PRIO_PROCESS, training.pid) == NICE
            if GROUPS.is_file() and GROUPS.read_text().strip() == "1":
                assert f"nice {NICE}" in Path(f"/proc/{training.pid}/autogroup").read_text()
        for process in (page, *trainings):
            os.sched_setaffinity(process.pid, {core})
        time.sleep(0.3)
        before = [cpu_seconds(process) for process in (page, *trainings)]
        used = [0.0]
        while sum(used) < 0.8:  # however long that takes beside other work
            time.sleep(0.05)
            used = [cpu_seconds(process) - was for process, was in zip((page, *trainings), before, strict=True)]
    finally:
        for process in (page, *trainings):
            process.kill()
            process.wait()
    assert used[0] > 0.5 * sum(used), used
