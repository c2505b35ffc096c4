"""What calls of one operator with the same shapes and settings have in common; cached across captures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from convscope.capture.operators import rule_for
from convscope.capture.operators.rule import Call, Operand, OperatorRule
from convscope.capture.recording.aliasing import Signature, Tracked, signature_of
from convscope.capture.recording.numbers import Numbers
from convscope.capture.recording.schema import Operator, flat, plain

# Calls that shapes do not identify: their rule depends on the numbers in an index tensor, or on where a tensor lies.
NOT_CACHED = frozenset(
    {"index", "_unsafe_index", "index_select", "gather", "take_along_dim", "index_put", "_index_put_impl", "scatter",
     "scatter_add", "scatter_reduce", "index_copy", "index_add", "index_fill", "index_reduce", "as_strided",
     "as_strided_scatter"}
)  # fmt: skip

_LIMIT = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """What is the same in every such call.

    Args:
        results: one signature per return value; several for a list of tensors, None for what is no tensor.
        made: the signatures alone.
        rule: the operator table's answer.
        plain: the arguments as records keep them.
        holders: names of the arguments that are or hold tensors.
    """

    results: tuple[Signature | tuple[Signature, ...] | None, ...]
    made: tuple[Signature, ...]
    rule: OperatorRule
    plain: dict[str, Any]
    holders: tuple[str, ...]

    def stand_ins(self) -> Any:
        """Return new meta tensors for the results, in the structure that the operator returns."""
        if len(self.results) == 1 and isinstance(self.results[0], Signature):
            return self.results[0].stand_in()
        made = tuple(
            None if r is None else [s.stand_in() for s in r] if isinstance(r, tuple) else r.stand_in()
            for r in self.results
        )
        return made[0] if len(made) == 1 else made


_cache: dict[Any, Template] = {}


def cached(key: Any) -> Template | None:
    """Return the template of an earlier call like this."""
    return _cache.get(key)


def forget() -> None:
    """Empty the cache."""
    _cache.clear()


def keep(key: Any, template: Template) -> None:
    """Remember a template; the cache starts over when it is full."""
    if len(_cache) >= _LIMIT:
        _cache.clear()
    _cache[key] = template


def template_of(
    operator: Operator, settings: dict[str, Any], operands: list[Tracked], result: Any, numbers: Numbers
) -> Template:
    """Read a call that has just run."""
    returned = result if isinstance(result, tuple) else (result,)
    results = tuple(
        signature_of(r)
        if isinstance(r, torch.Tensor)
        else tuple(signature_of(item) for item in r if isinstance(item, torch.Tensor))
        if isinstance(r, list | tuple)
        else None
        for r in returned
    )
    made = tuple(flat(results))
    slots = iter(range(len(operands)))
    seen = {name: _with_operands(value, slots) for name, value in settings.items()}
    holders = tuple(name for name, value in seen.items() if _holds_operand(value))
    outs = {operand.slot for name in operator.outs for operand in flat((seen[name],))}  # overwritten, and not read
    read = [(i, t.signature) for i, t in enumerate(operands) if i not in outs]
    call = Call(
        op=operator.base,
        overload=operator.overload,
        arguments=seen,
        operands=tuple(Operand(i, signature.shape, signature.spec.dtype) for i, signature in read),
        outputs=tuple(s.shape for s in made),
        pointwise=operator.pointwise,
        values=lambda operand: numbers.array(operands[operand.slot].value),
        in_order=not operands or _lies_in_order(operands[0].tensor, settings),
    )
    resolved = {name: value if name in holders else plain(value) for name, value in seen.items()}
    return Template(results, made, rule_for(call), resolved, holders)


def _lies_in_order(tensor: torch.Tensor, settings: dict[str, Any]) -> bool:
    """Return whether element i of a tensor is at offset i of the memory that `as_strided` reads.

    It counts from the start of the memory where an offset is given, else from the tensor's first element.
    """
    if tensor.layout is not torch.strided or not tensor.is_contiguous():
        return False
    return settings.get("storage_offset") is None or tensor.storage_offset() == 0


def _with_operands(setting: Any, slots: Iterator[int]) -> Any:
    if isinstance(setting, Tracked):
        return Operand(next(slots), setting.signature.shape, setting.signature.spec.dtype)
    return tuple(_with_operands(item, slots) for item in setting) if isinstance(setting, list) else setting


def _holds_operand(setting: Any) -> bool:
    return isinstance(setting, Operand) or (isinstance(setting, tuple) and any(map(_holds_operand, setting)))
