"""A tensor in a file: its offset and shape; copied into memory on request."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import torch
from torch import Tensor

from convscope.errors import CaptureError

MOST_AXES = 32
LARGEST = 2**60  # whole numbers beyond it are no sizes


class RepeatedError(CaptureError):
    """A view that repeats elements, as `expand` makes one: it would take more memory than the file has."""


@dataclass(frozen=True)
class Stored:
    """One tensor of a file.

    Args:
        buffer: the bytes of its storage.
        dtype: of its elements.
        shape: its sizes.
        strides: elements from one position to the next, per axis; None for a contiguous tensor.
        offset: elements of the storage before its first.

    Raises:
        RepeatedError: it has more elements than the storage.
        CaptureError: sizes or strides that are negative, or that reach beyond the storage.
    """

    buffer: memoryview
    dtype: torch.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None = None
    offset: int = 0

    def __post_init__(self) -> None:
        strides = self.strides or ()
        whole = (*self.shape, *strides, self.offset)
        sizes_fit = len(self.shape) <= MOST_AXES and all(type(n) is int and 0 <= n < LARGEST for n in whole)
        if not sizes_fit or prod(max(1, size) for size in self.shape) >= LARGEST:
            raise CaptureError("it holds a tensor whose shape is not one of whole numbers")
        if self.strides is not None and len(strides) != len(self.shape):
            raise CaptureError(f"it holds a tensor of {len(self.shape)} axes with {len(strides)} strides")
        held = len(self.buffer) // self.dtype.itemsize
        if self.offset + self._span > held:
            raise CaptureError(f"it holds a tensor of {self.count:,} numbers in a storage of {held:,}")
        if self.offset + self.count > held:
            raise RepeatedError(f"it holds a tensor of {self.count:,} numbers, which repeats {held:,}")

    @cached_property
    def count(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def _span(self) -> int:
        """The number of storage elements from the first to the last, both included."""
        if not self.count:
            return 0
        if self.strides is None:
            return self.count
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))

    def tensor(self) -> Tensor:
        """Return the tensor, contiguous and in memory of its own."""
        if not self.count:
            return torch.empty(self.shape, dtype=self.dtype)
        size = self.dtype.itemsize
        content = self.buffer[self.offset * size : (self.offset + self._span) * size]
        if self.strides is None:
            return torch.frombuffer(bytearray(content), dtype=self.dtype).reshape(self.shape)
        # Only what the tensor has is copied, though its strides may reach over much more.
        elements = torch.frombuffer(content, dtype=self.dtype).as_strided(self.shape, self.strides)
        return elements.clone(memory_format=torch.contiguous_format)
