"""Numbers that a forward pass gives in Python: what torch makes of them on the device of a stand-in holds none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from convscope.capture.recording.reads import replaced

# Functions that make a tensor of numbers, by the owner, and how many arguments stand before the numbers.
_MAKERS = ((torch, "tensor", 0), (torch, "as_tensor", 0), (torch, "asarray", 0), (torch.Tensor, "new_tensor", 1))


@contextmanager
def literals_noticed(notice: Callable[[torch.Tensor, torch.Tensor], None]) -> Iterator[None]:
    """Call `notice` with each meta tensor that is made of numbers, and with these, for as long as this lasts.

    Not those of a list in an index, `x[:, [2, 1, 0]]`: a class whose `__getitem__` was replaced stays a sequence to C
    code, which then reads its tensors otherwise. The recorder notes that it `lacks_places`.
    """
    here = threading.get_ident()  # of other threads the forward pass is not
    with ExitStack() as stack:
        for owner, name, before in _MAKERS:
            original = getattr(owner, name)
            stack.enter_context(replaced(owner, name, _maker(original, before, notice, here)))
        yield


def _maker(
    original: Callable[..., Any], before: int, notice: Callable[[torch.Tensor, torch.Tensor], None], here: int
) -> Callable[..., Any]:
    def make(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        if made.is_meta and threading.get_ident() == here:
            data = args[before] if len(args) > before else kwargs.get("data", kwargs.get("obj"))
            if not _holds_tensor(data):
                with _disable_current_modes():  # what is done here is no part of the network
                    notice(made, original(*args, **{**kwargs, "device": "cpu"}).detach())
        return made

    return make


def _holds_tensor(data: Any) -> bool:
    if isinstance(data, list | tuple):
        return any(map(_holds_tensor, data))
    return isinstance(data, torch.Tensor)
