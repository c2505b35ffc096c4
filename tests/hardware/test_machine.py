"""What is read of a machine, on systems made for the purpose; and what the allocator is then told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from convscope.hardware import device
from convscope.hardware.allocator import SWITCH, TORCH_HUGE_PAGES, USERS_OWN, keeping, prepare_memory
from convscope.hardware.machine import (
    available_memory,
    huge_pages,
    processor_quota,
    this_machine,
    throttled_nanoseconds,
)
from convscope.training.resolve.machine import usual_threads

GIB = 2**30


def _system(root: Path, **files: str) -> Path:
    """A system's root with these files; `__` stands for a slash in their names."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_machine_without_groups_has_all_its_memory(tmp_path: Path) -> None:
    root = _system(
        tmp_path,
        proc__meminfo="MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\n",
        proc__cpuinfo="processor\t: 0\nmodel name\t: Fast One\nflags\t\t: fpu avx2 avx512_bf16\n",
        sys__kernel__mm__transparent_hugepage__enabled="always [madvise] never\n",
    )
    machine = this_machine(root)
    assert (machine.processor, machine.memory, machine.flags) == ("Fast One", 16 * GIB, ("avx2", "avx512_bf16"))
    assert available_memory(root) == 8 * GIB
    assert huge_pages(root) == "madvise"


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_of_either_kind_limits_memory_and_cores(tmp_path: Path, version: int) -> None:
    meminfo = {"proc__meminfo": f"MemTotal: {64 * 2**20} kB\nMemAvailable: {60 * 2**20} kB\n"}
    if version == 2:
        root = _system(
            tmp_path,
            **meminfo,
            proc__self__cgroup="0::/outer/inner\n",
            sys__fs__cgroup__outer__memory_max="",
        )
        outer = root / "sys/fs/cgroup/outer"
        (outer / "inner").mkdir()
        (outer / "memory.max").write_text(f"{4 * GIB}\n")
        (outer / "memory.current").write_text(f"{3 * GIB}\n")
        (outer / "memory.stat").write_text(f"anon {2 * GIB}\ninactive_file {1 * GIB}\n")
        (outer / "inner" / "memory.max").write_text("max\n")
        (outer / "cpu.max").write_text("100000 100000\n")
        (outer / "cpu.stat").write_text("usage_usec 9\nnr_throttled 2\nthrottled_usec 150\n")
    else:
        root = _system(tmp_path, **meminfo, proc__self__cgroup="4:memory:/job\n3:cpu,cpuacct:/\n")
        job, cpu = root / "sys/fs/cgroup/memory/job", root / "sys/fs/cgroup/cpu"
        job.mkdir(parents=True)
        cpu.mkdir()
        (job / "memory.limit_in_bytes").write_text(f"{4 * GIB}\n")
        (job / "memory.usage_in_bytes").write_text(f"{3 * GIB}\n")
        (job / "memory.stat").write_text(f"total_inactive_file {1 * GIB}\n")
        (job.parent / "memory.limit_in_bytes").write_text("9223372036854771712\n")
        (cpu / "cpu.cfs_quota_us").write_text("100000\n")
        (cpu / "cpu.cfs_period_us").write_text("100000\n")
        (cpu / "cpu.stat").write_text("nr_periods 3\nnr_throttled 2\nthrottled_time 150000\n")
    machine = this_machine(root)
    assert (machine.memory, machine.cores) == (4 * GIB, 1)
    assert available_memory(root) == 2 * GIB
    assert throttled_nanoseconds(root) == 150_000
    assert processor_quota(root) == 1


def test_a_silent_system_is_not_guessed_at(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None
    assert processor_quota(tmp_path) is None
    assert huge_pages(tmp_path) is None
    assert this_machine(tmp_path).flags == ()


@pytest.mark.parametrize("memory", [GIB, 4 * GIB, 6 * GIB, 15 * GIB, 16 * GIB, 1024 * GIB])
def test_what_is_kept_never_hurts_a_small_machine(memory: int) -> None:
    settings = keeping(memory)
    if memory < 4 * GIB:
        assert settings is None
        return
    assert settings is not None
    threshold, pad = settings
    assert pad <= memory / 64
    assert threshold == -1 if memory >= 16 * GIB else 0 < threshold <= memory / 4
    assert threshold < 2**31  # mallopt takes a C int


def test_a_quota_below_the_number_of_processors_limits_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    for quota, most in ((None, 64), (2, 2), (100, 64)):
        monkeypatch.setattr(device, "processor_quota", lambda quota=quota: quota)
        assert device.most_threads() == most and usual_threads(10**8) == most


def test_bf16_that_a_gpu_emulates_is_not_native(monkeypatch: pytest.MonkeyPatch) -> None:
    # A T4, as torch describes it.
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert torch.cuda.is_bf16_supported() and not device.has_bf16("cuda")


def test_the_user_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TORCH_HUGE_PAGES, "0")
    monkeypatch.setenv(USERS_OWN[0], "7")
    prepared = prepare_memory()
    assert not prepared.kept
    assert not prepared.huge
    assert os.environ[TORCH_HUGE_PAGES] == "0"
    monkeypatch.setenv(SWITCH, "plain")
    assert prepare_memory().line.count(f"{SWITCH} is plain") == 2


_STORY = """
import ctypes
from convscope.hardware.allocator import huge_pages_taken, prepare_memory
import sys
assert "torch" not in sys.modules
prepared = prepare_memory()
assert "torch" not in sys.modules
import torch
import mmap
pages = mmap.mmap(-1, 2**26)
pages.madvise(mmap.MADV_HUGEPAGE)
pages.write(bytes(2**26))
given = huge_pages_taken(ctypes.addressof(ctypes.c_char.from_buffer(pages)) + 2**25)
block = torch.ones(16 * 2**20)
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * 4096
taken = huge_pages_taken(block.data_ptr() + block.nbytes // 2)
before = resident()
del block
print(prepared.kept, prepared.huge, taken, before - resident() > 32 * 2**20, given)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
@pytest.mark.parametrize("plain", [False, True])
def test_freed_memory_stays_and_huge_pages_come(plain: bool) -> None:
    roomy = (this_machine().memory or 0) >= 16 * GIB
    if not roomy or huge_pages() not in ("madvise", "always"):
        pytest.skip("needs 16 GiB of memory and transparent huge pages")
    environment = {name: value for name, value in os.environ.items() if name != TORCH_HUGE_PAGES}
    environment |= {SWITCH: "plain"} if plain else {}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", _STORY], capture_output=True, text=True, env=environment, check=True, timeout=300
    )
    kept, huge, taken, given_back, given = (word == "True" for word in done.stdout.split())
    assert (kept, huge, given_back) == ((False, False, True) if plain else (True, True, False))
    assert taken or plain or not given  # a system whose memory is fragmented gives none
