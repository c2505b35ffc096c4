"""Commands of convscope as processes of their own: niced, without a terminal, ended with what they have started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from convscope.files.regular import UnreadableError, read_part, read_start, require_regular
from convscope.report.printable import printable

NICE = 10  # of a training: the page's computing has at least half the cores beside any number of them
TRIES = 5  # to set the priority of a session: the system refuses a second one within 0.1 s
TAIL = 2**14
OUT_OF_MEMORY = "memory ran out, and the system ended the process"


def command_line(*words: str) -> list[str]:
    """Return the command of this convscope; the current folder is no place of modules.

    >>> command_line("train", "--forecast")[-2:]
    ['train', '--forecast']
    """
    return [sys.executable, "-P", "-m", "convscope", *words]


def be_nice(pid: int) -> None:
    """Give a process that leads a session a lower priority; it has one thread yet, and its threads inherit that.

    Where Linux shares the cores among sessions (sched_autogroup), the priority of a process counts within its session
    alone, and the session has one of its own.
    """
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, pid, NICE)
    for _ in range(TRIES):
        try:
            descriptor = os.open(f"/proc/{pid}/autogroup", os.O_WRONLY)
        except OSError:
            return
        try:
            os.write(descriptor, str(NICE).encode())
            return
        except BlockingIOError:
            time.sleep(0.05)
        except OSError:
            return
        finally:
            os.close(descriptor)


def end_all(pid: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Send a signal to a process that leads a session of its own, and to all that it has started."""
    with suppress(OSError):
        os.killpg(pid, number)


def started(words: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
    """Start a command whose output goes to a file; raises OSError where it can't be started."""
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        process = subprocess.Popen(
            command_line(*words),
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
    be_nice(process.pid)
    return process


def last_lines(output: Path, *, size: int = TAIL) -> list[str]:
    """Return the last lines of what a process has written, without empty ones."""
    try:
        there = require_regular(output)
        start = max(0, there - size)
        text = read_part(output, start, there - start).decode("utf-8", "replace")
    except UnreadableError:
        return []
    return [printable(line.strip()) for line in text.splitlines() if line.strip()]


def why_ended(code: int, *, killed_before: int) -> str:
    """Return why a process ended by its exit code, "" where it ended well.

    Args:
        code: as `Popen.returncode`: below 0 the number of a signal.
        killed_before: `killed_for_memory()` when it was started.

    >>> why_ended(0, killed_before=0), why_ended(-11, killed_before=0)
    ('', 'it ended by SIGSEGV')
    """
    if code >= 0:
        return f"it ended with exit code {code}" if code else ""
    if code == -signal.SIGKILL:
        if killed_for_memory() > killed_before:
            return OUT_OF_MEMORY
        return "it was killed by SIGKILL: by a user, or by the system where memory ran out"
    with suppress(ValueError):
        return f"it ended by {signal.Signals(-code).name}"
    return f"it ended by signal {-code}"


def killed_for_memory() -> int:
    """Return how many processes this system has ended because memory ran out; 0 where it does not say."""
    with suppress(UnreadableError, ValueError):
        for line in read_start("/proc/vmstat", 2**16).splitlines():
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    return 0
