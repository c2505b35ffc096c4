"""Loop and Scan, unrolled where no input decides how often their body runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from convscope.nets.onnx.plan import Plan
from convscope.nets.onnx.step import OnnxStep, OnnxValue, UntranslatedError, array, at, integers, tensor

# Runs a body on its inputs, and gives its outputs.
RunBody = Callable[[Plan, Sequence[OnnxValue]], list[OnnxValue]]
# Nodes that are run at most by all loops of a file together.
MOST_NODES = 5_000
# What torch's exporter writes for `while`, which has no count.
_NO_COUNT = 2**63 - 1


def repeated(step: OnnxStep, given: Sequence[OnnxValue], run: RunBody) -> list[OnnxValue]:
    """Run a Loop or a Scan.

    Raises:
        UntranslatedError: an input decides how often the body runs, or it runs too often to be written out.
    """
    body = step.get("body")
    if not isinstance(body, Plan):
        raise UntranslatedError("it has no body")
    return _loop(body, given, run) if step.operator == "Loop" else _scan(step, body, given, run)


def _loop(body: Plan, given: Sequence[OnnxValue], run: RunBody) -> list[OnnxValue]:
    count = None if given[0] is None else integers(given[0])[0]
    going = True if at(given, 1) is None else bool(integers(given[1])[0])
    state = list(given[2:])
    rows: list[list[OnnxValue]] = []
    count = None if count == _NO_COUNT else count
    _require_few(body, count or 0)
    endless = count is None and not _computes_condition(body)
    while going and (count is None or len(rows) < count):
        made = run(body, [np.array(len(rows), np.int64), np.array(going), *state])
        state, rows = made[1 : 1 + len(state)], [*rows, made[1 + len(state) :]]
        going = bool(integers(made[0])[0])
        if going and endless:
            raise UntranslatedError("nothing ends it")
    if not rows and len(body.outputs) > 1 + len(state):
        raise UntranslatedError("it runs no time, and collects what it makes")
    return [*state, *(_stacked(column, 0) for column in zip(*rows, strict=True))]


def _computes_condition(body: Plan) -> bool:
    """Return whether a body computes whether it runs again, and does not give on what it got or a constant."""
    makers = {name: step for step in body.steps for name in step.outputs}
    name = body.outputs[0]
    while name in makers and makers[name].operator == "Identity":
        name = makers[name].inputs[0]
    return name in makers


def _scan(step: OnnxStep, body: Plan, given: Sequence[OnnxValue], run: RunBody) -> list[OnnxValue]:
    read = step.get("num_scan_inputs", 0)
    if step.version < 9 or not read:
        raise UntranslatedError("it runs over samples")
    state, parts = list(given[: len(given) - read]), [tensor(value) for value in given[len(given) - read :]]
    axes, back = (step.get(f"scan_input_{key}") or [0] * read for key in ("axes", "directions"))
    length = parts[0].shape[axes[0]]
    _require_few(body, length)
    rows: list[list[OnnxValue]] = []
    for t in range(length):
        slices = [p.select(axis, length - 1 - t if b else t) for p, axis, b in zip(parts, axes, back, strict=True)]
        made = run(body, [*state, *slices])
        state, rows = made[: len(state)], [*rows, made[len(state) :]]
    if not rows:
        raise UntranslatedError("it runs no time, and collects what it makes")
    columns = list(zip(*rows, strict=True))
    places, turned = (step.get(f"scan_output_{key}") or [0] * len(columns) for key in ("axes", "directions"))
    return [*state, *(_stacked(column[::-1] if turn else column, axis)
                      for column, axis, turn in zip(columns, places, turned, strict=True))]  # fmt: skip


def _require_few(body: Plan, times: int) -> None:
    if times * max(1, len(body.steps)) > MOST_NODES:
        raise UntranslatedError(f"it runs its body of {len(body.steps)} nodes {times:,} times")


def _stacked(column: Sequence[OnnxValue], axis: int) -> OnnxValue:
    if all(isinstance(value, np.ndarray) for value in column):
        return np.stack([array(value) for value in column], axis)
    return torch.stack([tensor(value) for value in column], axis)


def named_inputs(body: Plan, given: Sequence[OnnxValue]) -> Mapping[str, OnnxValue]:
    """Return the values of a body's inputs by name.

    Raises:
        UntranslatedError: it takes another number of them.
    """
    if len(body.inputs) != len(given):
        raise UntranslatedError(f"its body takes {len(body.inputs)} values, and {len(given)} are given")
    return dict(zip(body.inputs, given, strict=True))
