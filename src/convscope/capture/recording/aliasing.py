"""Tensors and the memory that they share: which tensor object is which value, and what an in-place write changes.

Values never change; tensors do. An in-place operation gives its tensor a new value, and every other tensor that
shares the memory is then out of date: it is brought up to date when it is next read, by making its view again from the
tensor that was written. What that takes (a slice of the new value, a write-back into the old one) is recorded as
operations of its own, so that a Graph holds nothing but pure functions.

Source: PyTorch's functionalization, whose `*_scatter` operators are the inverses of the views.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch

from convscope.capture.recording.schema import Operator, describe, flat
from convscope.graph.records import TensorSpec


@dataclass(frozen=True, slots=True, eq=False)
class Signature:
    """Shape, strides and element type of a tensor; interned, so that equal ones are one object."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    spec: TensorSpec

    def stand_in(self) -> torch.Tensor:
        """Return a new tensor of this signature that has no memory."""
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device="meta")


@lru_cache(maxsize=65536)
def interned(shape: tuple[int, ...], stride: tuple[int, ...], dtype: torch.dtype) -> Signature:
    """Return the one signature of a shape, strides and element type."""
    return Signature(shape, stride, dtype, TensorSpec(shape, str(dtype).removeprefix("torch.")))


def signature_of(tensor: torch.Tensor) -> Signature:
    """Return the signature of a tensor; sparse tensors count as dense."""
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
        memory: the memory that holds it.
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
        """Return the views from the memory's own tensor down to this one, both included."""
        links: list[Tracked] = [self]
        while links[-1].parent is not None:
            links.append(links[-1].parent)
        return links[::-1]


# --- writes ---

# Records an operation that the forward pass did not write, and returns its values: (operator function, settings).
Emit = Callable[[Any, dict[str, Any]], list[int]]


def record_write(tracked: Tracked, value: int) -> None:
    """Set a tensor's value after a write, and make it the newest of its memory."""
    memory = tracked.memory
    memory.generation += 1
    memory.newest = tracked
    tracked.value, tracked.generation = value, memory.generation


def catch_up(tracked: Tracked, emit: Emit) -> None:
    """Bring a tensor up to date with what was written through other views of its memory."""
    memory = tracked.memory
    if tracked.generation == memory.generation:
        return
    newest = memory.newest
    assert newest is not None
    chain = tracked.chain
    if newest not in chain:
        _carry_back(newest, emit)
    _replay(chain, memory.generation, emit)


def _replay(chain: list[Tracked], generation: int, emit: Emit) -> None:
    """Make the views of a chain again, from the last link of this generation on."""
    fresh = max(i for i, link in enumerate(chain) if link.generation == generation)
    for parent, link in zip(chain[fresh:], chain[fresh + 1 :], strict=False):
        assert link.view is not None
        function, settings, output = link.view
        link.value = emit(function, {**settings, describe(function).names[0]: parent})[output]
        link.generation = generation


def _carry_back(newest: Tracked, emit: Emit) -> None:
    """Write a view's new value back into the memory's own tensor, view by view.

    With `a`, its view `b = a[0]` and `c = b.T`: after a write through `c`, `chain` is [a, b, c] and two write-backs
    follow: c into b (a transpose), then b into a (a select_scatter).
    """
    memory = newest.memory
    chain = newest.chain
    # Invariant: a write-back replaces the part of `base` that the view covers and keeps the rest, so the rest has to
    # be of the latest generation before this write. The links above the written view may lag behind it, each by a
    # different number of writes: the newest of them is replayed down to the others first. Their generations are all
    # below the memory's, which counts the write that is being carried back.
    above = chain[:-1]
    _replay(above, max(link.generation for link in above), emit)
    for base, part in zip(above[::-1], chain[:0:-1], strict=True):
        base.value = emit(*write_back(base, part))[0]
        base.generation = memory.generation
    memory.newest = chain[0]


# --- inverses of views ---

# (operator function, its arguments by name)
Inverse = tuple[Any, dict[str, Any]]

aten = torch.ops.aten


def _reshaped(base: Tracked, part: Tracked) -> Inverse:
    return aten.view.default, {"self": part, "size": list(base.signature.shape)}


def _inverse_order(order: list[int]) -> list[int]:
    rank = len(order)
    inverse = [0] * rank
    for new, old in enumerate(order):
        inverse[old % rank] = new
    return inverse


def _sliced(base: Tracked, part: Tracked, dim: int, start: int, end: int, step: int = 1) -> Inverse:
    return aten.slice_scatter.default, {
        "self": base, "src": part, "dim": dim, "start": start, "end": end, "step": step,
    }  # fmt: skip


def _split_at(base: Tracked, part: Tracked, dim: int, sizes: list[int], output: int) -> Inverse:
    start = sum(sizes[:output])
    return _sliced(base, part, dim, start, start + sizes[output])


def _even(total: int, size: int) -> list[int]:
    return [min(size, total - start) for start in range(0, total, size)]


def _permuted(part: Tracked, order: list[int]) -> Inverse:
    return aten.permute.default, {"self": part, "dims": _inverse_order(order)}


def _transposed(part: Tracked, first: int, second: int) -> Inverse:
    return aten.transpose.int, {"self": part, "dim0": first, "dim1": second}


