"""The explained cell as a record, and the network under the lens that makes it, cell after cell, down to the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from convscope.capture.capture import capture
from convscope.errors import CaptureError, GeometryError
from convscope.geometry.relation import Status
from convscope.graph.field import walk_back
from convscope.graph.records import Graph, Node
from convscope.look.explanation.address import Addresses, cell_position
from convscope.look.explanation.cell import worked
from convscope.look.explanation.worked import Array, Line, Operands, Position, Worked
from convscope.look.replay.interpret import aten_name
from convscope.look.replay.numbers import Replay

# After these nothing new is read: they are shown below a cell, as what becomes of it.
_FOLLOWS = frozenset({"batch_norm", "relu", "hardtanh", "hardswish", "hardsigmoid", "gelu", "silu", "sigmoid", "tanh",
                      "leaky_relu", "elu", "mish", "softplus"})  # fmt: skip
FOLLOWING = 3
LISTED = 8


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
    position: Position
    number: float
    weight: float | None
    contribution: float


@dataclass(frozen=True)
class Box:
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


class Lens:
    """A network and one input, of which any cell can be explained.

    Args:
        model: any module; it is left exactly as found.
        inputs: the model's input tensors; the first sample of a batch is the one that is explained.
        name: what to call the model.
        pixels: the picture to draw boxes on, uint8 (H, W, C); None where the input is no picture.
        notes: what a reader should know, such as that the weights are random.

    Raises:
        CaptureError: the model does not run on these inputs.

    >>> lens = Lens(nn.Conv2d(1, 2, 3), [torch.ones(1, 1, 5, 5)])
    >>> lens.cell("convolution", channel=1, at=(0, 0)).box.sizes
    (3, 3)
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Sequence[torch.Tensor],
        *,
        name: str = "",
        pixels: Array | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.graph: Graph = capture(model, list(inputs), name=name)
        if self.graph.error is not None:
            raise CaptureError(f"{self.graph.name} does not run on this input: {self.graph.error}")
        self.replay = Replay(self.graph, model, inputs)
        self.addresses = Addresses(self.graph)
        self.pixels = pixels
        self.notes = tuple(notes)
        self._arrays: dict[int, Array] = {}

    def numbers(self, value: int) -> Array:
        """A value's numbers as torch computed them, as float64."""
        if value not in self._arrays:
            self._arrays[value] = self.replay.array(value)
        return self._arrays[value]

    def cell(self, layer: str, *, channel: int = 0, at: Sequence[int] = ()) -> Explanation:
        """Explain one number of a layer's output.

        Args:
            layer: a module's path, or the name of an operation in it; see `Addresses`.
            channel: which feature map or unit.
            at: where on the map, one number per spatial axis (y, x); nothing for a fully connected layer.

        Raises:
            CaptureError: no such layer, or an operation that can't be explained.
            GeometryError: a cell outside the map.
        """
        node = self.addresses.find(layer)
        position = cell_position(
            self.graph.shape(node.outputs[0]), channel, tuple(at), layer=self.addresses.label(node)
        )
        return self.at(node, position)

    def at(self, node: Node, position: Position) -> Explanation:
        """Explain one number of a node's output."""
        # An operation with several outputs (a split) is explained by its first; the others are moves as well.
        done = worked(self.graph, node, self.numbers, position)
        return Explanation(
            lens=self,
            node=node,
            layer=self.addresses.label(node),
            position=position,
            shape=self.graph.shape(node.outputs[0]),
            worked=done,
            torch_value=float(self.numbers(node.outputs[0])[position]),
            following=tuple(self._following(node, position)),
        )

    def _following(self, node: Node, position: Position) -> list[Line]:
        lines: list[Line] = []
        while len(lines) < FOLLOWING:
            readers = self.graph.consumers.get(node.outputs[0], ())
            if len(readers) != 1 or self.graph.nodes[readers[0]].op not in _FOLLOWS:
                break
            node = self.graph.nodes[readers[0]]
            label = self.addresses.label(node)
            text = label if node.op in label else f"{label} ({node.op})"
            lines.append(Line(text, float(self.numbers(node.outputs[0])[position])))
        return lines

    def box(self, value: int, position: Position) -> Box | None:
        """Where in the input a cell of a value came from."""
        if not self.graph.inputs:
            return None
        source = self.graph.inputs[0]
        walk = walk_back(self.graph, value, position)
        mask = walk.mask(source)
        if len(self.graph.shape(source)) < 3 or not mask.any():
            return None
        where = [
            np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis))) for axis in range(mask.ndim)
        ]
        first, last = tuple(int(w[0]) for w in where), tuple(int(w[-1]) for w in where)
        inside = mask[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))]
        status = walk.status(source)
        return Box(first, last, float(inside.mean()), "exact" if status is Status.EXACT else status.label)


