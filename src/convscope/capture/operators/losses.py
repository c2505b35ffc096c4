"""Losses, which some networks return beside or instead of their outputs while they train."""

from __future__ import annotations

from collections.abc import Mapping

from convscope.capture.operators.elementwise import anywhere, pointwise
from convscope.capture.operators.rule import Call, Flow, OperatorRule, Rule
from convscope.geometry.relation import Mix, Reshape


def _reduced(call: Call) -> OperatorRule:
    return OperatorRule(call.op, tuple(Flow(o.slot, 0, anywhere(o, call.outputs[0])) for o in call.operands))


def _elementwise(call: Call) -> OperatorRule:
    """Describe a loss of each element, or their sum or mean."""
    return pointwise(call) if call.outputs[0] == call.first.shape else _reduced(call)


def _likelihood(call: Call) -> OperatorRule:
    """Describe the negative log-likelihood of scores (N, C, ...) and targets (N, ...)."""
    x, target, out = call.first, call.operand("target"), call.outputs[0]
    if out != target.shape:
        return _reduced(call)
    flows = [Flow(x.slot, 0, (Mix(x.rank - 1 if x.rank < 2 else 1, 1), Reshape(out))), Flow(target.slot)]
    flows += [Flow(o.slot, 0, anywhere(o, out)) for o in call.operands if o.slot not in (x.slot, target.slot)]
    return OperatorRule(call.op, tuple(flows))


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("huber_loss", "binary_cross_entropy_with_logits"), _elementwise),
    **dict.fromkeys(("nll_loss_forward", "nll_loss2d_forward"), _likelihood),
}
