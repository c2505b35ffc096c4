"""A cell worked out: what it was made of, and the steps from there to its number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from convscope.arrays import Array
from convscope.graph.records import Argument, Node, Ref
from convscope.interpret.execution.numpy_executor import aten_name
from convscope.report.short_repr import ShortRepr

WorkedKind = Literal["products", "choice", "mean", "sum", "chain", "softmax", "move", "given"]
Coordinates = tuple[int, ...]
NumberAt = Callable[[int], Array]


@dataclass(frozen=True, eq=False, repr=False)
class Operands(ShortRepr):
    """Numbers of one value that a cell was made of, in the layout of the window that read them.

    Args:
        value: the graph's value that they belong to.
        numbers: what they are; 0 in the padding. `(C, *kernel)` under a window, `(n,)` in a row, `()` alone.
        positions: where they are in the value, one array per axis, each broadcastable to `numbers`.
        inside: False where a tap lies in the padding (or, in a transposed convolution, on no input).
        weights: what they are multiplied by; None where they are not.
        role: what they are in the operation, where there are several.
    """

    value: int
    numbers: Array
    positions: tuple[Array, ...]
    inside: Array
    weights: Array | None = None
    role: str = ""

    @property
    @np.errstate(divide="ignore", over="ignore", invalid="ignore")
    def contributions(self) -> Array:
        """What each number adds to the result."""
        return self.numbers if self.weights is None else self.numbers * self.weights

    @property
    def channels(self) -> list[int]:
        """The channel of each first index of the numbers, where they are `(C, *kernel)`."""
        along = np.broadcast_to(self.positions[-self.numbers.ndim], self.numbers.shape)
        return [int(channel) for channel in along.reshape(len(self.numbers), -1)[:, 0]]

    def position(self, index: Coordinates) -> Coordinates:
        """Return the position of one of the numbers in the value."""
        shape = self.numbers.shape
        return tuple(int(np.broadcast_to(axis, shape)[index]) for axis in self.positions)


@dataclass(frozen=True)
class WorkedLine:
    """One step of the arithmetic: what is done, and the number that it gives."""

    text: str
    number: float


@dataclass(frozen=True, eq=False, repr=False)
class Worked(ShortRepr):
    """A cell worked out.

    Args:
        kind: in which way.
        operands: what it was made of.
        lines: the steps after the operands; the last one gives the cell.
        winner: for a choice, the index into the operands' numbers.
        chosen: for a choice, which of the numbers it is, such as "largest".
    """

    kind: WorkedKind
    operands: tuple[Operands, ...]
    lines: tuple[WorkedLine, ...]
    winner: Coordinates | None = None
    chosen: str = ""

    @property
    def value(self) -> float:
        """The cell, as we compute it."""
        return self.lines[-1].number

    def largest(self, limit: int | None) -> list[tuple[Operands, Coordinates, float]]:
        """Return the operands that add the most: whose they are, their index, what they add; padding is left out.

        Of a choice only the winner, of a softmax the cell's own score first.
        """
        found: list[tuple[Operands, Coordinates, float]] = []
        for operands in self.operands:
            added = operands.contributions
            inside = np.broadcast_to(operands.inside, added.shape)
            order = np.argsort(np.where(inside, -sizes_of(added), 1.0), axis=None, kind="stable")[: inside.sum()]
            if self.winner is not None:
                order = np.asarray([np.ravel_multi_index(self.winner, added.shape)])
            for flat in order[:limit]:
                index = tuple(int(i) for i in np.unravel_index(int(flat), added.shape))
                found.append((operands, index, float(added[index])))
        return sorted(found, key=lambda one: -float(sizes_of(one[2])))[:limit]

    @np.errstate(divide="ignore", over="ignore", invalid="ignore")
    def by_channel(self) -> list[tuple[int, float]]:
        """Return of a window over several channels each channel of the input and what it adds, the largest first."""
        if self.kind != "products" or self.operands[0].numbers.ndim < 2:
            return []
        operands = self.operands[0]
        sums = operands.contributions.reshape(len(operands.numbers), -1).sum(axis=1)
        channels = operands.channels
        order = np.argsort(-sizes_of(sums), kind="stable")
        return [(channels[i], float(sums[i])) for i in order]


# How a cell of one operation is worked out: the node, the numbers of its inputs, the cell; None for odd settings.
Way = Callable[[Node, NumberAt, Coordinates], Worked | None]


def sizes_of(added: Array | float) -> Array:
    """Return sizes to sort by: what is no number (nan) counts as much as an infinity."""
    sizes: Array = np.nan_to_num(np.abs(np.asarray(added, dtype=np.float64)), nan=np.inf, posinf=np.inf)
    return sizes


def scalar(value: float | np.floating[Any]) -> float:
    """Return a number as a Python float."""
    return float(value)


def one(value: int, array: Array, position: Coordinates, role: str = "") -> Operands:
    """Return a single number as operands."""
    return Operands(value, np.asarray(array[position]), tuple(np.asarray(p) for p in position), np.asarray(True),
                    role=role)  # fmt: skip


def ref(argument: Argument) -> int:
    """Return the value that an argument refers to; it must be a tensor."""
    assert isinstance(argument, Ref), "this argument is a tensor"
    return argument.value


def products_of(operands: Operands, bias: float | None, *, scale: float = 1.0) -> Worked:
    """Return a cell that is a sum of products, plus a bias where there is one."""
    total = scale * scalar(operands.contributions.sum())
    count = operands.numbers.size
    lines = [WorkedLine(f"sum of {count:,} product{'s' if count != 1 else ''}", total)]
    if bias is not None:
        lines.append(WorkedLine(f"+ bias {bias:.6g}", total + bias))
    return Worked("products", (operands,), tuple(lines))


def given(node: Node, number: float) -> Worked:
    """Return a cell of an operation that is not worked out here: torch's number, and nothing that it was made of."""
    return Worked("given", (), (WorkedLine(f"torch's {aten_name(node)}, which is not worked out here", number),))


def choice_of(operands: Operands, *, flat: int | None = None, which: str = "largest") -> Worked:
    """Return a cell that is one of its operands: the largest, or the `flat`-th number, which is in words `which`."""
    flat = int(np.argmax(operands.numbers)) if flat is None else flat
    index = tuple(int(i) for i in np.unravel_index(flat, operands.numbers.shape))
    place = ", ".join(map(str, operands.position(index)[2:]))
    line = WorkedLine(f"the {which} of {int(operands.inside.sum())}, at ({place})", scalar(operands.numbers[index]))
    return Worked("choice", (operands,), (line,), index, which)


def mean_of(operands: Operands, divisor: int) -> Worked:
    """Return a cell that is its operands' sum over a divisor."""
    total = scalar(operands.numbers.sum())
    lines = (WorkedLine(f"sum of {int(operands.inside.sum()):,}", total), WorkedLine(f"÷ {divisor:,}", total / divisor))
    return Worked("mean", (operands,), lines)
