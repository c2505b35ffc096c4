"""Scaled dot-product attention, in the forms in which backends keep it whole."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from convscope.capture.operators.rule import Call, Flow, Operand, OperatorRule, Rule
from convscope.geometry.relation import Expand, Mix, Reshape


def _attention(call: Call) -> OperatorRule:
    """Describe attention, (…, L, E) by (…, S, E) by (…, S, V): every query reads every key and value.

    MACs: the scores L·S·E and the weighted sums L·S·V; the softmax has none.
    """
    query, key, value = call.operand("query"), call.operand("key"), call.operand("value")
    out = call.outputs[0]
    rows, columns, features, wanted = query.shape[-2], key.shape[-2], query.shape[-1], value.shape[-1]
    batch = prod(query.shape[:-2])
    last = query.rank - 1
    flows = [
        Flow(query.slot, 0, (Mix(last, wanted),)),
        Flow(key.slot, 0, (Mix(last - 1, rows), Mix(last, wanted))),
        Flow(value.slot, 0, (Mix(last - 1, rows),)),
    ]
    for name in ("attn_mask", "attn_bias"):
        mask = call.arguments.get(name)
        if isinstance(mask, Operand):
            grid = (*query.shape[:-2], rows, columns)
            flows.append(Flow(mask.slot, 0, (Expand(grid), Mix(last, wanted))))
    for output, shape in enumerate(call.outputs[1:], start=1):
        if shape == query.shape[:-1]:
            flows.append(Flow(query.slot, output, (Mix(last, 1), Reshape(shape))))
            flows.append(Flow(key.slot, output, (Mix(last, 1), Mix(last - 1, rows), Reshape(shape))))
    assert len(out) == query.rank
    return OperatorRule(
        "attention",
        tuple(flows),
        macs=batch * rows * columns * (features + wanted),
        formula=f"{batch} · {rows} · {columns} · ({features} + {wanted})",
    )


RULES: Mapping[str, Rule] = dict.fromkeys(
    ("scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu",
     "_scaled_dot_product_flash_attention", "_scaled_dot_product_efficient_attention",
     "_scaled_dot_product_cudnn_attention", "_scaled_dot_product_attention_math_for_mps"),
    _attention,
)  # fmt: skip
