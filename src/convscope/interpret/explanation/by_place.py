"""Cells made of the numbers at one place, and numbers that were only moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from convscope.arrays import Array, Shape
from convscope.errors import CaptureError
from convscope.geometry.relation import (
    Concat,
    Expand,
    Mix,
    Permute,
    ReachStatus,
    RelationStep,
    Reshape,
    Taps,
    shape_after,
)
from convscope.graph.records import Argument, Graph, Node, Ref
from convscope.interpret.execution.numpy_executor import NUMPY_OPERATORS, aten_name, resolved
from convscope.interpret.explanation.worked import Coordinates, NumberAt, Operands, Worked, WorkedLine, one, ref
from convscope.reference.activation import sigmoid


def elementwise(graph: Graph, node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return the operation on the numbers at one position, by the table that runs whole graphs."""
    operands: list[Operands] = []
    alone: dict[int, Array] = {}
    for name, argument in node.arguments.items():
        if not isinstance(argument, Ref):
            continue
        x = numbers(argument.value)
        own = position[len(position) - x.ndim :]
        at = tuple(0 if size == 1 else p for p, size in zip(own, x.shape, strict=True))
        if name != "noise":  # read in training alone, which draws it
            operands.append(one(argument.value, x, at, name))
        alone[argument.value] = np.asarray(x[at])
    settings = {name: resolved(argument, alone) for name, argument in node.arguments.items()}
    result = NUMPY_OPERATORS[aten_name(node)](settings)
    assert isinstance(result, np.ndarray | np.generic)
    if aten_name(node) in CHOOSERS:
        operands = [replace(one, weights=np.asarray(_share(one.role, settings))) for one in operands]
    return Worked("chain", tuple(operands), (WorkedLine(_spoken(node), float(np.asarray(result).reshape(()))),))


CHOOSERS: Mapping[str, tuple[str, str]] = {"where": ("condition", "self"), "masked_fill": ("mask", "value")}
"""Operations that take one of two numbers, by a condition: its name, and that of the number taken where it holds."""


def _share(role: str, settings: Mapping[str, Any]) -> float:
    """Return how much of an operand of a chooser is in the result: all of it, or nothing."""
    condition, taken = next(names for names in CHOOSERS.values() if names[0] in settings)
    return 0.0 if role == condition else float(bool(settings[condition]) == (role == taken))


