"""How long this process waits for a core, because other processes have it: the run-queue delay that Linux counts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from convscope.hardware.machine import throttled_nanoseconds

# Of each thread of this process: nanoseconds on a core, nanoseconds runnable without one, and how often it got one.
# (The kernel's Documentation/scheduler/sched-stats.rst; absent on other systems and in kernels without sched_info.)
THREADS = Path("/proc/self/task")
# A smaller share is found on an idle machine too, and a larger one is never taken off.
LITTLE_WAIT, MOST_WAIT = 0.15, 0.8


@dataclass
class CoreWait:
    """The share of the time, 0 to 1, in which the thread that waited most was runnable and had no core."""

    share: float = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether other work has taken cores that this process would have used."""
        return self.share > LITTLE_WAIT

    @property
    def of_time_alone(self) -> float:
        """How many times as long the fastest of several steps would have taken without the other work, at most 1.

        >>> CoreWait(0.25).of_time_alone, CoreWait(0.05).of_time_alone
        (0.75, 1.0)
        """
        return 1.0 - min(self.share, MOST_WAIT) if self.is_busy else 1.0


@contextmanager
def core_wait() -> Iterator[CoreWait]:
    """Measure how much of the time of a block is spent waiting for a core; 0 where the system does not count it.

    A CPU quota of a container lets threads wait as well; that is no other work, and is left out.

    A step of a training ends with its slowest thread, so the fastest of several steps takes about 1 - share as long on
    a machine without other work.

    >>> with core_wait() as wait:
    ...     _ = sum(range(100_000))
    >>> 0 <= wait.share <= 1
    True
    """
    wait = CoreWait()
    before, throttled, began = _delays(), throttled_nanoseconds(), time.monotonic_ns()
    try:
        yield wait
    finally:
        taken = time.monotonic_ns() - began
        waited = (after - before.get(thread, 0) for thread, after in _delays().items())
        of_others = max(waited, default=0) - (throttled_nanoseconds() - throttled)
        wait.share = min(1.0, max(0, of_others) / max(1, taken))


def _delays() -> dict[str, int]:
    """Return the nanoseconds that each thread of this process has waited for a core, by its number."""
    delays: dict[str, int] = {}
    # A thread may end meanwhile, and the folder is absent where Linux is not.
    with suppress(OSError):
        for thread in THREADS.iterdir():
            with suppress(OSError, ValueError, IndexError):
                delays[thread.name] = int((thread / "schedstat").read_text().split()[1])
    return delays
