"""Torch's operators by the names that a Graph records, and what their schemas say, looked up once for all runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

# A view of a channels-last tensor may not exist where one of the contiguous tensor did: a reshape has the same numbers.
_ALWAYS_POSSIBLE = {"aten.view.default": "aten.reshape.default", "aten._unsafe_view.default": "aten.reshape.default"}
# In-place operators whose namesakes without "_" give the same numbers and the same gradients in memory of their own.
_WITH_NAMESAKE = frozenset({"relu_", "hardtanh_", "silu_", "hardswish_", "hardsigmoid_", "add_"})


@dataclass(frozen=True, slots=True)
class TorchOperation:
    """An operator of torch, and how it takes its arguments.

    Args:
        operator: what is called.
        names: of all arguments, in the schema's order.
        positional: those that are given by place.
        keywords: those that are given by name, each with whether it has a default.
        written: those that the operator writes into.
        renamed: whether the recorded arguments have other names, in the same order.
    """

    operator: Any
    names: tuple[str, ...]
    positional: tuple[str, ...]
    keywords: tuple[tuple[str, bool], ...]
    written: tuple[str, ...]
    renamed: bool = False

    def __call__(self, arguments: Mapping[str, Any]) -> Any:
        """Run the operator on arguments by name."""
        if self.renamed:
            arguments = dict(zip(self.names, arguments.values(), strict=False))
        positional = [arguments[name] for name in self.positional if name in arguments]
        # None is left out where it is the default: not all that are recorded as None can be given.
        keywords = {
            name: arguments[name]
            for name, has_default in self.keywords
            if name in arguments and (arguments[name] is not None or not has_default)
        }
        return self.operator(*positional, **keywords)


@cache
def torch_operation(target: str) -> TorchOperation:
    """Return the operator that gives the numbers of a recorded one, also on tensors in another memory format.

    >>> torch_operation("aten.relu_.default").written
    ('self',)
    """
    possible = _ALWAYS_POSSIBLE.get(target, target)
    namespace, name, overload = possible.split(".")
    operator = getattr(getattr(getattr(torch.ops, namespace), name), overload)
    schema = operator._schema.arguments
    return TorchOperation(
        operator=operator,
        names=tuple(a.name for a in schema),
        positional=tuple(a.name for a in schema if not a.kwarg_only),
        keywords=tuple((a.name, a.has_default_value()) for a in schema if a.kwarg_only),
        written=tuple(a.name for a in schema if a.alias_info is not None and a.alias_info.is_write),
        renamed=possible != target,
    )


def without_writing(target: str, arguments: Mapping[str, Any]) -> TorchOperation | None:
    """Return the operator that gives an in-place one's numbers in memory of their own; None where none surely does.

    >>> without_writing("aten.relu_.default", {"self": torch.ones(2)}).operator
    <OpOverload(op='aten.relu', overload='default')>
    """
    namespace, name, overload = target.split(".")
    if name not in _WITH_NAMESAKE:
        return None
    # A sum with broadcasting, or of two types, is another one in place.
    tensors = [value for value in arguments.values() if isinstance(value, torch.Tensor)]
    if any(one.shape != tensors[0].shape or one.dtype != tensors[0].dtype for one in tensors[1:]):
        return None
    return torch_operation(f"{namespace}.{name[:-1]}.{overload}")
