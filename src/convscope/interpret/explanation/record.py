"""The explained cell as a record: what it was made of, step by step, and where in the input that lies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from convscope.api.annotations import NotNegative
from convscope.api.public import public
from convscope.arrays import Array
from convscope.errors import GeometryError
from convscope.graph.axes import ValueAxes
from convscope.graph.layer_names import LayerNames
from convscope.graph.records import Graph, Node
from convscope.graph.summary import own_windows
from convscope.interpret.execution.numpy_executor import aten_name
from convscope.interpret.explanation.input_box import PixelBox, input_drawing
from convscope.interpret.explanation.patch_text import ink, signed
from convscope.interpret.explanation.worked import Coordinates, Operands, Worked, WorkedLine
from convscope.interpret.explanation.worked_blocks import LISTED, place, steps_table, worked_blocks
from convscope.report import units
from convscope.report.charts import bar_chart
from convscope.report.document import Block, Callout, Details, Document, Fact, Facts, Figure, Paragraph, Section
from convscope.report.documented import Pictured
from convscope.report.html import document_page
from convscope.report.json_values import json_dict
from convscope.report.short_repr import ShortRepr
from convscope.report.svg import Drawing, below
from convscope.report.table import Column, Table

DOWN = 6  # steps down that a page shows unless more are asked for


class ExplainedNetwork(Protocol):
    """A network and one input, of which any number can be explained: what an explanation needs of a `Lens`."""

    graph: Graph
    names: LayerNames
    pixels: Array | None
    notes: tuple[str, ...]

    def numbers(self, value: int) -> Array:
        """Return a value's numbers as torch computed them, as float64."""

    def number(self, value: int, position: Coordinates) -> Explanation:
        """Return the explanation of one number of a value."""

    def box(self, value: int, position: Coordinates) -> PixelBox | None:
        """Return where in the input a cell of a value came from."""

    def axes(self, value: int) -> ValueAxes:
        """Return what the axes of a value are."""


@dataclass(frozen=True, repr=False)
class Contributor(ShortRepr):
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


