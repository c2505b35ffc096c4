"""An ATen operator's schema, read once per operator: arguments, defaults, aliases, mutation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch._ops import OpOverload

# "fresh": makes new tensors; "view": outputs share the first tensor's memory; "write": changes an argument.
Effect = Literal["fresh", "view", "write"]

# Results that are the very tensor they were given, for our purposes.
_SAME_TENSOR = frozenset({"detach", "detach_", "alias", "lift_fresh", "lift", "requires_grad_"})

# Batch normalisation updates its running statistics without saying so in its schema.
_NEEDS_VALUES = frozenset({"data_dependent_output", "dynamic_output_shape"})


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator overload.

    Args:
        target: the dispatcher's name, "aten.add_.Tensor".
        base: the name without the in-place underscore, "add"; other namespaces than aten stay in front.
        overload: "Tensor".
        names: argument names, in order; those from `positional` on are keyword-only.
        defaults: by name, of the arguments that have one.
        effect: what the call does to memory.
        written: the arguments it changes.
        outs: those of them that take the result, and are not read: "out".
        returned: for each return value the argument that it is, or None.
        same: the result is the argument itself.
        pointwise: torch tags it as elementwise.
        factory: it takes no tensors.
        reshapes_in_place: it changes its argument's shape rather than its numbers.
        needs_values: its result, or the result's shape, depends on numbers rather than shapes.
    """

    target: str
    base: str
    overload: str
    names: tuple[str, ...]
    positional: int
    defaults: dict[str, Any]
    effect: Effect
    written: tuple[str, ...]
    outs: tuple[str, ...]
    returned: tuple[str | None, ...]
    same: bool
    pointwise: bool
    factory: bool
    reshapes_in_place: bool
    needs_values: bool


@lru_cache(maxsize=4096)
def describe(function: OpOverload) -> Operator:
    """Read an operator's schema."""
    schema = function._schema
    arguments = schema.arguments
    namespace, name = schema.name.split("::")
    written = tuple(a.name for a in arguments if a.alias_info is not None and a.alias_info.is_write)
    if any(result.alias_info is None for result in schema.returns):
        # What it writes beside its result (the noise of `rrelu_with_noise`, running statistics) is read by no forward.
        written = ()
    by_alias = {
        symbol: a.name for a in arguments if a.alias_info is not None for symbol in sorted(a.alias_info.before_set)
    }
    returned: list[str | None] = []
    view = False
    for result in schema.returns:
        info = result.alias_info
        returned.append(by_alias.get(next(iter(info.before_set), "")) if info is not None and info.is_write else None)
        view = view or (info is not None and not info.is_write)
    tags = {tag.name for tag in function.tags}
    base = name[:-1] if written and name.endswith("_") and not name.endswith("__") else name
    return Operator(
        target=str(function),
        base=base if namespace == "aten" else f"{namespace}::{base}",
        overload=function._overloadname,
        names=tuple(a.name for a in arguments),
        positional=sum(not a.kwarg_only for a in arguments),
        defaults={a.name: a.default_value for a in arguments if a.has_default_value()},
        effect="write" if written else "view" if view else "fresh",
        written=written,
        outs=tuple(a.name for a in arguments if a.is_out and a.name in written),
        returned=tuple(returned),
        same=name in _SAME_TENSOR and namespace == "aten",
        pointwise="pointwise" in tags,
        factory=not any("Tensor" in str(a.type) for a in arguments),
        reshapes_in_place="inplace_view" in tags,
        needs_values=bool(tags & _NEEDS_VALUES) or name in ("is_nonzero", "equal"),
    )


@lru_cache(maxsize=4096)
def is_composite(function: OpOverload) -> bool:
    """Return whether an operator is written in terms of others, for every device: `conv2d` of `convolution`."""
    if function.namespace == "prim":  # TorchScript's own, which the dispatcher does not list
        return False
    name = function.name()  # type: ignore[no-untyped-call]  # torch's function has no types
    return torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd")


def plain(value: Any) -> Any:
    """Return a setting as records keep it: lists as tuples, torch's own types as text."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
        return str(value).removeprefix("torch.")
    if isinstance(value, torch.device):
        return str(value)
    return str(value)


def flat(values: Any) -> list[Any]:
    """Return the leaves of nested lists and tuples, None left out."""
    return [leaf for v in values for leaf in (flat(v) if isinstance(v, list | tuple) else [v]) if leaf is not None]
