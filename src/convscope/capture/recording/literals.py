"""Numbers that a forward pass gives in Python: what torch makes of them on the device of a stand-in holds none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import _disable_current_modes

from convscope.capture.recording.reads import replaced

# Functions that make a tensor of numbers, by the owner, and how many arguments stand before the numbers.
_MAKERS = ((torch, "tensor", 0), (torch, "as_tensor", 0), (torch, "asarray", 0), (torch.Tensor, "new_tensor", 1))
_INDEXERS = ("__getitem__", "__setitem__")


@contextmanager
def literals_noticed(notice: Callable[[torch.Tensor, torch.Tensor], None]) -> Iterator[None]:
    """Call `notice` with each meta tensor that is made of numbers, and with these, for as long as this lasts.

    A list of places in an index becomes a tensor that holds them: `x[:, [2, 1, 0]]`.
    """
    here = threading.get_ident()  # of other threads the forward pass is not
    with ExitStack() as stack:
        for owner, name, before in _MAKERS:
            original = getattr(owner, name)
            stack.enter_context(replaced(owner, name, _maker(original, before, notice, here)))
        for name in _INDEXERS:
            original = getattr(torch.Tensor, name)
            stack.enter_context(replaced(torch.Tensor, name, _indexer(original, here)))
        yield


def _maker(
    original: Callable[..., Any], before: int, notice: Callable[[torch.Tensor, torch.Tensor], None], here: int
) -> Callable[..., Any]:
    def make(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        if made.is_meta and threading.get_ident() == here:
            data = args[before] if len(args) > before else kwargs.get("data", kwargs.get("obj"))
            if not _holds_tensor(data):
                with _disable_current_modes():
                    numbers = original(*args, **{**kwargs, "device": "cpu"})
                notice(made, numbers.detach())
        return made

    return make


def _holds_tensor(data: Any) -> bool:
    if isinstance(data, list | tuple):
        return any(map(_holds_tensor, data))
    return isinstance(data, torch.Tensor)


def _indexer(original: Callable[..., Any], here: int) -> Callable[..., Any]:
    def index(self: torch.Tensor, where: Any, *value: Any) -> Any:
        if self.is_meta and threading.get_ident() == here:
            where = tuple(map(_listed, where)) if isinstance(where, tuple) else _listed(where, nested=False)
        return original(self, where, *value)

    return index


def _listed(item: Any, *, nested: bool = True) -> Any:
    """Return the places that a list in an index holds, as a tensor; anything else as it is.

    A list of lists alone is another index: one list for each axis.
    """
    if isinstance(item, np.ndarray) and item.dtype.kind in "iub" and item.ndim:
        return torch.tensor(item)
    if isinstance(item, list | tuple | range) and len(item) and (_whole(item) or (nested and all(map(_nested, item)))):
        return torch.tensor(item)
    return item


def _whole(items: Sequence[Any]) -> bool:
    return all(isinstance(item, int | np.integer) for item in items)


def _nested(item: Any) -> bool:
    return isinstance(item, list | tuple) and len(item) > 0 and (_whole(item) or all(map(_nested, item)))