@dataclass(frozen=True, eq=False)
class Explanation:
    """One number of a network, explained.

    Args:
        lens: the network and the input.
        node: the operation that made it.
        layer: the operation's name.
        position: the cell, batch included.
        shape: the shape of the layer's output.
        worked: operands and steps.
        torch_value: what torch computed.
        following: what becomes of the number in the activations right after.
    """

    lens: Lens = field(repr=False)
    node: Node = field(repr=False)
    layer: str
    position: Position
    shape: tuple[int, ...]
    worked: Worked = field(repr=False)
    torch_value: float
    following: tuple[Line, ...]

    @cached_property
    def box(self) -> Box | None:
        """Where in the input it came from; None where it depends on no pixel."""
        return self.lens.box(self.node.outputs[0], self.position)

    @property
    def value(self) -> float:
        """The number as we compute it, in float64 from torch's inputs."""
        return self.worked.value

    @property
    def difference(self) -> float:
        """Ours less torch's."""
        return self.value - self.torch_value

    @property
    def kind(self) -> str:
        """How it was made: products, choice, mean, sum, chain, softmax or move."""
        return self.worked.kind

    def label_of(self, operands: Operands) -> str:
        """What made these operands."""
        return self.lens.addresses.of_value(operands.value)

    def contributors(self, limit: int | None = LISTED) -> list[Contributor]:
        """The numbers that it was made of, by the size of what they add; padding is left out.

        Of a choice only the winner, of a softmax the cell's own score first.
        """
        found: list[Contributor] = []
        for operands in self.worked.operands:
            added = operands.contributions
            inside = np.broadcast_to(operands.inside, added.shape)
            order = np.argsort(np.where(inside, -np.abs(added), np.inf), axis=None, kind="stable")[: inside.sum()]
            if self.worked.winner is not None:
                order = np.asarray([np.ravel_multi_index(self.worked.winner, added.shape)])
            for flat in order[:limit]:
                index = tuple(int(i) for i in np.unravel_index(int(flat), added.shape))
                weight = None if operands.weights is None else float(operands.weights[index])
                found.append(
                    Contributor(self.label_of(operands), operands.value, operands.position(index),
                                float(operands.numbers[index]), weight, float(added[index]))
                )  # fmt: skip
        return sorted(found, key=lambda one: -abs(one.contribution))[:limit]

    def by_channel(self) -> list[tuple[int, float]]:
        """For a window over several channels: each channel of the input and what it adds, the largest first."""
        operands = self.worked.operands[0]
        if operands.numbers.ndim < 2 or self.kind != "products":
            return []
        sums = operands.contributions.reshape(len(operands.numbers), -1).sum(axis=1)
        channels = np.asarray(operands.positions[-operands.numbers.ndim]).reshape(-1)
        order = np.argsort(-np.abs(sums), kind="stable")
        return [(int(channels[i]), float(sums[i])) for i in order]

    def down(self, which: int = 0) -> Explanation | None:
        """Explain the `which`-th largest contributor in turn; None where it is a pixel or a parameter.

        Raises:
            GeometryError: there are fewer contributors.
        """
        found = self.contributors(which + 1)
        if which >= len(found):
            raise GeometryError(f"{self.layer} has {len(found)} contributors here: {which} is none of them")
        producer = self.lens.graph.values[found[which].value].producer
        return None if producer is None else self.lens.at(self.lens.graph.nodes[producer], found[which].position)

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
        from convscope.look.explanation.text import explanation_text

        return explanation_text(self)

    def _repr_html_(self) -> str:
        from convscope.look.explanation.page import explanation_blocks
        from convscope.report.html import fragment

        return fragment(*explanation_blocks(self))


def spoken_operation(node: Node) -> str:
    """An operation in words, with its window."""
    name = node.op.replace("_", " ")
    if node.windows:
        kernels = "×".join(str(w.kernel_size) for w in node.windows)
        details = [kernels, *(f"stride {w.stride}" for w in node.windows[:1] if w.stride > 1),
                   *(f"dilation {w.dilation}" for w in node.windows[:1] if w.dilation > 1),
                   *(f"groups {node.groups}" for _ in range(1) if node.groups > 1)]  # fmt: skip
        return f"{name} {', '.join(details)}"
    return name if name else aten_name(node)
