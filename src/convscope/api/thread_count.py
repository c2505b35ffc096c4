"""The number of threads that torch computes on, which is each thread's own from its first use of torch on.

`torch.set_num_threads` changes the number of the calling thread, and also that of every thread that has not used torch
yet. Between setting a number here and giving the caller's back to threads to come, a thread that starts must wait: sums
and kernels differ by the number of threads, and so would what it finds.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Change:
    """The lock of a change of the number."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


_change = _Change()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_change.__init__)  # type: ignore[misc]  # a thread that is gone may hold it


def own_thread_count() -> int:
    """Return this thread's number, which is settled by the call: no change of another thread reaches it any more.

    >>> own_thread_count() > 0
    True
    """
    import torch

    with _change.lock:
        return torch.get_num_threads()


@contextmanager
def threads_of_this_thread(threads: int) -> Iterator[None]:
    """Let torch compute on this many threads what this thread asks for; threads that start meanwhile have the caller's.

    >>> import torch
    >>> before = torch.get_num_threads()
    >>> with threads_of_this_thread(before + 1):
    ...     torch.get_num_threads() - before
    1
    >>> torch.get_num_threads() == before
    True
    """
    import torch

    before = own_thread_count()
    if threads == before:
        yield
        return
    with _change.lock:
        torch.set_num_threads(threads)
        others = threading.Thread(target=torch.set_num_threads, args=(before,))
        others.start()
        others.join()
    try:
        yield
    finally:
        torch.set_num_threads(before)
