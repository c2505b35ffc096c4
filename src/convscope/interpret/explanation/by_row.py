"""Cells made of whole rows: fully connected layers, means and sums, normalisation, softmax."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from convscope.arrays import Array
from convscope.graph.records import Node
from convscope.interpret.execution.numpy_arrays import correction_of
from convscope.interpret.execution.numpy_executor import aten_name
from convscope.interpret.explanation.worked import (
    Coordinates,
    NumberAt,
    Operands,
    Worked,
    WorkedLine,
    choice_of,
    mean_of,
    one,
    products_of,
    ref,
    scalar,
)

Step = tuple[str, float | np.floating[Any]]
"""A step of the arithmetic: what is done, and the number that it gives."""


def _row(value: int, x: Array, position: Coordinates, weights: Array | None, axis: int = -1) -> Operands:
    """Return a row of a value along one axis, through a position."""
    length = x.shape[axis]
    along = np.arange(length)
    where = tuple(along if a == axis % x.ndim else np.asarray(p) for a, p in enumerate(position))
    return Operands(value, x[where], where, np.ones(length, dtype=bool), weights)


def linear(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a unit of a fully connected layer: the row that it reads, times its weights, plus its bias."""
    a = node.arguments
    value, weight = ref(a["input"]), numbers(ref(a["weight"]))
    bias = None if a["bias"] is None else scalar(numbers(ref(a["bias"]))[position[-1]])
    return products_of(_row(value, numbers(value), (*position[:-1], 0), weight[position[-1]]), bias)


