"""The tensors in what a forward pass returns, whatever holds them; and what it returned, in words."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from types import MemberDescriptorType
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from convscope.report.units import plural

_DEEPEST = 8  # objects within objects


def tensors_in(result: Any, depth: int = _DEEPEST) -> Iterator[torch.Tensor]:
    """Yield the tensors of a result in order: of lists and dicts, and of the attributes of objects.

    >>> from types import SimpleNamespace
    >>> [one.numel() for one in tensors_in([SimpleNamespace(boxes=torch.ones(3), name="a"), torch.ones(2)])]
    [3, 2]
    """
    for leaf in tree_leaves(result):
        if isinstance(leaf, torch.Tensor):
            yield leaf
        elif depth and not isinstance(leaf, (type, torch.nn.Module)) and not callable(leaf):
            yield from tensors_in(list(leaf.values() if isinstance(leaf, Mapping) else _attributes(leaf)), depth - 1)


def _attributes(held: Any) -> Iterator[Any]:
    """Yield the attributes of an object, those in slots first."""
    for kind in reversed(type(held).__mro__):
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if isinstance(kind.__dict__.get(name), MemberDescriptorType) and hasattr(held, name):
                yield getattr(held, name)
    yield from getattr(held, "__dict__", {}).values()


def without_tensors(result: Any) -> str:
    """Return what a result without tensors is, in words.

    >>> without_tensors(None), without_tensors({}), without_tensors("a")
    ('None, as without `return`', 'a dict of 0 items, none a tensor', 'a value of type str, and no tensor')
    """
    if result is None:
        return "None, as without `return`"
    if isinstance(result, Generator):
        return "a generator, which computes nothing until it is read: return its tensors"
    if isinstance(result, (dict, list, tuple, set)):
        return f"a {type(result).__name__} of {plural(len(result), 'item')}, none a tensor"
    return f"a value of type {type(result).__name__}, and no tensor"
