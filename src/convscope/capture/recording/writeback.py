"""The inverse of each view: what a base tensor is after one of its views was written.

Source: PyTorch's functionalization, whose `*_scatter` operators are these inverses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from convscope.capture.recording.tracking import Tracked

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
    """Any view of a tensor that lies in order in its own memory is a strided one."""
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
    """The call that gives `base` its value after its view `part` was written.

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
