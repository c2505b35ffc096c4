"""The explained cell as a record: what it was made of, step by step, and where in the input that lies."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.errors import GeometryError
from convscope.graph.records import Node
from convscope.graph.summary import own_windows
from convscope.interpret.execution.numpy_executor import aten_name
from convscope.interpret.explanation.worked import Array, Coordinates, Operands, Worked, WorkedLine
from convscope.report import units

if TYPE_CHECKING:
    from convscope.interpret.explanation.lens import Lens

LISTED = 8


def _sizes(added: Array | float) -> Array:
    """Sizes to sort by: what is no number (nan) counts as much as an infinity."""
    sizes: Array = np.nan_to_num(np.abs(np.asarray(added)), nan=np.inf, posinf=np.inf)
    return sizes


@dataclass(frozen=True)
class Contributor:
    """One number that a cell was made of.

    Args:
        label: the layer that made it, or the input.
        value: the graph's value that holds it.
        position: where in that value, batch included.
        number: the number.
        weight: what it is multiplied by; None where it is not.
        contribution: what it adds to the cell.
    """

    label: str
    value: int
    position: Coordinates
    number: float
    weight: float | None
    contribution: float


@dataclass(frozen=True)
class PixelBox:
    """Where in the input a cell came from: first and last pixel per spatial axis, and the share of the box it reads.

    Args:
        first: per axis.
        last: per axis, inclusive.
        filled: pixels that are read over pixels of the box; less than 1 where the field has holes.
        status: "exact", or why it is a bound only.
    """

    first: tuple[int, ...]
    last: tuple[int, ...]
    filled: float
    status: str

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels per axis."""
        return tuple(b - a + 1 for a, b in zip(self.first, self.last, strict=True))