def _strided(base: Tracked, part: Tracked) -> Inverse:
    """Return the inverse of any view of a contiguous tensor, as a strided one."""
    return aten.as_strided_scatter.default, {
        "self": base, "src": part, "size": list(part.signature.shape), "stride": list(part.signature.stride),
        "storage_offset": part.tensor.storage_offset(),
    }  # fmt: skip


# view operator -> (base, written view, settings of the view's call, which output) -> the write-back
_INVERSES: dict[str, Callable[[Tracked, Tracked, dict[str, Any], int], Inverse]] = {
    "aten.slice.Tensor": lambda b, p, s, _: _sliced(b, p, s["dim"], s["start"], s["end"], s["step"]),
    "aten.select.int": lambda b, p, s, _: (
        aten.select_scatter.default, {"self": b, "src": p, "dim": s["dim"], "index": s["index"]}),
    "aten.split.Tensor": lambda b, p, s, k: _split_at(
        b, p, s["dim"], _even(b.signature.shape[s["dim"]], s["split_size"]), k),
    "aten.split_with_sizes.default": lambda b, p, s, k: _split_at(b, p, s["dim"], list(s["split_sizes"]), k),
    "aten.unbind.int": lambda b, p, s, k: (
        aten.select_scatter.default, {"self": b, "src": p, "dim": s["dim"], "index": k}),
    "aten.diagonal.default": lambda b, p, s, _: (
        aten.diagonal_scatter.default,
        {"self": b, "src": p, "offset": s["offset"], "dim1": s["dim1"], "dim2": s["dim2"]}),
    "aten.permute.default": lambda _b, p, s, _: _permuted(p, list(s["dims"])),
    "aten.transpose.int": lambda _b, p, s, _: _transposed(p, s["dim0"], s["dim1"]),
    "aten.t.default": lambda _b, p, _s, _: _permuted(p, [1, 0] if len(p.signature.shape) == 2 else [0]),
    "aten.as_strided.default": lambda b, p, s, _: (
        aten.as_strided_scatter.default,
        {"self": b, "src": p, "size": s["size"], "stride": s["stride"], "storage_offset": s["storage_offset"]}),
    "aten.view_as_real.default": lambda _b, p, _s, _: (aten.view_as_complex.default, {"self": p}),
    "aten.view_as_complex.default": lambda _b, p, _s, _: (aten.view_as_real.default, {"self": p}),
    "aten._conj.default": lambda _b, p, _s, _: (aten._conj.default, {"self": p}),
    "aten._neg_view.default": lambda _b, p, _s, _: (aten._neg_view.default, {"self": p}),
    **{
        name: lambda b, p, _s, _: _reshaped(b, p)
        for name in (
            "aten.view.default", "aten._unsafe_view.default", "aten._reshape_alias.default",
            "aten.squeeze.default", "aten.squeeze.dim", "aten.squeeze.dims", "aten.unsqueeze.default",
        )
    },
}  # fmt: skip


def write_back(base: Tracked, part: Tracked) -> Inverse:
    """Return the call that gives `base` its value after its view `part` was written.

    Raises:
        NotImplementedError: a view of a view that has no inverse here.
    """
    assert part.view is not None
    function, settings, output = part.view
    inverse = _INVERSES.get(str(function))
    if inverse is None:
        if base.parent is not None or not base.tensor.is_contiguous():
            raise NotImplementedError(f"a write through {function} of a view can't be followed")
        return _strided(base, part)
    return inverse(base, part, settings, output)


# --- tensors from outside in a real run ---


class SavedTensors:
    """Copies of the tensors that a forward pass did not make, from before they were written."""

    def __init__(self) -> None:
        self._outside: set[int] = set()
        # By memory, in the order of the first writes: a tensor that lies in it, and its numbers.
        self._saved: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def add(self, memory: Memory) -> None:
        """Add the memory of a tensor that was there before: a parameter, a buffer, a cache in a plain list."""
        self._outside.add(memory.index)

    def save(self, operator: Operator, settings: dict[str, Any]) -> None:
        """Copy what an operation will write, whole, if it is from outside; called before it runs."""
        # Batch normalisation writes its running statistics, which its schema does not declare.
        hidden = ("running_mean", "running_var") if "batch_norm" in operator.base else ()
        for tracked in flat([settings.get(name) for name in operator.written or hidden]):
            if not isinstance(tracked, Tracked):
                continue
            memory = tracked.memory.index
            if memory in self._outside and memory not in self._saved:
                whole = _without_repeats(tracked.chain[0].tensor.detach())
                self._saved[memory] = whole, whole.clone()

    def restore(self) -> None:
        """Restore every tensor's numbers."""
        with torch.no_grad():
            # The last first: where two tensors from outside share memory, the first copy is of before both writes.
            for whole, numbers in reversed(self._saved.values()):
                whole.copy_(numbers)
        self._saved.clear()


def _without_repeats(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor without the axes along which it repeats the same memory, as an expanded one does."""
    if tensor.layout is torch.strided:
        for axis, stride in enumerate(tensor.stride()):
            tensor = tensor.narrow(axis, 0, 1) if stride == 0 and tensor.shape[axis] > 1 else tensor
    return tensor
