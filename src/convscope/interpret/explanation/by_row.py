"""Cells made of whole rows: fully connected layers, means and sums, normalisation, softmax."""

from __future__ import annotations

from math import sqrt

import numpy as np

from convscope.arrays import Array
from convscope.graph.records import Node
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
