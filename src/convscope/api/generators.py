"""The global random generators, which all threads share: one thread at a time uses them, and restores them.

Capture also changes what all threads share (a model's modes, how modules are called), so it holds the same lock.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np
import torch


class _Lock:
    """A lock that the same thread may take again, and that threads get in turn.

    `threading.RLock` alone may be taken again by the thread that just released it, such as a training between two
    steps. Whoever waits here holds the gate, which the training must pass as well.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Make new locks: in a forked process another thread may have held the old ones."""
        self._gate = threading.Lock()
        self._lock = threading.RLock()
        self._owner = 0
        self.depth = 0

    def __enter__(self) -> None:
        if self._owner == threading.get_ident():
            self._lock.acquire()
        else:
            with self._gate:
                self._lock.acquire()
            self._owner = threading.get_ident()
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1
        if not self.depth:
            self._owner = 0
        self._lock.release()


_lock = _Lock()


def _after_fork() -> None:
    """Free the lock in a forked process, unless the thread that forked holds it."""
    if _lock._owner != threading.get_ident():
        _lock.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _torchs(device: torch.device | str) -> tuple[torch.Generator, ...]:
    """Return torch's global generators: the CPU's, and of device "cuda" every GPU's."""
    if torch.device(device).type != "cuda":
        return (torch.default_generator,)
    torch.cuda.init()  # type: ignore[no-untyped-call]  # torch's function has no types
    return torch.default_generator, *torch.cuda.default_generators


@contextmanager
def exclusive(device: torch.device | str | None = "cpu") -> Iterator[None]:
    """Hold off other threads' captures and training steps inside; restore the generators of torch, NumPy and Python.

    Of torch these are the CPU's, and of device "cuda" every GPU's; they are always restored, for what draws weights or
    trains. What else a network of the user draws, all of it where `device` is None, can't be told from the draws of
    another thread: it is restored where this is the only thread, and stays drawn beside others, whose draws would
    otherwise come again. The block may be entered again inside itself. Running a `Predictor` takes no part in this: it
    changes nothing that is shared.

    >>> with exclusive():
    ...     first = torch.rand(3)
    >>> torch.equal(first, torch.rand(3))
    True
    """
    with _lock:
        generators = () if device is None else _torchs(device)
        states = [generator.get_state() for generator in generators]
        try:
            with generators_restored():
                yield
        finally:
            for generator, state in zip(generators, states, strict=True):
                generator.set_state(state)


@contextmanager
def generators_restored() -> Iterator[None]:
    """Restore the generators of torch, NumPy and Python after, where this is the only thread; hold off no other thread.

    For a long work in which a network of the user may draw: see `exclusive` for what is restored beside other threads.

    >>> with generators_restored():
    ...     first = torch.rand(3)
    >>> torch.equal(first, torch.rand(3))
    True
    """
    if not _is_only_thread():
        yield
        return
    # NumPy's global state is the one that a user's code would draw from.
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002 - see above
    try:
        yield
    finally:
        if _is_only_thread():
            torch.set_rng_state(states[0])
            random.setstate(states[1])
            np.random.set_state(states[2])  # noqa: NPY002 - see above


def _is_only_thread() -> bool:
    return threading.active_count() == 1


class OwnGenerators:
    """Torch's generators of one training, seeded; they are the global ones inside `with`, and go on in the next.

    Between two blocks, other threads may use the global generators: neither changes the other's numbers.

    >>> own = OwnGenerators(0)
    >>> with own:
    ...     first = torch.rand(2)
    >>> _ = torch.rand(9)
    >>> with own:
    ...     second = torch.rand(2)
    >>> torch.equal(torch.cat([first, second]), torch.rand(4, generator=torch.Generator().manual_seed(0)))
    True
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self._globals = _torchs(device)
        self._own = [torch.Generator(each.device).manual_seed(seed).get_state() for each in self._globals]
        self._callers: list[Any] = []

    def __enter__(self) -> None:
        _lock.__enter__()
        self._callers = [each.get_state() for each in self._globals]
        for each, state in zip(self._globals, self._own, strict=True):
            each.set_state(state)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._own = [each.get_state() for each in self._globals]
            for each, state in zip(self._globals, self._callers, strict=True):
                each.set_state(state)
        finally:
            _lock.__exit__()
