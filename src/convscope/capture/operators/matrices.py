"""Decompositions, inverses, exponentials and traces of matrices; distances between points."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from convscope.capture.operators.rule import Call, Flow, Operand, OperatorRule, Rule
from convscope.errors import GeometryError
from convscope.geometry.cost import matmul_macs
from convscope.geometry.relation import Expand, Mix, Permute, RelationStep, Reshape, Taps
from convscope.geometry.taps import listed_taps


def _whole_matrix(operand: Operand, out: tuple[int, ...]) -> tuple[RelationStep, ...]:
    """Return the steps of a result that reads all of the last two axes, and its own place along those before."""
    matrix = min(operand.rank, 2)
    batch = operand.shape[: operand.rank - matrix]
    if len(out) < len(batch) or any(size not in (1, there) for size, there in zip(batch, out, strict=False)):
        batch = ()  # a result without this operand's batch, as the factors of a matrix that all right sides share
    mixed = (Mix(axis, 1) for axis in range(len(batch), operand.rank))
    return (*mixed, Reshape((*batch, *(1,) * (len(out) - len(batch)))), Expand(out))


def _decomposition(call: Call) -> OperatorRule:
    """Describe what is computed of whole matrices; results that were not asked for are empty."""
    flows = tuple(
        Flow(operand.slot, output, _whole_matrix(operand, out))
        for output, out in enumerate(call.outputs)
        if prod(out)
        for operand in call.operands
    )
    return OperatorRule(call.op.removeprefix("_").removesuffix("_ex"), flows, macs=None)


def _distances(call: Call) -> OperatorRule:
    """Describe the distances of every row of (..., P, M) from every row of (..., R, M): (..., P, R).

    One point (M,) on the left is taken as well, and gives (..., R).
    """
    (left, right), out = call.operands, call.outputs[0]
    last = right.rank - 1
    turned: tuple[RelationStep, ...] = (Permute((*range(last - 1), last, last - 1)), Expand(out))
    flows = (
        Flow(left.slot, 0, (Mix(left.rank - 1, 1), Expand(out))),
        Flow(right.slot, 0, (Mix(last, 1), *(turned if left.rank > 1 else (Reshape(out),)))),
    )
    if call.arguments.get("p", 2.0) != 2.0:
        return OperatorRule("cdist", flows, macs=None)
    points = out[:-1] if left.rank > 1 else (*out[:-1], 1)
    sizes = (prod(points[:-1]), points[-1], left.shape[-1], out[-1])
    return OperatorRule("cdist", flows, macs=matmul_macs(*sizes), formula=" · ".join(map(str, sizes)))


def _distances_within(call: Call) -> OperatorRule:
    """Describe the distances between every two rows of (N, M), each pair once: (N (N - 1) / 2,)."""
    if call.first.rank != 2:  # refused with numbers alone
        raise GeometryError(f"pdist takes points as (N, M), and gets {call.first.rank} axes")
    rows = call.first.shape[0]
    pairs = np.stack(np.triu_indices(rows, 1), axis=1)
    steps = (Mix(1, 1), Reshape((rows,)), Taps(0, listed_taps(pairs, rows)))
    return OperatorRule("pdist", (Flow(0, 0, steps),), macs=None)


def _trace(call: Call) -> OperatorRule:
    """Describe the sum of a matrix's diagonal."""
    rows, columns = call.first.shape
    diagonal = listed_taps(np.arange(min(rows, columns)) * (columns + 1), rows * columns)
    return OperatorRule("trace", (Flow(0, 0, (Reshape((rows * columns,)), Taps(0, diagonal), Mix(0, 1), Reshape(()))),))


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(
        ("linalg_qr", "_linalg_svd", "_linalg_eigh", "linalg_inv_ex", "_linalg_solve_ex",
         "linalg_cholesky_ex", "linalg_matrix_exp", "_linalg_slogdet", "_linalg_det", "linalg_pinv.atol_rtol_tensor"),
        _decomposition,
    ),
    "_cdist_forward": _distances,
    "_euclidean_dist": _distances,
    "_pdist_forward": _distances_within,
    "trace": _trace,
}  # fmt: skip
