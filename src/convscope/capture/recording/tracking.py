"""Which tensor object is which value, and which memory it lives in.

Values never change; tensors do. An in-place operation gives its tensor a new value, and every other tensor that
shares the memory is then behind: it catches up when it is next read, by replaying the views that made it from the
tensor that was written. What that takes (a slice of the new value, a write-back into the old one) is recorded as
operations of its own, so that a Graph holds nothing but pure functions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch

from convscope.graph.records import TensorSpec


@dataclass(frozen=True, slots=True, eq=False)
class Signature:
    """Shape, strides and element type of a tensor; interned, so that equal ones are one object."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    spec: TensorSpec

    def stand_in(self) -> torch.Tensor:
        """A new tensor like this that has no memory."""
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device="meta")


@lru_cache(maxsize=65536)
def interned(shape: tuple[int, ...], stride: tuple[int, ...], dtype: torch.dtype) -> Signature:
    """The one signature of this shape, these strides and this type."""
    return Signature(shape, stride, dtype, TensorSpec(shape, str(dtype).removeprefix("torch.")))


def signature_of(tensor: torch.Tensor) -> Signature:
    """The signature of a tensor; sparse tensors count as dense."""
    stride = tensor.stride() if tensor.layout is torch.strided else (0,) * tensor.dim()
    return interned(tuple(tensor.shape), stride, tensor.dtype)


@dataclass(slots=True, eq=False)
class Memory:
    """One piece of memory: how often it was written, and the tensor through which it was written last."""

    index: int
    generation: int = 0
    newest: Tracked | None = None


@dataclass(slots=True, eq=False)
class Tracked:
    """One tensor object during a capture.

    Args:
        tensor: what operators are run on: a stand-in without memory, or the tensor itself in a real run.
        signature: its shape, strides and type.
        memory: where it lives.
        value: its current value's index; -1 until a factory's result is first read.
        generation: the memory's generation that `value` belongs to.
        parent: the tensor that this is a view of.
        view: the call that made the view: (operator function, settings, which output).
        pending: what to record when a factory's result is first read.
    """

    tensor: torch.Tensor
    signature: Signature
    memory: Memory
    value: int
    generation: int = 0
    parent: Tracked | None = None
    view: tuple[Any, dict[str, Any], int] | None = None
    pending: Any = field(default=None)

    @property
    def chain(self) -> list[Tracked]:
        """The views from the memory's own tensor down to this one, both included."""
        links: list[Tracked] = [self]
        while links[-1].parent is not None:
            links.append(links[-1].parent)
        return links[::-1]
