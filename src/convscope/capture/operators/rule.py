"""Records of one operator call: what the rules are given, and what they return.

A rule sees a `Call` (shapes and settings, no torch objects) and returns an `OperatorRule`: the operation's name, how
its outputs depend on its tensors, and what it costs. Rules are pure, so what they return is cached by shapes
and settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from convscope.geometry.relation import ReachStatus, RelationStep
from convscope.geometry.window import Window


@dataclass(frozen=True, slots=True)
class Operand:
    """One tensor that a call reads: its place among the call's tensors, its shape, its element type."""

    slot: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """Output number `output` depends on tensor number `source` by these steps; empty is the identity."""

    source: int
    output: int = 0
    steps: tuple[RelationStep, ...] = ()
    status: ReachStatus = ReachStatus.EXACT


@dataclass(frozen=True, slots=True, eq=False)
class OperatorRule:
    """What is known about a call; `flows` and `macs` are None where nothing is known."""

    op: str
    flows: tuple[Flow, ...] | None
    macs: int | None = 0
    formula: str = ""
    windows: tuple[Window, ...] = ()
    groups: int = 1


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operator.

    Args:
        op: the operator's base name, in-place underscore and overload left out: "relu", "convolution".
        overload: the overload's name: "default", "Tensor".
        arguments: every argument by its schema's name, defaults included; tensors as `Operand`.
        operands: the tensors in the order of the schema.
        outputs: shapes of the tensors made, in order.
        pointwise: torch itself tags the operator as elementwise.
        values: the numbers in a tensor, when they are known before the network runs.
        in_order: whether the first tensor's elements lie in order from the start of its memory.
    """

    op: str
    overload: str
    arguments: Mapping[str, Any]
    operands: tuple[Operand, ...]
    outputs: tuple[tuple[int, ...], ...]
    pointwise: bool = False
    values: Callable[[Operand], npt.NDArray[np.generic] | None] = field(default=lambda _: None)
    in_order: bool = True

    def operand(self, name: str) -> Operand:
        """Return the tensor argument of this name."""
        operand = self.arguments[name]
        assert isinstance(operand, Operand), f"{self.op}: {name} is not a tensor"
        return operand

    @property
    def first(self) -> Operand:
        """The first tensor."""
        return self.operands[0]

    def axis(self, name: str = "dim", rank: int | None = None) -> int:
        """Return an axis argument, counted from the front."""
        return axis_of(self.arguments[name], self.first.rank if rank is None else rank)


def axis_of(axis: int, rank: int) -> int:
    """Return an axis counted from the front: -1 of 4 axes is 3."""
    return axis % rank if rank else 0


Rule = Callable[[Call], OperatorRule]
