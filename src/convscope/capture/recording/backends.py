"""Where operations run during a capture: on stand-ins without memory, on fake tensors, or for real.

`meta` is the fastest and comes first. Fake tensors also pretend to be on a device, which some forwards insist on
(autocast, recurrent layers). A real run is for forwards that look at numbers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch

from convscope.capture.recording.aliasing import Signature
from convscope.capture.recording.schema import Operator


class Backend(Protocol):
    """How tensors are made and operations executed."""

    # Whether results may be made up from a cache, by shapes and settings.
    cacheable: bool
    # Whether tensors hold numbers.
    real: bool

    def stand_in(self, tensor: torch.Tensor, signature: Signature) -> torch.Tensor:
        """Return the tensor that operations run on in place of one that comes from outside."""
        ...

    def execute(self, function: Any, operator: Operator, actual: dict[str, Any]) -> Any:
        """Run an operation on stand-ins; `actual` holds every argument by name."""
        ...


def call(function: Any, operator: Operator, actual: dict[str, Any]) -> Any:
    """Call an operator with its arguments by name: positional where its schema has them so."""
    names = operator.names
    positional = [actual[name] for name in names[: operator.positional]]
    return function(*positional, **{name: actual[name] for name in names[operator.positional :]})


class Meta:
    """Tensors on torch's `meta` device."""

    cacheable = True
    real = False

    def stand_in(self, tensor: torch.Tensor, signature: Signature) -> torch.Tensor:
        """Return a meta tensor of the same shape, unless it is one."""
        return tensor if tensor.is_meta else signature.stand_in()

    def execute(self, function: Any, operator: Operator, actual: dict[str, Any]) -> Any:
        """Run on the meta device, whatever device is named."""
        if actual.get("device") is not None:
            actual["device"] = torch.device("meta")
        return call(function, operator, actual)


class Fake:
    """torch's fake tensors, which claim to be on a device."""

    cacheable = False
    real = False

    def __init__(self, device: torch.device) -> None:
        from torch._subclasses.fake_tensor import FakeTensorMode

        self.mode = FakeTensorMode()
        self.device = device
        self._cached = self.mode.cache_enabled

    def empty(self, signature: Signature) -> torch.Tensor:
        """Return a fake tensor of this signature."""
        with self.mode:
            return torch.empty_strided(signature.shape, signature.stride, dtype=signature.dtype, device=self.device)

    def stand_in(self, tensor: torch.Tensor, signature: Signature) -> torch.Tensor:
        """Return a fake tensor of the same shape, unless it is one."""
        from torch._subclasses.fake_tensor import FakeTensor

        return tensor if isinstance(tensor, FakeTensor) else self.empty(signature)

    def execute(self, function: Any, operator: Operator, actual: dict[str, Any]) -> Any:
        """Run under the fake mode."""
        if actual.get("device") is not None:
            actual["device"] = self.device
        # Torch's cache compares arguments, and packed weights have no comparison.
        packed = any(isinstance(value, torch.ScriptObject) for value in actual.values())
        self.mode.cache_enabled = self._cached and not packed
        with self.mode:
            return call(function, operator, actual)


@contextmanager
def silent_fakes() -> Iterator[None]:
    """Fake tensors log a traceback for every failure; ours are reported in one line instead."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


class Real:
    """The tensors themselves."""

    cacheable = False
    real = True

    def stand_in(self, tensor: torch.Tensor, signature: Signature) -> torch.Tensor:
        """Return the tensor."""
        return tensor

    def execute(self, function: Any, operator: Operator, actual: dict[str, Any]) -> Any:
        """Compute."""
        return call(function, operator, actual)
