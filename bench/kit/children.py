"""A function in a child process, with a limit on its time and memory: a kill is a result, not the end."""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


def in_child(function: Callable[[], Any], *, seconds: float, memory: int) -> tuple[Any, str | None]:
    """Return what a function returns, and why there is nothing: it raised, took too long, or too much memory.

    The child is forked, so whatever is imported is there at once. Needs Linux or macOS; memory is watched on Linux.

    Args:
        function: returns something that can be pickled.
        seconds: wall-clock limit.
        memory: limit on resident bytes.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(function, theirs), daemon=True)
    start = time.monotonic()
    child.start()
    theirs.close()
    try:
        while not ours.poll(0.05):
            if time.monotonic() - start > seconds:
                return None, f"killed after {seconds:g} s"
            if child.pid is not None and resident_bytes(child.pid) > memory:
                return None, f"killed above {memory / 2**30:g} GB"
        answer: tuple[Any, str | None] = ours.recv()
        return answer
    except EOFError:
        child.join()
        return None, f"died with exit code {child.exitcode}"
    finally:
        child.kill()
        child.join()
        ours.close()


def resident_bytes(process: int) -> int:
    """Return the memory that a process holds now; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _answer(function: Callable[[], Any], pipe: Connection) -> None:
    try:
        answer = function(), None
    except BaseException as problem:  # whatever a stranger's network raises
        last = traceback.extract_tb(problem.__traceback__)[-1]
        said = (str(problem).splitlines() or [""])[0]
        answer = None, f"{type(problem).__name__}: {said} ({Path(last.filename).name}:{last.lineno})"
    pipe.send(answer)