@dataclass(frozen=True, eq=False, repr=False)
class Explanation(Pictured):
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

    lens: ExplainedNetwork
    node: Node
    output: int
    layer: str
    position: Coordinates
    shape: tuple[int, ...]
    worked: Worked
    torch_value: float
    following: tuple[WorkedLine, ...]

    def place(self, value: int, position: Coordinates) -> str:
        """Return a position of a value in words."""
        return place(position, self.lens.axes(value))

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
        """How it was made: products, choice, mean, sum, chain, softmax, move, or given (not worked out)."""
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
        """Return the operation that made these operands."""
        return self.lens.names.of_value(operands.value)

    @public
    def contributors(self, limit: NotNegative | None = LISTED) -> list[Contributor]:
        """Return the numbers that it was made of, by the size of what they add; padding is left out.

        Of a choice only the winner, of a softmax the cell's own score first.
        """
        return [
            Contributor(
                self.label_of(operands),
                operands.value,
                operands.position(index),
                float(operands.numbers[index]),
                None if operands.weights is None else float(operands.weights[index]),
                added,
            )
            for operands, index, added in self.worked.largest(limit)
        ]

    def by_channel(self) -> list[tuple[int, float]]:
        """Return of a window over several channels each channel of the input and what it adds, the largest first."""
        return self.worked.by_channel()

    @public
    def down(self, which: NotNegative = 0) -> Explanation | None:
        """Explain the `which`-th largest contributor in turn.

        Returns None where that is a pixel or a parameter, and for a cell that is not worked out, or of padding alone.

        Raises:
            GeometryError: there are fewer contributors.
        """
        found = self.contributors(which + 1)
        if not found:
            return None
        if which >= len(found):
            raise GeometryError(
                f"{self.layer} has {units.plural(len(found), 'contributor')} here: {which} is none of them"
            )
        if self.lens.graph.values[found[which].value].producer is None:
            return None
        return self.lens.number(found[which].value, found[which].position)

    @public
    def to_pixels(self, limit: NotNegative | None = None) -> list[Explanation]:
        """Return this cell, its largest contributor, that one's, and so on down to a pixel (or `limit` steps)."""
        chain: list[Explanation] = [self]
        while (limit is None or len(chain) <= limit) and chain[-1].contributors(1):
            deeper = chain[-1].down()
            if deeper is None:
                break
            chain.append(deeper)
        return chain

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as JSON's types; a number that is none is "nan", "inf" or "-inf".

        Keys:
            model: the name.
            layer: the layer that holds the number.
            operation: what made it.
            position: of the number in the layer's output, batch included.
            shape: of that output.
            kind: how it was made: products, choice, mean, sum, chain, softmax, move, or given (not worked out).
            value: the number as computed here, in float64.
            torch: the number as torch computed it.
            difference: the one less the other.
            operands: the numbers that it was made of, their weights and their positions.
            steps: the arithmetic from there, a text and a number each.
            winner: of a choice, which operand; else None.
            channels: what each channel of the input adds.
            following: what becomes of the number in the activations right after.
            box: where in the input it came from: first, last, filled, status; None where it depends on no pixel.
            notes: remarks.
        """
        return json_dict(
            {
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
        )

    def headline(self) -> str:
        """Return the layer, the position, the number and how it was made."""
        where = f"{self.layer} of {self.lens.graph.name}, {self.place(self.output, self.position)}"
        return f"{where}: {ink(self.torch_value)} by {self.operation}"

    @np.errstate(divide="ignore", over="ignore", invalid="ignore")
    def figure(self) -> Drawing:
        """Draw where in the input the number came from, and how it was made of what the layer reads."""
        drawn = [block.drawing for block in self._worked_blocks() if isinstance(block, Figure)]
        source = self._input_drawing()
        drawings = [*([source] if source else []), *(drawn or [self._contributions()])]
        return below(*drawings, title=f"{self.layer}, {self.place(self.output, self.position)}")

    def _input_drawing(self) -> Drawing | None:
        if self.box is None:
            return None
        source = self.lens.graph.inputs[0]
        return input_drawing(self.box, self.lens.axes(source).one_sample(self.lens.numbers(source)), self.lens.pixels)

    def _contributions(self) -> Drawing:
        """Draw the largest contributions as bars, by their size."""
        found = [
            (f"{one.label} {self.place(one.value, one.position)}", one.contribution) for one in self.contributors()
        ]
        finite = [(name, added) for name, added in found if math.isfinite(added)]
        return bar_chart(
            [(name, abs(added)) for name, added in finite],
            title="The largest contributions",
            labels=[signed(added) for _, added in finite],
            colours=["blue" if added >= 0 else "orange" for _, added in finite],
        )

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

    @np.errstate(divide="ignore", over="ignore", invalid="ignore")
    def document(self, depth: int | None = 0) -> Document:
        """Return what is shown: the cell, its box, how it was made, and below it, `depth` times (None: to a pixel), its
        largest contributor in turn.
        """
        lens, graph = self.lens, self.lens.graph
        blocks: list[Block] = [Facts(tuple(self._facts())), *(Callout("note", note) for note in lens.notes)]
        drawn = self._input_drawing()
        blocks += [Figure(drawn, f"Made from {self.box}.")] if drawn else []
        blocks.append(Section("Worked out", tuple(self._worked_blocks())))
        deeper = [*self._next_cells(), *_way_down(self.to_pixels(depth)[1:])]
        if deeper:
            blocks.append(Section("Further down", tuple(deeper)))
        return Document(
            f"{graph.name} · {self.layer} · {self.operation}",
            tuple(blocks),
            lead=f"Where the number {ink(self.torch_value)} comes from. "
            "Every figure is computed from the network's own weights and this input.",
            footer="Made by convscope. Numbers are computed in float64 from torch's inputs.",
        )

    def to_html(self, *, depth: int | None = DOWN) -> str:
        """Return a page, with the largest contributor explained in turn, `depth` times (None: to a pixel)."""
        return document_page(self.document(depth))

    def _facts(self) -> Iterator[Fact]:
        where = self.place(self.output, self.position)
        yield Fact("cell", where, list(self.position), f"{where}, of {units.shape(self.shape[1:])}")
        if self.box is not None:
            yield Fact("made from", units.shape(self.box.sizes), list(self.box.sizes), str(self.box))
        yield Fact("value", ink(self.torch_value), self.torch_value)
        difference = f"{self.difference:.0e}".replace("-", "−")
        yield Fact("difference", difference, self.difference, f"{difference} from torch's number")

    def _worked_blocks(self) -> list[Block]:
        return [
            *worked_blocks(self.worked, self.label_of, self.place),
            steps_table(self.worked, self.torch_value, self.following),
        ]

    def _next_cells(self) -> Iterator[Table]:
        """Return the cells to explain next: those that contributed the most."""
        found = [(one, self.lens.axes(one.value)) for one in self.contributors(3)]
        rows = [
            (one.label, str(axes.channel(one.position)), ",".join(map(str, axes.cell(one.position))),
             signed(one.contribution))
            for one, axes in found
            # The input is made by no operation, and one number for the whole network has no channel to ask for.
            if self.lens.graph.values[one.value].producer is not None and axes.channels is not None
        ]  # fmt: skip
        if rows:
            columns = (Column("layer"), Column("channel", numeric=True), Column("at"), Column("adds", numeric=True))
            yield Table.of(columns, rows)


def _way_down(chain: list[Explanation]) -> list[Block]:
    """Return the largest contributor of each cell, one inside the other."""
    inner: tuple[Block, ...] = ()
    for one in reversed(chain):
        summary = f"{one.layer} · {one.place(one.output, one.position)} = {ink(one.torch_value)} · {one.operation}"
        inner = (Details(summary, (*one._worked_blocks(), *_reached(one), *inner)),)
    text = "The number that counted most, explained in turn; open one after the other to go down."
    return [Paragraph(text), *inner] if inner else []


def _reached(explanation: Explanation) -> Iterator[Paragraph]:
    """Return the sentence that a cell was computed from the input itself."""
    for one in explanation.contributors(1):
        if explanation.lens.graph.values[one.value].producer is None:
            where = explanation.place(one.value, one.position)
            reached = "the pixels are" if explanation.lens.pixels is not None else "the input is"
            yield Paragraph(f"Here {reached} reached: {one.label} {where} is {ink(one.number)}.")
