"""The C allocator and huge pages, set for training: memory is taken once and kept, in large pages.

A training step frees and takes the same large blocks again and again. As glibc comes, each of them is handed back to
the system and mapped anew, and every first touch of a page is a fault; the larger the batch, the more of the step that
is. Kept memory costs none of it, and huge pages have 512 times fewer of them to look up.

No torch here: it decides about huge pages when it first takes memory, so this is called before torch is imported.
"""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convscope.hardware.machine import huge_pages, this_machine
from convscope.report.units import byte_size

# The environment variable that leaves the allocator as it is, if "plain".
SWITCH = "CONVSCOPE_ALLOCATOR"
TORCH_HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"
# glibc's own names for what is set here: if the user sets one of them, nothing is changed.
USERS_OWN = ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_")

# From malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
NEVER = -1

GIB = 2**30
# Below this much memory, what is kept is what something else needs.
LEAST_MEMORY = 4 * GIB
# From this much on, nothing is ever given back; in between, what is free beyond a quarter of the memory is.
ROOMY_MEMORY = 16 * GIB
LARGEST_THRESHOLD = 2**31 - 1
# Memory is taken in pieces of at least this size, or a 64th of all of it where that is less.
LARGEST_PAD = 256 * 2**20


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """The state of the two settings: whether each is in force, and the reason."""

    kept: bool
    kept_because: str
    huge: bool
    huge_because: str

    @property
    def line(self) -> str:
        """Both in one line."""
        kept = "freed memory is kept for reuse" if self.kept else "freed memory goes back to the system"
        pages = "huge pages" if self.huge else "no huge pages"
        return f"{kept} ({self.kept_because}); {pages} ({self.huge_because})"


def prepare_memory() -> Allocation:
    """Let glibc keep freed memory, and torch take huge pages, where that can be had and does no harm.

    Called twice it changes nothing more. Once torch has taken memory only the first half has an effect;
    `huge_pages_taken` returns whether the second has.
    """
    if os.environ.get(SWITCH) == "plain":
        why = f"{SWITCH} is plain"
        return Allocation(kept=False, kept_because=why, huge=False, huge_because=why)
    memory = this_machine().memory
    kept, kept_because = _keep_freed(memory)
    huge, huge_because = _ask_for_huge_pages(memory)
    return Allocation(kept=kept, kept_because=kept_because, huge=huge, huge_because=huge_because)


def huge_pages_taken(address: int) -> bool | None:
    """Return whether the memory around an address lies in huge pages; None where the system does not say."""
    try:
        lines = Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    inside = False
    for line in lines:
        name, _, rest = line.partition(" ")
        if not name.endswith(":"):
            first, _, last = name.partition("-")
            inside = int(first, 16) <= address < int(last, 16)
        elif inside and name == "AnonHugePages:":
            return int(rest.split()[0]) > 0
    return None


def keeping(memory: int) -> tuple[int, int] | None:
    """Return (trim threshold, top pad) in bytes for a machine with this memory; -1 never trims, None changes nothing.

    >>> keeping(2 * 2**30) is None
    True
    >>> keeping(4 * 2**30) == (2**30, 64 * 2**20)
    True
    >>> keeping(64 * 2**30) == (-1, 256 * 2**20)
    True
    """
    if memory < LEAST_MEMORY:
        return None
    threshold = NEVER if memory >= ROOMY_MEMORY else min(memory // 4, LARGEST_THRESHOLD)
    return threshold, min(memory // 64, LARGEST_PAD)


def _keep_freed(memory: int | None) -> tuple[bool, str]:
    mallopt = _mallopt()
    if mallopt is None:
        return False, "not glibc's allocator"
    if any(name in os.environ for name in USERS_OWN) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False, "set by you in the environment"
    if memory is None:
        return False, "the system does not say how much memory there is"
    settings = keeping(memory)
    if settings is None:
        return False, f"only {byte_size(memory)} of memory"
    threshold, pad = settings
    # Pieces from mmap go back when they are freed, whatever the threshold: none are taken.
    done = [mallopt(M_MMAP_MAX, 0), mallopt(M_TRIM_THRESHOLD, threshold), mallopt(M_TOP_PAD, pad)]
    if not all(done):
        return False, "the allocator refused"
    return True, "all of it" if threshold == NEVER else f"up to {byte_size(threshold)}"


def _ask_for_huge_pages(memory: int | None) -> tuple[bool, str]:
    policy = huge_pages()
    if policy not in ("madvise", "always"):
        return False, "this system has none" if policy is None else f"the system's policy is {policy}"
    if given := os.environ.get(TORCH_HUGE_PAGES):
        return given == "1", "asked for" if given == "1" else f"{TORCH_HUGE_PAGES} is {given}"
    if memory is None or memory < LEAST_MEMORY:
        return False, "little memory"
    os.environ[TORCH_HUGE_PAGES] = "1"
    return True, "asked for" if "torch" not in sys.modules else "asked for, too late if torch has used memory already"


def _mallopt() -> Any:
    """glibc's mallopt, or None where another allocator serves: musl, macOS, or one that was preloaded."""
    if not sys.platform.startswith("linux") or "malloc" in os.environ.get("LD_PRELOAD", ""):
        return None
    program = ctypes.CDLL(None)
    if not hasattr(program, "gnu_get_libc_version") or not hasattr(program, "mallopt"):
        return None
    return program.mallopt