def addmm(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a unit of a fully connected layer, as torch runs it on a matrix: `beta · bias + alpha · row @ weight`."""
    a = node.arguments
    value, weight = ref(a["mat1"]), numbers(ref(a["mat2"]))
    added = np.broadcast_to(numbers(ref(a["self"])), (numbers(value).shape[0], weight.shape[1]))[position]
    row = _row(value, numbers(value), (position[0], 0), weight[:, position[1]])
    beta, alpha = a["beta"], a["alpha"]
    assert isinstance(beta, int | float) and isinstance(alpha, int | float)
    return products_of(row, beta * scalar(added), scale=alpha)


def mm(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a cell of a matrix product: a row times a column."""
    value, other = ref(node.arguments["self"]), numbers(ref(node.arguments["mat2"]))
    column = np.moveaxis(other, -2, -1)[(*position[:-2], position[-1])]
    return products_of(_row(value, numbers(value), (*position[:-1], 0), column), None)


def _reduced(node: Node, numbers: NumberAt, position: Coordinates) -> Operands:
    """Return all numbers of a reduction's axes, laid out along them."""
    value = ref(node.arguments["self"])
    x = numbers(value)
    chosen = node.arguments.get("dim")
    listed = chosen if isinstance(chosen, tuple) else () if chosen is None else (chosen,)
    axes = sorted(int(str(axis)) % x.ndim for axis in listed) or list(range(x.ndim))
    kept = iter(position)
    keep = node.arguments.get("keepdim")
    where: list[Array] = []
    for axis in range(x.ndim):
        if axis in axes:
            if keep:
                next(kept)
            where.append(np.arange(x.shape[axis]).reshape(*(-1 if a == axis else 1 for a in axes)))
        else:
            where.append(np.asarray(next(kept)))
    found = x[tuple(where)]
    return Operands(value, found, tuple(where), np.ones(found.shape, dtype=bool))


def mean(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a mean over whole axes."""
    operands = _reduced(node, numbers, position)
    return mean_of(operands, operands.numbers.size)


def total(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a sum over whole axes."""
    operands = _reduced(node, numbers, position)
    added = scalar(operands.numbers.sum())
    return Worked("sum", (operands,), (WorkedLine(f"sum of {operands.numbers.size:,}", added),))


def maximum(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a maximum over whole axes."""
    return choice_of(_reduced(node, numbers, position))


def minimum(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a minimum over whole axes."""
    operands = _reduced(node, numbers, position)
    return choice_of(operands, flat=int(np.argmin(operands.numbers)), which="smallest")


def product(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a product over whole axes."""
    operands = _reduced(node, numbers, position)
    return _summary(operands, (f"product of {operands.numbers.size:,}", operands.numbers.prod()))


def variance(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a variance over whole axes."""
    return _summary(*_about_the_mean(node, numbers, position))


def deviation(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a standard deviation over whole axes: the root of the variance."""
    operands, *steps = _about_the_mean(node, numbers, position)
    return _summary(operands, *steps, ("square root", np.sqrt(steps[-1][1])))


def _about_the_mean(node: Node, numbers: NumberAt, position: Coordinates) -> tuple[Operands, Step, Step, Step]:
    operands = _reduced(node, numbers, position)
    found, taken = operands.numbers, correction_of(node.arguments)
    mean = found.mean()
    squares = ((found - mean) ** 2).sum()
    divisor = max(0.0, found.size - taken)
    return (operands, (f"mean of {found.size:,}", mean), ("sum of the squared distances from it", squares),
            (f"÷ ({found.size:,} − {taken:g})", np.divide(squares, divisor)))  # fmt: skip


def norm(node: Node, numbers: NumberAt, position: Coordinates) -> Worked | None:
    """Return a norm over whole axes: a power sum and its root; None for an order that is no power."""
    order = float(str(node.arguments["ord"]))
    if order == 0 or np.isinf(order):
        return None
    operands = _reduced(node, numbers, position)
    total = (np.abs(operands.numbers) ** order).sum()
    return _summary(operands, (f"sum of {operands.numbers.size:,} to the power {order:g}", total),
                    (f"to the power 1 / {order:g}", total ** (1 / order)))  # fmt: skip


def log_of_powers(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return the logarithm of a sum of powers of e."""
    operands = _reduced(node, numbers, position)
    largest = operands.numbers.max()
    total = np.exp(operands.numbers - largest).sum()
    return _summary(operands, (f"sum of e^(x − the largest, {largest:.6g})", total),
                    ("logarithm, + the largest", np.log(total) + largest))  # fmt: skip


def _summary(operands: Operands, *steps: Step) -> Worked:
    """Return a cell that is one number made of many, in these steps."""
    return Worked("sum", (operands,), tuple(WorkedLine(text, scalar(number)) for text, number in steps))


def running_sum(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a running sum: of all numbers along an axis up to the cell's own."""
    value, axis = ref(node.arguments["self"]), node.arguments["dim"]
    assert isinstance(axis, int)
    x = numbers(value)
    row = _row(value, x, position, None, axis) if x.ndim else one(value, x, position)
    stop = position[axis] + 1 if x.ndim else 1
    where = tuple(p[:stop] if p.ndim else p for p in row.positions)
    upto = Operands(value, row.numbers.reshape(-1)[:stop], where, np.ones(stop, dtype=bool))
    return _summary(upto, (f"sum of the first {stop:,}", upto.numbers.sum()))


def ranked(node: Node, numbers: NumberAt, position: Coordinates) -> Worked | None:
    """Return the k-th largest or smallest number along an axis."""
    value, axis = ref(node.arguments["self"]), node.arguments["dim"]
    assert isinstance(axis, int)
    x = numbers(value)
    if not x.ndim:
        return None
    row = _row(value, x, position, None, axis)
    down = bool(node.arguments.get("largest", node.arguments.get("descending")))
    order = np.argsort(-row.numbers if down else row.numbers, kind="stable")
    rank = position[axis]
    return choice_of(row, flat=int(order[rank]), which=f"number {rank + 1} {'from the top' if down else 'from below'}")


def bilinear(node: Node, numbers: NumberAt, position: Coordinates) -> Worked | None:
    """Return a unit of a bilinear layer: the first input's row times what the weights and the second row make of it."""
    if [node.arguments[f"expand{i}"] for i in (1, 2, 3)] != [(1, 3), (0,), (1, 2)]:
        return None
    first, weight, second = (ref(node.arguments[name]) for name in ("i1", "i2", "i3"))
    row = numbers(second)[position[0]]
    return products_of(_row(first, numbers(first), (position[0], 0), numbers(weight)[position[1]] @ row), None)


def _normalise(
    x: float, mean: float, variance: float, epsilon: float, weight: float, bias: float
) -> tuple[WorkedLine, ...]:
    centred = x - mean
    normal = centred / sqrt(variance + epsilon)
    return (
        WorkedLine(f"− mean {mean:.6g}", centred),
        WorkedLine(f"÷ √(variance {variance:.6g} + {epsilon:g})", normal),
        WorkedLine(f"× weight {weight:.6g}", normal * weight),
        WorkedLine(f"+ bias {bias:.6g}", normal * weight + bias),
    )


def _affine(node: Node, numbers: NumberAt, index: Coordinates) -> tuple[float, float]:
    found = []
    for name, neutral in (("weight", 1.0), ("bias", 0.0)):
        argument = node.arguments.get(name)
        found.append(neutral if argument is None else scalar(numbers(ref(argument))[index]))
    return found[0], found[1]


def _epsilon(node: Node) -> float:
    return float(str(node.arguments["eps"]))


def batch_norm(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a number brought to its channel's mean 0 and variance 1, then scaled and shifted."""
    value, channel = ref(node.arguments["input"]), position[1]
    x = numbers(value)
    if node.arguments.get("training"):
        batch = x[:, channel]
        mean, variance = scalar(batch.mean()), scalar(batch.var())
    else:
        mean = scalar(numbers(ref(node.arguments["running_mean"]))[channel])
        variance = scalar(numbers(ref(node.arguments["running_var"]))[channel])
    weight, bias = _affine(node, numbers, (channel,))
    lines = _normalise(scalar(x[position]), mean, variance, _epsilon(node), weight, bias)
    return Worked("chain", (one(value, x, position),), lines)


def layer_norm(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a number normalised with all those of the last axes."""
    value = ref(node.arguments["input"])
    shape = node.arguments["normalized_shape"]
    assert isinstance(shape, tuple)
    x, kept = numbers(value), len(position) - len(shape)
    weight, bias = _affine(node, numbers, position[kept:])
    return _over(value, x, position, x[position[:kept]], weight, bias, _epsilon(node))


def group_norm(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a number normalised with all those of its block of channels."""
    value, groups = ref(node.arguments["input"]), node.arguments["group"]
    assert isinstance(groups, int)
    x = numbers(value)
    in_group = x.shape[1] // groups
    first = position[1] // in_group * in_group
    weight, bias = _affine(node, numbers, (position[1],))
    over = x[position[0], first : first + in_group]
    return _over(value, x, position, over, weight, bias, _epsilon(node))


def _over(
    value: int, x: Array, position: Coordinates, over: Array, weight: float, bias: float, epsilon: float
) -> Worked:
    mean, variance = scalar(over.mean()), scalar(over.var())
    lines = _normalise(scalar(x[position]), mean, variance, epsilon, weight, bias)
    return Worked("chain", (one(value, x, position, f"one of {over.size:,} normalised together"),), lines)


def softmax(node: Node, numbers: NumberAt, position: Coordinates) -> Worked:
    """Return a power over the sum of all powers along an axis."""
    value, axis = ref(node.arguments["self"]), node.arguments["dim"]
    assert isinstance(axis, int)
    row = _row(value, numbers(value), position, None, axis)
    own, largest = scalar(row.numbers[position[axis]]), scalar(row.numbers.max())
    power, total = np.exp(own - largest), np.exp(row.numbers - largest).sum()
    lines = [
        WorkedLine(f"e^({own:.6g} − the largest, {largest:.6g})", scalar(power)),
        WorkedLine(f"÷ their sum over all {row.numbers.size:,}, {total:.6g}", scalar(power / total)),
    ]
    if "log" in aten_name(node):
        lines.append(WorkedLine("logarithm", own - largest - scalar(np.log(total))))
    return Worked("softmax", (row,), tuple(lines))
