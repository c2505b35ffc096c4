"""A network and one input, of which any number can be explained, one after the other, down to the input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from convscope.arrays import Array
from convscope.capture.capture import capture
from convscope.errors import CaptureError
from convscope.geometry.relation import ReachStatus
from convscope.graph.axes import ValueAxes
from convscope.graph.layer_axes import LayerAxes
from convscope.graph.layer_names import LayerNames
from convscope.graph.reach_walk import walk_back
from convscope.graph.records import Graph, Node
from convscope.interpret.cell_position import cell_position
from convscope.interpret.execution.torch_executor import TorchExecutor
from convscope.interpret.explanation.cell import worked
from convscope.interpret.explanation.input_box import PixelBox
from convscope.interpret.explanation.read_numbers import read_as_float64
from convscope.interpret.explanation.record import Explanation
from convscope.interpret.explanation.through import as_the_layer_reads, main_position
from convscope.interpret.explanation.worked import Coordinates, Worked, WorkedLine

# After these nothing new is read: they are shown below a cell, as what becomes of it.
_FOLLOWS = frozenset({"batch_norm", "relu", "hardtanh", "hardswish", "hardsigmoid", "gelu", "silu", "sigmoid", "tanh",
                      "leaky_relu", "elu", "mish", "softplus"})  # fmt: skip
FOLLOWING = 3


class Lens:
    """A network and one input, of which any cell can be explained.

    Args:
        model: any module; it is left exactly as found.
        inputs: the model's input tensors; the first sample of a batch is the one that is explained.
        name: what to call the model.
        pixels: the picture to draw boxes on, uint8 (H, W, C); None where the input is no picture.
        notes: remarks, such as that the weights are random.

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
        graph = capture(model, list(inputs), name=name)
        if graph.error is not None:
            raise CaptureError(f"{graph.name} does not run on this input: {graph.error}")
        self._begin(TorchExecutor(graph, model, inputs), LayerNames(graph), pixels, notes)

    @classmethod
    def on(
        cls, executor: TorchExecutor, names: LayerNames, *, pixels: Array | None = None, notes: Sequence[str] = ()
    ) -> Lens:
        """Return the lens on a run whose numbers are there already; other arguments as above."""
        found = cls.__new__(cls)
        found._begin(executor, names, pixels, notes)
        return found

    def _begin(self, executor: TorchExecutor, names: LayerNames, pixels: Array | None, notes: Sequence[str]) -> None:
        self.graph: Graph = executor.graph
        self.executor, self.names = executor, names
        self.pixels = pixels
        self.notes = tuple(notes)
        self._axes = LayerAxes(names)

    def numbers(self, value: int) -> Array:
        """Return a value's numbers as torch computed them; what is indexed of them is float64."""
        return read_as_float64(self.executor.tensor(value))

    def cell(self, layer: str, *, channel: int = 0, at: Sequence[int] = ()) -> Explanation:
        """Explain one number of a layer's output.

        Args:
            layer: a module's path, or the name of an operation in it; see `LayerNames`.
            channel: which feature map or unit.
            at: where on the map, one number per spatial axis (y, x); nothing for a fully connected layer.

        Raises:
            CaptureError: no such layer, or a complex number.
            GeometryError: a cell outside the map.
        """
        output = self.names.find(layer)
        label, axes = self.names.of_value(output), self.axes(output)
        return self.number(output, cell_position(self.graph.shape(output), channel, tuple(at), layer=label, axes=axes))

    @np.errstate(divide="ignore", over="ignore", invalid="ignore")  # log(0), inf − inf
    def number(self, value: int, position: Coordinates) -> Explanation:
        """Explain one number of a value; one of a layer's output by the layer's computation, on what the layer reads.

        Raises:
            CaptureError: a complex number, or a value that no operation makes.
        """
        producer = self.graph.values[value].producer
        if producer is None:
            raise CaptureError(f"{self.graph.values[value].name} is given: no operation makes it")
        if 0 in self.numbers(value).shape:
            raise CaptureError(f"{self.names.of_value(value)} gives no numbers: there is none to explain")
        node = self.graph.nodes[producer]
        layer = self.names.layer_of(node)
        if layer is not None and layer.whole and layer.output == value and not layer.composite:
            inner = main_position(self.graph, layer, position)
            if inner is not None:
                done = worked(self.graph, layer.main, self.numbers, inner)
                done = as_the_layer_reads(self.graph, layer, done)
                return self._explanation(layer.main, value, position, done)
        return self.at(node, position, which=node.outputs.index(value))

    @np.errstate(divide="ignore", over="ignore", invalid="ignore")
    def at(self, node: Node, position: Coordinates, *, which: int = 0) -> Explanation:
        """Explain one number of a node's output, the `which`-th, by this operation alone."""
        done = worked(self.graph, node, self.numbers, position, which=which)
        return self._explanation(node, node.outputs[which], position, done)

    def _explanation(self, node: Node, value: int, position: Coordinates, done: Worked) -> Explanation:
        return Explanation(
            lens=self,
            node=node,
            output=value,
            layer=self.names.of_value(value),
            position=position,
            shape=self.graph.shape(value),
            worked=done,
            torch_value=float(self.numbers(value)[position]),
            following=tuple(self._following(value, position)),
        )

    def _following(self, value: int, position: Coordinates) -> list[WorkedLine]:
        lines: list[WorkedLine] = []
        while len(lines) < FOLLOWING:
            readers = self.graph.consumers.get(value, ())
            if len(readers) != 1 or self.graph.nodes[readers[0]].op not in _FOLLOWS:
                break
            node = self.graph.nodes[readers[0]]
            value = node.outputs[0]
            label = self.names.of_node(node)
            text = label if node.op in label else f"{label} ({node.op})"
            lines.append(WorkedLine(text, float(self.numbers(value)[position])))
        return lines

    def axes(self, value: int) -> ValueAxes:
        """Return what the axes of a value are."""
        return self._axes.of(value)

    def box(self, value: int, position: Coordinates) -> PixelBox | None:
        """Return the box of the input that a cell of a value depends on."""
        if not self.graph.inputs:
            return None
        source = self.graph.inputs[0]
        walk, axes = walk_back(self.graph, value, position), self.axes(source)
        mask = walk.mask(source)
        if not axes.positions or not mask.any():
            return None
        where = [
            np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis))) for axis in range(mask.ndim)
        ]
        first, last = tuple(int(w[0]) for w in where), tuple(int(w[-1]) for w in where)
        inside = mask[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))]
        status = walk.status(source)
        known = "exact" if status is ReachStatus.EXACT else status.label
        return PixelBox(first, last, float(inside.mean()), known, axes.shown)
