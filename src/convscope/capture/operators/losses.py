"""Losses, which some networks return beside or instead of their outputs while they train."""

from __future__ import annotations

from collections.abc import Mapping

from convscope.capture.operators.elementwise import anywhere, pointwise
from convscope.capture.operators.rule import Call, Flow, OperatorRule, Rule
from convscope.geometry.relation import Expand, Mix, Permute, ReachStatus, Reshape


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


def _connectionist(call: Call) -> OperatorRule:
    """Describe the connectionist temporal classification loss of scores (T, N, C): one number a sample.

    Which classes it reads, at which steps, is in the targets and the lengths. The second result, which the gradient
    alone reads, has a number for each step and position of the target.
    """
    x, targets, (out, paths) = call.operand("log_probs"), call.operand("targets"), call.outputs
    flows = [
        Flow(x.slot, 0, (Mix(0, 1), Mix(2, 1), Reshape(out)), ReachStatus.DATA_DEPENDENT),
        Flow(x.slot, 1, (Permute((1, 0, 2)), Mix(1, paths[1]), Mix(2, paths[2])), ReachStatus.DATA_DEPENDENT),
    ]
    others = [o for o in call.operands if o.slot not in (x.slot, targets.slot)]
    for output, shape in enumerate(call.outputs):
        # Targets of several lengths, one after another, have one axis: whose they are, the lengths decide.
        own = (Mix(1, 1), Reshape((*out, *(1,) * (len(shape) - 1))), Expand(shape))
        flows.append(Flow(targets.slot, output, own if targets.rank == 2 else anywhere(targets, shape)))
        flows += [Flow(o.slot, output, anywhere(o, shape)) for o in others]
    return OperatorRule("ctc_loss", tuple(flows))


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("huber_loss", "binary_cross_entropy_with_logits"), _elementwise),
    "_ctc_loss": _connectionist,
    **dict.fromkeys(("nll_loss_forward", "nll_loss2d_forward"), _likelihood),
}
