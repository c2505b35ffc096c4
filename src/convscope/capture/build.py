"""Build a model without allocating its weights."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from convscope.api.generators import exclusive
from convscope.api.surroundings import surroundings_restored
from convscope.capture.recording.schema import describe
from convscope.errors import CaptureError

# Floating-point tensors of more elements than this get no memory: weights do not, while the little tables and
# schedules that constructors compute with (stochastic depth, widths per stage) stay real.
_SMALL = 16_384
# Whole numbers are never weights: index tables are kept real up to this size.
_SMALL_INDEX = 4_000_000


class _Weightless(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class has no types
    """Makes large tensors on the meta device, and lets large and small ones meet there."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Without this, torch imports its compiler (a second) when the mode first sees an operation."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        operator = describe(func)
        if operator.factory:
            if _is_large(func, args, kwargs):
                kwargs["device"] = torch.device("meta")
            return func(*args, **kwargs)
        if not any(isinstance(a, torch.Tensor) and a.is_meta for a in _leaves((args, kwargs))):
            return func(*args, **kwargs)
        if operator.effect == "write" and not operator.reshapes_in_place and isinstance(args[0], torch.Tensor):
            return args[0]  # no numbers to write, or a small tensor filled from a large one: as unknown as before
        if "device" in kwargs:
            kwargs["device"] = torch.device("meta")
        return func(*_to_meta(args), **_to_meta(kwargs))


def _is_large(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    size = args[0] if args and isinstance(args[0], list | tuple) else None
    if size is None or not all(isinstance(s, int) for s in size):
        return False
    dtype = kwargs.get("dtype") or torch.get_default_dtype()
    return prod(size) > (_SMALL if dtype.is_floating_point or dtype.is_complex else _SMALL_INDEX)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = tuple(value.values())
    return [leaf for v in value for leaf in (_leaves(v) if isinstance(v, list | tuple | dict) else [v])]


def _to_meta(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value if value.is_meta else value.to("meta")
    if isinstance(value, dict):
        return {k: _to_meta(v) for k, v in value.items()}
    return type(value)(map(_to_meta, value)) if isinstance(value, list | tuple) else value


def build_without_memory(factory: Callable[[], Any]) -> nn.Module:
    """Call a factory so that no weight of more than 64 KB is allocated; random states are left as found.

    Raises:
        CaptureError: what the factory returns is not a module.

    >>> model = build_without_memory(lambda: torch.nn.Linear(25_088, 4_096))
    >>> model.weight.is_meta, model.weight.numel()
    (True, 102760448)
    """
    with exclusive(), surroundings_restored(), _Weightless():  # type: ignore[no-untyped-call]  # torch's class has no types
        model = factory()
    if not isinstance(model, nn.Module):
        name = getattr(factory, "__name__", type(factory).__name__)
        raise CaptureError(f"{name} gave a value of type {type(model).__name__}: it must return a torch.nn.Module")
    return model
