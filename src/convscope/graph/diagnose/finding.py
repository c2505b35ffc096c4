"""What a check finds, and what it is given to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from convscope.geometry.window import Window
from convscope.graph.axes import FRAMES, input_axes
from convscope.graph.layer_names import LayerNames
from convscope.graph.propagate import Source
from convscope.graph.receptive_field import ReceptiveField
from convscope.graph.records import Argument, Graph, Node, ParameterRecord, Ref, reached_values
from convscope.graph.summary import Layer, own_windows
from convscope.report.short_repr import ShortRepr

FindingSeverity = Literal["warning", "note"]
FindingKind = Literal[
    "never-read", "dead-taps", "even-same", "stride-over-kernel", "aliasing", "beyond-image", "small-field", "gridding",
    "far-below-image", "shrinking", "bias-before-norm", "saturating", "heavy-linear", "dead-branch",
    "unused-parameters", "unregistered-parameters",
]  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False)
class DesignWarning(ShortRepr):
    """One finding.

    Args:
        layer: name of the layer, as in the table; a module's path for parameters that are never used.
        kind: what kind of finding; each has its section in the documentation.
        severity: "warning" for what costs accuracy or work in any setting, "note" for what is worth knowing.
        message: what is the matter, in one sentence that names the layer.
        evidence: the figures behind it.
        remedy: what to do about it.
    """

    layer: str
    kind: FindingKind
    severity: FindingSeverity
    message: str
    evidence: str
    remedy: str


@dataclass(frozen=True, eq=False)
class DiagnosedNetwork:
    """A network with everything that was computed about it.

    Args:
        graph: the network.
        layers: its layers.
        fields: receptive fields by value, as `receptive_field.summarise_all` gives them.
        object_size: pixels of what is to be recognised, if given.
    """

    graph: Graph
    layers: Sequence[Layer]
    fields: Sequence[Mapping[Source, ReceptiveField]]
    object_size: int | None = None

    @cached_property
    def layer_of(self) -> dict[int, Layer]:
        """Node -> the layer that it is part of."""
        return {node: layer for layer in self.layers for node in layer.nodes}

    def name(self, node: Node) -> str:
        """Return the name of a node's layer, or its own where it is in none."""
        layer = self.layer_of.get(node.index)
        return layer.name if layer else LayerNames(self.graph).of_node(node)

    @cached_property
    def reached(self) -> list[bool]:
        """By value: whether it depends on the input."""
        return reached_values(self.graph)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The operations on the input, in order; what only prepares weights is left out."""
        return tuple(n for n in self.graph.nodes if any(self.reached[v] for v in n.inputs))

    def windows(self, node: Node) -> tuple[Window, ...]:
        """Return the node's windows along the axes that its layer has."""
        layer = self.layer_of.get(node.index)
        return node.windows if layer is None else own_windows(node.windows, len(layer.output_shape) - 2)

    def source(self, node: Node) -> int:
        """Return the first activation that an operation reads."""
        return next(v for v in node.inputs if self.reached[v])

    @cached_property
    def parameters(self) -> dict[str, ParameterRecord]:
        """Parameters and buffers by each of their names."""
        return {name: record for record in self.graph.parameters for name in record.names}

    def weight(self, node: Node, argument: str) -> ParameterRecord | None:
        """Return the parameter or buffer that a node is given directly as this argument."""
        reference: Argument = node.arguments.get(argument)
        if not isinstance(reference, Ref):
            return None
        return self.parameters.get(self.graph.values[reference.value].name)

    def spatial(self, value: int) -> tuple[int, ...]:
        """Return the spatial sizes of an input, and of a (N, C, ...) value; empty for others."""
        shape = self.graph.shape(value)
        return tuple(shape[axis] for axis in self.positions[value]) if value in self.positions else shape[2:]

    @cached_property
    def positions(self) -> dict[int, tuple[int, ...]]:
        """The axes of positions of each input, frames left out."""
        axes = {value: input_axes(self.graph, value) for value in self.graph.inputs}
        return {v: tuple(a for a in one.positions if one.names[a] != FRAMES) for v, one in axes.items()}


def share(part: int, whole: int) -> str:
    """Return a share as a rounded percentage."""
    percentage = 100 * part / whole if whole else 0.0
    return f"{percentage:.0f} %" if percentage >= 10 else f"{percentage:.1f} %"


def by(sizes: Sequence[int]) -> str:
    """Return the sizes as the field writes them: "7×7"."""
    return "×".join(map(str, sizes))