@dataclass(frozen=True, eq=False)
class Explanation:
    """One number of a network, explained.

    Args:
        lens: the network and the input.
        node: the operation that computed it.
        output: the value that holds it, as an index into the graph's values.
        layer: the layer's name, or the operation's.
        position: the cell in that value, batch included.
        shape: the shape of the layer's output.
        worked: operands and steps.
        torch_value: what torch computed.
        following: what becomes of the number in the activations right after.
    """

    lens: Lens = field(repr=False)
    node: Node = field(repr=False)
    output: int = field(repr=False)
    layer: str
    position: Coordinates
    shape: tuple[int, ...]
    worked: Worked = field(repr=False)
    torch_value: float
    following: tuple[WorkedLine, ...]

    @cached_property
    def box(self) -> PixelBox | None:
        """Where in the input it came from; None where it depends on no pixel."""
        return self.lens.box(self.output, self.position)

    @property
    def value(self) -> float:
        """The number as we compute it, in float64 from torch's inputs."""
        return self.worked.value

    @property
    def difference(self) -> float:
        """Ours less torch's; 0 where both are the same infinity or no number."""
        same = self.value == self.torch_value or (math.isnan(self.value) and math.isnan(self.torch_value))
        return 0.0 if same else self.value - self.torch_value

    @property
    def kind(self) -> str:
        """How it was made: products, choice, mean, sum, chain, softmax or move."""
        return self.worked.kind

    @property
    def operation(self) -> str:
        """The operation in words, with its window along the axes of the layer: "max pool 3×3, stride 2"."""
        layer = self.lens.names.layer_of(self.node)
        single = layer is not None and layer.main is self.node and not layer.composite
        name = (layer.op if layer is not None and single else self.node.op).replace("_", " ") or aten_name(self.node)
        windows = own_windows(self.node.windows, len(self.shape) - 2)
        if not windows:
            return name
        details = [units.shape([window.kernel_size for window in windows])]
        for word, sizes in (("stride", [w.stride for w in windows]), ("dilation", [w.dilation for w in windows])):
            details += [f"{word} {units.per_axis(sizes)}"] if max(sizes) > 1 else []
        details += [f"groups {self.node.groups}"] if self.node.groups > 1 else []
        return f"{name} {', '.join(details)}"

    def label_of(self, operands: Operands) -> str:
        """What made these operands."""
        return self.lens.names.of_value(operands.value)

    def contributors(self, limit: int | None = LISTED) -> list[Contributor]:
        """The numbers that it was made of, by the size of what they add; padding is left out.

        Of a choice only the winner, of a softmax the cell's own score first.
        """
        found: list[Contributor] = []
        for operands in self.worked.operands:
            added = operands.contributions
            inside = np.broadcast_to(operands.inside, added.shape)
            order = np.argsort(np.where(inside, -_sizes(added), 1.0), axis=None, kind="stable")[: inside.sum()]
            if self.worked.winner is not None:
                order = np.asarray([np.ravel_multi_index(self.worked.winner, added.shape)])
            for flat in order[:limit]:
                index = tuple(int(i) for i in np.unravel_index(int(flat), added.shape))
                weight = None if operands.weights is None else float(operands.weights[index])
                found.append(
                    Contributor(self.label_of(operands), operands.value, operands.position(index),
                                float(operands.numbers[index]), weight, float(added[index]))
                )  # fmt: skip
        return sorted(found, key=lambda one: -float(_sizes(one.contribution)))[:limit]

    @np.errstate(divide="ignore", over="ignore", invalid="ignore")
    def by_channel(self) -> list[tuple[int, float]]:
        """For a window over several channels: each channel of the input and what it adds, the largest first."""
        if self.kind != "products" or self.worked.operands[0].numbers.ndim < 2:
            return []
        operands = self.worked.operands[0]
        sums = operands.contributions.reshape(len(operands.numbers), -1).sum(axis=1)
        channels = operands.channels
        order = np.argsort(-_sizes(sums), kind="stable")
        return [(channels[i], float(sums[i])) for i in order]

    def down(self, which: int = 0) -> Explanation | None:
        """Explain the `which`-th largest contributor in turn; None where it is a pixel or a parameter.

        Raises:
            GeometryError: there are fewer contributors.
        """
        found = self.contributors(which + 1)
        if which >= len(found):
            raise GeometryError(
                f"{self.layer} has {units.plural(len(found), 'contributor')} here: {which} is none of them"
            )
        if self.lens.graph.values[found[which].value].producer is None:
            return None
        return self.lens.number(found[which].value, found[which].position)

    def to_pixels(self, limit: int | None = None) -> list[Explanation]:
        """This cell, its largest contributor, that one's, and so on down to a pixel (or `limit` steps)."""
        chain: list[Explanation] = [self]
        while (limit is None or len(chain) <= limit) and chain[-1].contributors(1):
            deeper = chain[-1].down()
            if deeper is None:
                break
            chain.append(deeper)
        return chain

    def to_dict(self) -> dict[str, Any]:
        """The explanation as JSON can hold it."""
        return {
            "model": self.lens.graph.name,
            "layer": self.layer,
            "operation": self.node.op,
            "position": list(self.position),
            "shape": list(self.shape),
            "kind": self.kind,
            "value": self.value,
            "torch": self.torch_value,
            "difference": self.difference,
            "operands": [self._operands(operands) for operands in self.worked.operands],
            "steps": [{"text": line.text, "number": line.number} for line in self.worked.lines],
            "winner": None if self.worked.winner is None else list(self.worked.winner),
            "channels": [{"channel": channel, "adds": added} for channel, added in self.by_channel()],
            "following": [{"text": line.text, "number": line.number} for line in self.following],
            "box": None
            if self.box is None
            else {
                "first": list(self.box.first),
                "last": list(self.box.last),
                "filled": self.box.filled,
                "status": self.box.status,
            },
            "notes": list(self.lens.notes),
        }

    def _operands(self, operands: Operands) -> dict[str, Any]:
        inside = np.broadcast_to(operands.inside, operands.numbers.shape)
        return {
            "from": self.label_of(operands),
            "role": operands.role,
            "numbers": np.where(inside, operands.numbers, 0.0).tolist(),
            "weights": None if operands.weights is None else operands.weights.tolist(),
            "inside": inside.tolist(),
            "positions": [np.broadcast_to(axis, operands.numbers.shape).tolist() for axis in operands.positions],
        }

    def __str__(self) -> str:
        from convscope.interpret.explanation.text import explanation_text

        return explanation_text(self)

    def _repr_html_(self) -> str:
        from convscope.interpret.explanation.page import explanation_blocks
        from convscope.report.html import fragment

        return fragment(*explanation_blocks(self))
