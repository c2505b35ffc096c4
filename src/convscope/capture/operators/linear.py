"""Matrix products: fully connected layers, batched products, and what einsum becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from convscope.capture.operators.rule import Call, Flow, Operand, OperatorRule, Rule
from convscope.geometry.cost import bilinear_macs, matmul_macs
from convscope.geometry.relation import Expand, Mix, Reshape


def _formula(*factors: int) -> str:
    return " · ".join(map(str, factors))


def _product_flows(left: Operand, right: Operand) -> list[Flow]:
    """Return the flows of (…, n, k) times (…, k, m): a row of the left and a column of the right, whole."""
    rows, columns = left.shape[-2], right.shape[-1]
    return [
        Flow(left.slot, 0, (Mix(left.rank - 1, columns),)),
        Flow(right.slot, 0, (Mix(right.rank - 2, rows),)),
    ]


def _product(call: Call, left: Operand, right: Operand, added: Operand | None = None) -> OperatorRule:
    flows = _product_flows(left, right)
    out = call.outputs[0]
    if out[-2:] != (left.shape[-2], right.shape[-1]):  # a sparse product is spread over what it is added to
        flows = [replace(flow, steps=(*flow.steps, Expand(out))) for flow in flows]
    if added is not None:
        flows.append(Flow(added.slot, 0, (Expand(out),)))
    batch = left.shape[0] if left.rank == 3 else 1
    rows, inner, columns = left.shape[-2], left.shape[-1], right.shape[-1]
    factors = (batch, rows, inner, columns) if left.rank == 3 else (rows, inner, columns)
    return OperatorRule(
        "linear" if call.op in ("addmm", "mm") else "matmul",
        tuple(flows),
        macs=matmul_macs(batch, rows, inner, columns),
        formula=_formula(*factors),
    )


def _addmm(call: Call) -> OperatorRule:
    names = ("batch1", "batch2") if call.op == "baddbmm" else ("mat1", "mat2")
    return _product(call, call.operand(names[0]), call.operand(names[1]), call.operand("self"))


def _mm(call: Call) -> OperatorRule:
    return _product(call, call.operands[0], call.operands[1])


def _linear(call: Call) -> OperatorRule:
    """Describe `aten.linear`, if a backend does not decompose it: weight is (out, in)."""
    x, weight = call.operands[0], call.operand("weight")
    rows = 1
    for size in x.shape[:-1]:
        rows *= size
    flows = [Flow(x.slot, 0, (Mix(x.rank - 1, weight.shape[0]),))]
    bias = call.arguments.get("bias")
    flows.append(Flow(weight.slot, 0, (Mix(1, 1), Reshape((weight.shape[0],)), Expand(call.outputs[0]))))
    if isinstance(bias, Operand):
        flows.append(Flow(bias.slot, 0, (Expand(call.outputs[0]),)))
    macs = matmul_macs(1, rows, x.shape[-1], weight.shape[0])
    return OperatorRule("linear", tuple(flows), macs=macs, formula=_formula(rows, x.shape[-1], weight.shape[0]))


def _dot(call: Call) -> OperatorRule:
    size = call.operands[0].shape[0]
    flows = tuple(Flow(o.slot, 0, (Mix(0, 1), Reshape(()))) for o in call.operands)
    return OperatorRule("matmul", flows, macs=size, formula=_formula(size))


def _mv(call: Call) -> OperatorRule:
    matrix, vector = call.operands[-2], call.operands[-1]
    flows = []
    if matrix.shape[0]:  # of no rows, what is added alone comes out, and may have another length
        flows.append(Flow(matrix.slot, 0, (Mix(1, 1), Reshape(call.outputs[0]))))
        flows.append(Flow(vector.slot, 0, (Mix(0, call.outputs[0][0]),)))
    if call.op == "addmv":
        flows.append(Flow(call.operands[0].slot, 0, (Expand(call.outputs[0]),)))
    return OperatorRule(
        "matmul",
        tuple(flows),
        macs=matmul_macs(1, matrix.shape[0], matrix.shape[1], 1),
        formula=_formula(*matrix.shape),
    )


def _trilinear(call: Call) -> OperatorRule:
    """Describe `nn.Bilinear`: three tensors multiplied in one common shape, then summed over some of its axes.

    The MACs are known of the layer alone: (N, I), (O, I, J) and (N, J) to (N, O).
    """
    expanded = []
    for operand, name in zip(call.operands, ("expand1", "expand2", "expand3"), strict=True):
        shape = list(operand.shape)
        for axis in sorted(call.arguments[name]):
            shape.insert(axis, 1)
        expanded.append(tuple(shape))
    common = np.broadcast_shapes(*expanded)
    sums = [Mix(axis, 1) for axis in call.arguments["sumdim"]]
    flows = tuple(
        Flow(operand.slot, 0, (Reshape(shape), Expand(common), *sums, Reshape(call.outputs[0])))
        for operand, shape in zip(call.operands, expanded, strict=True)
    )
    if [call.arguments[name] for name in ("expand1", "expand2", "expand3", "sumdim")] != [(1, 3), (0,), (1, 2), (2, 3)]:
        return OperatorRule("bilinear", flows, macs=None)
    units, first, second = call.operand("i2").shape
    macs = bilinear_macs(call.outputs[0][0], first, second, units)
    return OperatorRule(
        "bilinear", flows, macs=macs, formula=f"{call.outputs[0][0]} · {units} · {second} · ({first} + 1)"
    )


RULES: Mapping[str, Rule] = {
    "addmm": _addmm,
    "_sparse_addmm": _addmm,  # every element counts, as in `A @ x`: how many are kept is not in the shape
    "baddbmm": _addmm,
    "mm": _mm,
    "bmm": _mm,
    "linear": _linear,
    "dot": _dot,
    "vdot": _dot,
    "_trilinear": _trilinear,
    "mv": _mv,
    "addmv": _mv,
}
