"""The machine: processor, cores, memory and its limits. Read from the system, without torch.

Whatever the system does not report is None, and is never guessed.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
# Instruction sets that decide how fast convolutions are, as Linux names them.
TELLING_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "sve", "bf16")
# A memory group without a limit reports a number near 2^63: anything from here on is none.
NO_LIMIT = 2**60


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine as a program sees it.

    Args:
        processor: its name.
        cores: physical cores that this process may run on, the group's share of processor time counted.
        memory: bytes that this process may use, the machine's or its memory group's; None where the system is silent.
        flags: of TELLING_FLAGS, those that the processor has.
    """

    processor: str
    cores: int
    memory: int | None
    flags: tuple[str, ...]


def this_machine(root: Path = Path("/")) -> Machine:
    """Return the machine that this process runs on; `root` is where /proc and /sys are."""
    described = _processor_lines(root)
    fallback = platform.processor() or platform.machine() or "unknown"
    names = (described.get(key, "") for key in ("model name", "Model", "Hardware"))
    present = set((described.get("flags") or described.get("Features") or "").split())
    return Machine(
        processor=next(filter(None, names), fallback),
        cores=_cores(root),
        memory=_least(_total_memory(root), *(limit for limit, _ in _memory_groups(root))),
        flags=tuple(flag for flag in TELLING_FLAGS if flag in present),
    )


def processors() -> int:
    """Return the logical processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_quota(root: Path = Path("/")) -> int | None:
    """Return the whole cores' worth of time that a CPU quota leaves to this process; None where there is no quota.

    >>> processor_quota(Path("/nowhere")) is None
    True
    """
    return _least(*_processor_shares(root))


def available_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes available without swapping or being killed, on the machine or in its control group."""
    free = _meminfo(root).get("MemAvailable")
    return _least(free, *(max(0, limit - used) for limit, used in _memory_groups(root)))


def resident_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes of this process that are in memory now; None if the system does not report them.

    >>> resident_memory(Path("/nowhere")) is None
    True
    """
    sizes = _text(root / "proc/self/statm").split()
    return int(sizes[1]) * os.sysconf("SC_PAGE_SIZE") if len(sizes) > 1 and sizes[1].isdigit() else None


def throttled_nanoseconds(root: Path = Path("/")) -> int:
    """Return for how long a CPU quota has stopped the control groups of this process so far; 0 where none has.

    >>> throttled_nanoseconds(Path("/nowhere"))
    0
    """
    names = {"": ("throttled_usec", 1000), "cpu": ("throttled_time", 1)}
    return sum(
        _statistics(group / "cpu.stat").get(name, 0) * unit
        for controller, (name, unit) in names.items()
        for group in _groups(root, controller)
    )


def huge_pages(root: Path = Path("/")) -> str | None:
    """Return the system's policy for transparent huge pages: always, madvise or never; None where it has none.

    >>> huge_pages(Path("/nowhere")) is None
    True
    """
    words = _text(root / HUGE_PAGES.relative_to("/")).split()
    return next((word.strip("[]") for word in words if word.startswith("[")), None)


def load_of_others() -> float | None:
    """Return the load average of the last minute; None if the system does not report it."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def _cores(root: Path) -> int:
    """Return the physical cores that this process may run on, fewer if its control group has a CPU quota."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    topology = root / "sys/devices/system/cpu"
    siblings = {_text(topology / f"cpu{number}/topology/thread_siblings_list") or str(number) for number in allowed}
    share = processor_quota(root)
    return max(1, len(siblings) if share is None else min(len(siblings), share))


def _processor_shares(root: Path) -> Iterator[int]:
    """Whole cores' worth of time that the process's groups are limited to."""
    for group in _groups(root, ""):
        quota, _, period = _text(group / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit():
            yield max(1, math.ceil(int(quota) / int(period)))
    for group in _groups(root, "cpu"):
        quota, period = _text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit():
            yield max(1, math.ceil(int(quota) / int(period)))


def _memory_groups(root: Path) -> Iterator[tuple[int, int]]:
    """Yield (limit, bytes in use that can't be dropped) of each control group of this process that has a limit."""
    names = {
        "": ("memory.max", "memory.current", "inactive_file"),
        "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    }
    for controller, (limit_name, used_name, droppable_name) in names.items():
        for group in _groups(root, controller):
            limit, used = _text(group / limit_name), _text(group / used_name)
            if limit.isdigit() and int(limit) < NO_LIMIT:
                droppable = _statistics(group / "memory.stat").get(droppable_name, 0)
                held = (int(used) if used.isdigit() else 0) - droppable
                yield int(limit), max(0, held)


def _statistics(path: Path) -> dict[str, int]:
    """Return the whole numbers of a control group's file of names and values."""
    entries = (line.partition(" ")[::2] for line in _text(path).splitlines())
    return {name: int(value) for name, value in entries if value.isdigit()}


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control group and its parents; `controller` "" is that of version 2."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controller not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / controller
        # Inside a container the name is the host's, which is not there: the top is then the group's own folder.
        folder = top / name.lstrip("/")
        for path in (folder, *folder.parents):
            if path.is_dir():
                yield path
            if path == top:
                break


def _processor_lines(root: Path) -> dict[str, str]:
    """Return the first processor's entries of /proc/cpuinfo."""
    lines = (line.partition(":")[::2] for line in _text(root / "proc/cpuinfo").splitlines() if ":" in line)
    found: dict[str, str] = {}
    for key, value in lines:
        found.setdefault(key.strip(), value.strip())
    return found


def _total_memory(root: Path) -> int | None:
    if total := _meminfo(root).get("MemTotal"):
        return total
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _meminfo(root: Path) -> dict[str, int]:
    """Return the entries of /proc/meminfo, in bytes."""
    entries = (line.split() for line in _text(root / "proc/meminfo").splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in entries if len(words) > 1 and words[1].isdigit()}


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
