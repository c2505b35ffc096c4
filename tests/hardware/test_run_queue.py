"""How long this process waits for a core, from the counters of Linux's scheduler."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from convscope.hardware import run_queue
from convscope.hardware.run_queue import core_wait


def counted(folder: Path, **waited: int) -> None:
    """Write threads' counters: nanoseconds on a core, nanoseconds of waiting, time slices."""
    for thread, nanoseconds in waited.items():
        (folder / thread).mkdir(parents=True, exist_ok=True)
        (folder / thread / "schedstat").write_text(f"123456 {nanoseconds} 7\n")


def test_the_thread_that_waited_most_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_queue, "THREADS", tmp_path)
    monkeypatch.setattr(run_queue, "throttled_nanoseconds", lambda: 0)
    clock = iter(range(0, 8 * 10**7, 2 * 10**7))  # each block takes 20 ms
    monkeypatch.setattr(run_queue, "time", SimpleNamespace(monotonic_ns=lambda: next(clock)))
    counted(tmp_path, main=10**12, ended=10**12)
    with core_wait() as wait:
        counted(tmp_path, main=10**12 + 10**7, started=2 * 10**6)
        (tmp_path / "ended" / "schedstat").unlink()
    assert wait.share == 0.5
    with core_wait() as wait:
        counted(tmp_path, main=10**13)
    assert wait.share == 1.0


@pytest.mark.parametrize("content", ["", "x y z", "5"])
def test_a_system_without_these_counters_never_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setattr(run_queue, "THREADS", tmp_path / "absent")
    with core_wait() as wait:
        pass
    assert wait.share == 0.0
    counted(tmp_path, main=0)
    (tmp_path / "main" / "schedstat").write_text(content)
    monkeypatch.setattr(run_queue, "THREADS", tmp_path)
    with core_wait() as wait:
        pass
    assert wait.share == 0.0


def test_what_a_cpu_quota_stops_is_no_other_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_queue, "THREADS", tmp_path)
    throttled = iter([10**9, 10**9 + 10**12, 0, 10**3])
    monkeypatch.setattr(run_queue, "throttled_nanoseconds", lambda: next(throttled))
    for share in (0.0, 1.0):
        counted(tmp_path, main=0)
        with core_wait() as wait:
            counted(tmp_path, main=10**12)
        assert wait.share == share
