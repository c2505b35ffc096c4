"""Tensors that Python reads or keeps: what becomes of them no operation shows."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import torch
from torch.utils._python_dispatch import _disable_current_modes

# Methods of a tensor that hand its numbers to Python without an operation.
_READERS = ("numpy", "tolist", "__array__", "__repr__")


class ReadNotice(Protocol):
    """What is called with a tensor whose numbers Python takes; `printed` where it is for a text."""

    def __call__(self, tensor: torch.Tensor, *, printed: bool) -> None:
        """Note it."""
        ...


@contextmanager
def reads_noticed(notice: ReadNotice) -> Iterator[None]:
    """Call `notice` with each tensor whose numbers Python takes or prints, for as long as this lasts."""
    here = threading.get_ident()  # of other threads the forward pass is not

    def reader(name: str) -> Callable[..., Any]:
        original = getattr(torch.Tensor, name)

        def read(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == here:
                notice(self, printed=name == "__repr__")
            if name != "__repr__":
                return original(self, *args, **kwargs)
            # What printing computes is no part of the network.
            with _disable_current_modes():
                return original(self, *args, **kwargs)

        return read

    with ExitStack() as stack:
        for name in _READERS:
            stack.enter_context(replaced(torch.Tensor, name, reader(name)))
        yield


@contextmanager
def replaced(owner: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Replace a function of a class or a module by another, for as long as this lasts."""
    own = owner.__dict__.get(name)  # None where a class inherits it
    setattr(owner, name, function)
    try:
        yield
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)


def _references_of_views() -> int:
    with torch.inference_mode(False):
        base = torch.empty(1, device="cpu")
        alone = sys.getrefcount(base)
        view = base[:1]
        return sys.getrefcount(base) - alone if view is not base else 0


# The references to a tensor that Python counts for all views of it together: 0 or 1, by torch's version. Found here,
# since no view refers to its base that is made while operations are recorded.
VIEWED = _references_of_views()


def kept_elsewhere(held: Sequence[object], references: Sequence[int]) -> list[int]:
    """Return which objects of a list have more references than the list's and those that are known.

    Args:
        held: the objects.
        references: to each, beside the list's.

    >>> first, second = [1], [2]
    >>> kept_elsewhere([[0], first, second], [0, 0, 1])
    [1]
    """
    # An object to which nothing but the list refers shows what the counting itself adds.
    counts = [sys.getrefcount(item) for item in [*held, object()]]
    alone = counts.pop() + 1  # `held`, beside the list made here
    return [i for i, (count, known) in enumerate(zip(counts, references, strict=True)) if count > alone + known]
