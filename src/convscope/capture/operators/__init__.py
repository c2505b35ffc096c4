"""The rule of each ATen operator: how its outputs depend on its inputs, and what it costs; one family a file.

An operator that is not here is unknown: listed as such, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping

from convscope.capture.operators import (
    attention,
    convolution,
    elementwise,
    index_writes,
    indexing,
    linear,
    losses,
    matrices,
    normalization,
    pooling,
    reduction,
    resampling,
    shape,
    shuffles,
    slices,
    unknown,
)
from convscope.capture.operators.rule import Call, OperatorRule, Rule
from convscope.errors import GeometryError

RULES: Mapping[str, Rule] = {
    **elementwise.RULES,
    **shape.RULES,
    **slices.RULES,
    **shuffles.RULES,
    **reduction.RULES,
    **convolution.RULES,
    **pooling.RULES,
    **normalization.RULES,
    **linear.RULES,
    **matrices.RULES,
    **losses.RULES,
    **attention.RULES,
    **resampling.RULES,
    **indexing.RULES,
    **index_writes.RULES,
    **unknown.RULES,
}


def rule_for(call: Call) -> OperatorRule:
    """Return the rule of a call; unknown operators get no flows and no MACs."""
    rule = RULES.get(f"{call.op}.{call.overload}") or RULES.get(call.op)
    if rule is not None:
        try:
            return rule(call)
        except GeometryError:
            if any(0 not in shape for shape in call.outputs):
                raise
            return OperatorRule(call.op, flows=())  # no element is made, so none is read, whatever the settings
    if not call.operands:
        return OperatorRule(call.op, flows=())
    if call.pointwise:
        return elementwise.pointwise(call)
    return OperatorRule(call.op, flows=None, macs=None)
