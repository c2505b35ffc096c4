"""Decompositions, inverses and exponentials of matrices; distances between points."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from convscope.capture.operators.rule import Call, Flow, Operand, OperatorRule, Rule
from convscope.geometry.cost import matmul_macs
from convscope.geometry.relation import Expand, Mix, Permute, RelationStep, Reshape


def _whole_matrix(operand: Operand, out: tuple[int, ...]) -> tuple[RelationStep, ...]:
    """Return the steps of a result that reads all of the last two axes, and its own place along those before."""
    matrix = min(operand.rank, 2)
    batch = operand.shape[: operand.rank - matrix]
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
    """Describe the distances of every row of (..., P, M) from every row of (..., R, M): (..., P, R)."""
    (left, right), out = call.operands, call.outputs[0]
    last = right.rank - 1
    turned = (*range(last - 1), last, last - 1)
    flows = (
        Flow(left.slot, 0, (Mix(left.rank - 1, 1), Expand(out))),
        Flow(right.slot, 0, (Mix(last, 1), Permute(turned), Expand(out))),
    )
    if call.arguments.get("p", 2.0) != 2.0:
        return OperatorRule("cdist", flows, macs=None)
    sizes = (prod(out[:-2]), out[-2], left.shape[-1], out[-1])
    return OperatorRule("cdist", flows, macs=matmul_macs(*sizes), formula=" · ".join(map(str, sizes)))


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(
        ("linalg_qr", "_linalg_svd", "_linalg_eigh", "linalg_inv_ex", "_linalg_solve_ex",
         "linalg_cholesky_ex", "linalg_matrix_exp", "_linalg_slogdet", "_linalg_det", "linalg_pinv.atol_rtol_tensor"),
        _decomposition,
    ),
    "_cdist_forward": _distances,
    "_euclidean_dist": _distances,
}  # fmt: skip
