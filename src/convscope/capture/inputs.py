"""What a forward pass is given: shapes, tensors, or nested structures of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import torch

from convscope.capture.recording.aliasing import signature_of
from convscope.capture.recording.backends import Backend
from convscope.errors import CaptureError
from convscope.graph.records import TensorSpec

# Elements of a tensor are below this: torch counts its bytes in 63 bits.
LARGEST = 2**59
# Of a longer axis, the tables of what every position reads would take gigabytes.
LONGEST_AXIS = 2**24


@dataclass(frozen=True, slots=True)
class SampleSpec:
    """One sample of an input, with more than a shape; `make_inputs` puts the batch in front.

    Args:
        shape: of one sample.
        dtype: element type.
        numbers: the range of its numbers where it is run for real, both ends included; any where None.
        whole: whether the shape is the tensor's, without a batch.
        batch_axis: where the batch is put.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    numbers: tuple[int, int] | None = None
    whole: bool = False
    batch_axis: int = 0


# One tensor: the shape of one sample, a full specification, or a tensor whose shape counts.
OneInput = Sequence[int] | TensorSpec | torch.Tensor
Inputs = OneInput | Sequence[Any] | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Forward:
    """The arguments of one forward call, and the tensors in them with their names."""

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    tensors: tuple[tuple[str, torch.Tensor], ...]


def is_shape(value: object) -> TypeGuard[Sequence[int]]:
    """Return whether this is a sequence of whole numbers."""
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) > 0
        and all(isinstance(size, int) and not isinstance(size, bool) for size in value)
    )


def make_inputs(inputs: Inputs, *, batch_size: int | None, dtype: torch.dtype, backend: Backend) -> Forward:
    """Tensors for a forward call.

    A sequence of whole numbers is the shape of one sample, and `batch_size` goes in front unless it is None, as it does
    of a `SampleSpec`. A `TensorSpec` or a tensor has its whole shape and type. A sequence of these is several
    positional arguments, a mapping is keyword arguments; further structures inside are kept.

    Raises:
        CaptureError: something among the inputs is none of these.
    """
    tensors: list[tuple[str, torch.Tensor]] = []

    def make(value: Any, name: str) -> Any:
        batch = () if batch_size is None else (batch_size,)
        if isinstance(value, SampleSpec):
            axis = value.batch_axis
            shape = value.shape if value.whole else (*value.shape[:axis], *batch, *value.shape[axis:])
            tensor = _made(_possible(shape, name), _dtype(value.dtype), backend, value.numbers)
        elif is_shape(value):
            tensor = _made(_possible((*batch, *value), name), dtype, backend)
        elif isinstance(value, TensorSpec):
            tensor = _made(_possible(value.shape, name), _dtype(value.dtype), backend)
        elif isinstance(value, torch.Tensor):
            tensor = value.detach().clone() if backend.real else _made(tuple(value.shape), value.dtype, backend)
        elif isinstance(value, Mapping):
            return {key: make(item, f"{name}.{key}") for key, item in value.items()}
        elif isinstance(value, list | tuple):
            return type(value)(make(item, f"{name}.{i}") for i, item in enumerate(value))
        elif value is None or isinstance(value, bool | int | float | str):
            return value
        else:
            raise CaptureError(
                f"{_called(name)} is a {type(value).__name__}: give a shape such as (3, 224, 224), a tensor, "
                "or a list or dict of these"
            )
        tensors.append((name, tensor))
        return tensor

    if isinstance(inputs, Mapping):
        keywords = {key: make(value, key) for key, value in inputs.items()}
        return Forward((), keywords, tuple(tensors))
    if is_shape(inputs) or not isinstance(inputs, list | tuple):
        return Forward((make(inputs, "input"),), {}, tuple(tensors))
    arguments = tuple(make(value, f"input{i}" if len(inputs) > 1 else "input") for i, value in enumerate(inputs))
    return Forward(arguments, {}, tuple(tensors))


def _possible(shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    """Return a tensor's shape; raise CaptureError where there is no such tensor."""
    if any(size < 0 for size in shape):
        raise CaptureError(f"{_called(name)} has shape {shape}: sizes must be at least 0")
    if math.prod(shape) >= LARGEST:
        raise CaptureError(f"{_called(name)} has shape {shape}, which no memory holds: lower it")
    if max(shape, default=0) > LONGEST_AXIS:
        raise CaptureError(f"{_called(name)} has an axis of {max(shape):,}: give {LONGEST_AXIS:,} or fewer")
    return shape


def _made(
    shape: tuple[int, ...], dtype: torch.dtype, backend: Backend, numbers: tuple[int, int] | None = None
) -> torch.Tensor:
    if not backend.real:
        stand_in = torch.empty(shape, dtype=dtype, device="meta")
        return backend.stand_in(stand_in, signature_of(stand_in))
    # A real run needs ordinary numbers: small ones, so that exponentials don't overflow; whole ones for indices.
    if numbers is not None:
        lowest, highest = numbers
        kind = np.uint64 if highest > np.iinfo(np.int64).max else np.int64
        drawn = np.random.default_rng(0).integers(lowest, highest, shape, dtype=kind, endpoint=True)
        return torch.as_tensor(drawn).to(dtype)
    if dtype.is_floating_point or dtype.is_complex:
        wide = dtype if dtype.itemsize > 1 else torch.float32  # torch draws none of 8 bits
        return torch.randn(shape, dtype=wide, generator=torch.Generator().manual_seed(0)).to(dtype)
    return torch.zeros(shape, dtype=dtype)


def _called(name: str) -> str:
    return "the input" if name == "input" else f"input {name}"


def _dtype(name: str) -> torch.dtype:
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise CaptureError(f"element type {name!r} is not known: use float32, float16, bfloat16, int64, ...")
    return dtype
