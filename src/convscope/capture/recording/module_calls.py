"""Which module is running: every call of every module, while a capture lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """A module's path, and which of its calls this is, from 0."""

    path: str
    call: int


@dataclass(frozen=True, slots=True)
class Left:
    """A module that an error left: its path, its class, the shapes that it was given."""

    path: str
    kind: str
    shapes: tuple[tuple[int, ...], ...]


@dataclass(slots=True)
class ModuleCalls:
    """The calls of a model's modules.

    Args:
        paths: id of each module -> its path.
        counts: calls by path.
        failed: the innermost module that an error left.
    """

    paths: dict[int, str]
    counts: dict[str, int] = field(default_factory=dict)
    failed: Left | None = None


@contextmanager
def watched(
    calls: ModuleCalls, enter: Callable[[ModuleCall], ModuleCall], stray: Callable[[nn.Module], None]
) -> Iterator[None]:
    """Call `enter` with each module that starts, and again with the outer one when it ends; `stray` with any other.

    `nn.Module.__call__` is wrapped for as long as this lasts and put back afterwards, so no module gets a hook.
    Other threads' modules pass through.
    """
    original = nn.Module.__call__
    thread = threading.get_ident()

    def call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        path = calls.paths.get(id(self))
        if path is None or threading.get_ident() != thread:
            if path is None and self._parameters and threading.get_ident() == thread:
                stray(self)
            return original(self, *args, **kwargs)
        count = calls.counts.get(path, 0)
        calls.counts[path] = count + 1
        outer = enter(ModuleCall(path, count))
        try:
            result = original(self, *args, **kwargs)
        except Exception:
            if calls.failed is None:
                shapes = tuple(tuple(a.shape) for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor))
                calls.failed = Left(path, type(self).__name__, shapes)
            raise
        finally:
            enter(outer)
        calls.failed = None
        return result

    nn.Module.__call__ = call  # type: ignore[method-assign]  # put back below
    try:
        yield
    finally:
        nn.Module.__call__ = original  # type: ignore[method-assign]  # as it was
