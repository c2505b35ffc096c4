"""Operators of other formats that torch has no operators for: named, and unknown."""

from __future__ import annotations

from collections.abc import Mapping

from convscope.capture.operators.rule import Call, OperatorRule, Rule


def _unknown(call: Call) -> OperatorRule:
    """Name an operator by its argument; how its outputs depend on its inputs, and what it costs, is unknown."""
    return OperatorRule(str(call.arguments["name"]), flows=None, macs=None)


RULES: Mapping[str, Rule] = {"convscope_onnx::unknown_node": _unknown, "unknown_node": _unknown}