def gated(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Explain a gated linear unit: a number of the first half of an axis times the sigmoid of that in the second."""
    value, axis = ref(node.arguments["self"]), node.arguments["dim"]
    assert isinstance(axis, int)
    x = numbers(value)
    axis %= x.ndim
    partner = tuple(p + (x.shape[axis] // 2 if i == axis else 0) for i, p in enumerate(position))
    gate = float(sigmoid(x[partner]))
    lines = (WorkedLine("sigmoid(b)", gate), WorkedLine("a · sigmoid(b)", float(x[position]) * gate))
    return Worked("chain", (one(value, x, position), one(value, x, partner)), lines)


POWER = {"self": "x", "exponent": "p"}
SPOKEN: Mapping[str, str] = {
    "relu": "max(0, x)", "add": "a + b", "sub": "a − b", "rsub": "b − a", "mul": "a · b", "div": "a ÷ b", "neg": "− x",
    "sigmoid": "1 / (1 + e^−x)", "tanh": "tanh x", "gelu": "x · Φ(x)", "silu": "x · sigmoid(x)",
    "hardswish": "x · min(max(x / 6 + ½, 0), 1)", "hardsigmoid": "min(max(x / 6 + ½, 0), 1)",
    "where": "b where the condition a holds, else c", "masked_fill": "the value where the mask holds, else x",
    "elu": "x above 0, else an exponential curve", "hardshrink": "x, or 0 near 0",
    "softshrink": "x brought nearer to 0",
    "rrelu_with_noise": "x above 0, else its mean slope · x", "addcmul": "a + value · b · c",
    "addcdiv": "a + value · b ÷ c", "lerp": "a + weight · (b − a)",
    "_prelu_kernel": "x above 0, else weight · x", "log_sigmoid_forward": "log sigmoid x",
}  # fmt: skip


_OF_TWO = ("add", "sub", "rsub", "mul", "div")
_ROUNDED: Mapping[str, str] = {"floor": ", rounded down", "trunc": ", rounded towards 0"}
UNCHANGED = "the same number, from another place"
STEERING = ("index", "indices")  # names of arguments that hold places


def references(argument: Argument | None) -> list[int]:
    """Return the values that an argument refers to."""
    if isinstance(argument, Ref):
        return [argument.value]
    return [value for item in argument for value in references(item)] if isinstance(argument, tuple) else []


def _spoken(node: Node) -> str:
    name = aten_name(node)
    numbers = {k: v for k, v in node.arguments.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    if name == "hardtanh":
        return f"min(max(x, {numbers['min_val']:g}), {numbers['max_val']:g})"
    if name == "_to_copy":
        return f"x as {node.arguments.get('dtype')}"
    if name == "pow":
        base, power = (f"{numbers[key]:g}" if key in numbers else letter for key, letter in POWER.items())
        return f"{base} to the power of {power}"
    text = SPOKEN.get(name, node.op)
    if name not in _OF_TWO:
        return text
    first, second = ("x", f"{numbers['other']:g}") if "other" in numbers else ("a", "b")
    if numbers.get("alpha", 1) != 1:
        scaled = f"{numbers['alpha']:g} · {first if name == 'rsub' else second}"
        first, second = (scaled, second) if name == "rsub" else (first, scaled)
    rounded = _ROUNDED.get(str(node.arguments.get("rounding_mode")), "")
    return " ".join({"a": first, "b": second}.get(word, word) for word in text.split(" ")) + rounded


def is_rounded(graph: Graph, node: Node) -> bool:
    """Return whether a cast makes other numbers: whole ones, or truths."""
    if aten_name(node) != "_to_copy":
        return False
    given, made = (graph.values[value].spec.dtype for value in (node.inputs[0], node.outputs[0]))
    return made != given and not made.startswith(("float", "bfloat"))


def move(graph: Graph, node: Node, position: Coordinates, numbers: NumberAt, *, which: int = 0) -> Worked:
    """Run the operation on the places themselves: what comes out at the cell is where its number came from."""
    if aten_name(node) in _BY_SHAPE and (only := moved_from(graph, node, position, which=which)) is not None:
        operand = one(only[0], numbers(only[0]), only[1])
        return Worked("move", (operand,), (WorkedLine(UNCHANGED, float(operand.numbers)),))
    # What says which places are read is no number that moves.
    steering = {value for name in STEERING for value in references(node.arguments.get(name))}
    codes: dict[int, Array] = {value: numbers(value) for value in steering}
    first = 1  # 0 is left for padding
    starts: list[tuple[int, int]] = []
    for value in dict.fromkeys(v for v in node.inputs if v not in steering):
        shape = graph.shape(value)
        codes[value] = np.arange(first, first + prod(shape)).reshape(shape)
        starts.append((first, value))
        first += prod(shape)
    settings = {name: resolved(argument, codes) for name, argument in node.arguments.items()}
    filling = settings.get("value")
    try:
        result = NUMPY_OPERATORS[aten_name(node)]({**settings, "value": 0} if "value" in settings else settings)
    except (IndexError, ValueError) as error:
        where = node.module or "the model"
        raise CaptureError(f"{where}: {node.op} does not run on this input: {error}") from error
    code = int((result[which] if isinstance(result, list) else result)[position])
    if code == 0:
        text = "padding" if "pad" in node.op or "im2col" in node.op else "filled in"
        return Worked("move", (), (WorkedLine(text, float(filling or 0)),))
    start, value = max(pair for pair in starts if pair[0] <= code)
    source = tuple(int(i) for i in np.unravel_index(code - start, graph.shape(value)))
    operand = one(value, numbers(value), source)
    return Worked("move", (operand,), (WorkedLine(UNCHANGED, float(operand.numbers)),))


def moved_from(graph: Graph, node: Node, position: Coordinates, *, which: int = 0) -> tuple[int, Coordinates] | None:
    """Return the one number that a cell depends on, by the shapes alone; None where there are several or none."""
    found = []
    for path in node.paths or ():
        if path.output == node.outputs[which]:
            if path.status is not ReachStatus.EXACT:
                return None
            place = _place_before(path.steps, graph.shape(path.source), position)
            found += [] if place is None else [(path.source, place)]
    return found[0] if len(found) == 1 else None


def _place_before(steps: Sequence[RelationStep], shape: Shape, position: Coordinates) -> Coordinates | None:
    """Return the one place that a place after some steps reads; None where it reads several or none."""
    shapes = [shape]
    for step in steps:
        shapes.append(shape_after(step, shapes[-1]))
    at = position
    for step, before, after in zip(reversed(steps), reversed(shapes[:-1]), reversed(shapes[1:]), strict=True):
        match step:
            case Taps(axis, table):
                read = table.clipped[at[axis]]
                inside = read[read < table.input_size]
                if inside.size != 1:
                    return None
                at = (*at[:axis], int(inside[0]), *at[axis + 1 :])
            case Concat(axis, offset, length, _):
                if not 0 <= at[axis] - offset < length:
                    return None
                at = (*at[:axis], at[axis] - offset, *at[axis + 1 :])
            case Permute(order):
                at = tuple(at[order.index(axis)] for axis in range(len(order)))
            case Reshape():
                at = tuple(int(n) for n in np.unravel_index(int(np.ravel_multi_index(at, after)), before))
            case Expand():
                own = at[len(after) - len(before) :]
                at = tuple(0 if size == 1 else n for n, size in zip(own, before, strict=True))
            case Mix():
                return None
    return at


_BY_SHAPE = frozenset({
    "cat", "stack", "view", "_unsafe_view", "reshape", "permute", "transpose", "t", "slice", "select", "split",
    "split_with_sizes", "unbind", "squeeze", "unsqueeze", "expand", "clone", "contiguous", "_to_copy", "pixel_shuffle",
})  # fmt: skip
"""Moves of whose cells the shapes alone say where they are from."""

MOVES = frozenset({
    "cat", "stack", "constant_pad_nd", "view", "_unsafe_view", "reshape", "permute", "transpose", "t", "slice",
    "select", "split", "split_with_sizes", "unbind", "squeeze", "unsqueeze", "expand", "clone", "contiguous", "dropout",
    "_to_copy", "copy", "roll", "flip", "pixel_shuffle", "pixel_unshuffle", "slice_scatter",
    "repeat", "unfold", "im2col", "channel_shuffle", "native_channel_shuffle", "rot90", "diagonal", "tril", "triu",
    "index", "index_select", "gather", "embedding",
    *(f"{kind}_pad{n}d" for kind in ("reflection", "replication") for n in (1, 2, 3)),
})  # fmt: skip
