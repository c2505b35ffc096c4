"""Sums, means, extremes and other operations that take in whole axes; running sums; Fourier transforms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from convscope.capture.operators.elementwise import broadcast, pointwise
from convscope.capture.operators.rule import Call, Flow, OperatorRule, Rule, axis_of
from convscope.geometry.relation import Mix, RelationStep, Reshape, Taps
from convscope.geometry.taps import NO_TAP, listed_taps

# Above this, a running sum's triangle of taps is not written out: it counts as the whole axis.
_TRIANGLE_LIMIT = 1024

# No axes named are none for these, and all of them for the others.
_NONE_IS_NONE = frozenset({"any", "all", "nansum"})


def _axes(call: Call) -> list[int]:
    dim = call.arguments.get("dim")
    rank = call.first.rank
    if dim is None or (isinstance(dim, tuple | list) and not dim):
        return [] if dim is not None and call.op in _NONE_IS_NONE else list(range(rank))
    return [axis_of(d, rank) for d in ([dim] if isinstance(dim, int) else dim)] if rank else []


def _reduce(call: Call) -> OperatorRule:
    """Return each axis in `dim` is mixed down to one position, then dropped unless it is kept."""
    steps: list[RelationStep] = [Mix(axis, 1) for axis in _axes(call)]
    kept = tuple(1 if axis in _axes(call) else size for axis, size in enumerate(call.first.shape))
    flows = []
    for output, shape in enumerate(call.outputs):
        flows.append(Flow(0, output, (*steps, Reshape(shape)) if shape != kept else tuple(steps)))
    names = {"linalg_vector_norm": "norm", "amax": "max", "amin": "min"}
    return OperatorRule(names.get(call.op, call.op), tuple(flows))


def _extreme(call: Call) -> OperatorRule:
    """Describe `max` and `min`: reductions, or elementwise with a second tensor."""
    if len(call.operands) == 2:
        return pointwise(call)
    return _reduce(call)


def _along(call: Call) -> OperatorRule:
    """Sorting, the largest k, normalising along one axis: the axis stays, every position reads all of it."""
    axis = call.axis() if call.first.rank else 0
    flows = tuple(
        Flow(0, output, (Mix(axis, shape[axis]),) if shape else ()) for output, shape in enumerate(call.outputs)
    )
    return OperatorRule(call.op, flows)


def _running(call: Call) -> OperatorRule:
    """Describe cumulative sums and products: position u reads 0..u."""
    axis = call.axis()
    if not call.first.rank or call.first.shape[axis] > _TRIANGLE_LIMIT:
        return _along(call)
    size = call.first.shape[axis]
    rows = np.where(np.tri(size, dtype=bool), np.arange(size)[None, :], NO_TAP)
    flows = tuple(Flow(0, o, (Taps(axis, listed_taps(rows, size)),)) for o in range(len(call.outputs)))
    return OperatorRule(call.op, flows)


def _renormalized(call: Call) -> OperatorRule:
    """Describe `renorm`: each part along the axis is scaled by its own length, which reads all other axes."""
    shape, axis = call.first.shape, call.axis()
    return OperatorRule(call.op, (Flow(0, 0, tuple(Mix(a, size) for a, size in enumerate(shape) if a != axis)),))


def _drawn(call: Call) -> OperatorRule:
    """Describe samples of a distribution over the last axis."""
    last = call.first.rank - 1
    return OperatorRule(call.op, (Flow(0, 0, (Mix(last, call.outputs[0][last]),)),))


def _cross(call: Call) -> OperatorRule:
    """Describe cross products: along the axis each number reads the two others of both vectors."""
    axis, out = call.axis(rank=len(call.outputs[0])), call.outputs[0]
    others = Taps(axis, listed_taps(np.array([[1, 2], [0, 2], [0, 1]]), 3))
    return OperatorRule("cross", tuple(Flow(o.slot, 0, (*broadcast(o, out), others)) for o in call.operands))


def _fourier(call: Call) -> OperatorRule:
    axes = [axis_of(d, call.first.rank) for d in call.arguments["dim"]]
    return OperatorRule("fft", (Flow(0, 0, tuple(Mix(axis, call.outputs[0][axis]) for axis in axes)),), macs=None)


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(
        ("mean", "sum", "nansum", "prod", "amax", "amin", "aminmax", "argmax", "argmin", "var", "std", "var_mean",
         "std_mean", "norm", "linalg_vector_norm", "logsumexp", "any", "all", "median", "nanmedian", "count_nonzero",
         "mode", "kthvalue"),
        _reduce,
    ),
    "max": _extreme,
    "min": _extreme,
    **dict.fromkeys(("sort", "topk", "argsort"), _along),
    "renorm": _renormalized,
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"), _running),
    "multinomial": _drawn,
    "linalg_cross": _cross,
    **dict.fromkeys(("_fft_r2c", "_fft_c2c", "_fft_c2r"), _fourier),
}  # fmt: skip
