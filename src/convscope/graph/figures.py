"""A network in a few figures, what differs between two of them, and the MACs of a training step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from convscope.graph.axes import batch_of
from convscope.graph.diagnose.finding import DesignWarning
from convscope.graph.network_field import NetworkField
from convscope.graph.records import Graph, Node, Ref
from convscope.graph.summary import Layer
from convscope.graph.vocabulary import CONVOLUTIONS
from convscope.report.short_repr import ShortRepr

_WEIGHTED = CONVOLUTIONS | {"linear"}


@dataclass(frozen=True, slots=True, repr=False)
class Figures(ShortRepr):
    """What a network is in numbers, costs for one sample.

    Args:
        name: of the network.
        input_shape: of one sample of its first input.
        parameters: elements of all parameters, shared ones once.
        parameter_bytes: bytes of them.
        macs: multiply-adds, of everything that can be counted.
        uncounted: layers whose MACs are not known.
        activation_bytes: bytes of all layers' outputs.
        layers: rows of its table.
        depth: convolutions and fully connected layers on the longest path.
        field: the network's receptive field in pixels per axis, the largest where positions differ: that of the last
            map before the first operation that reads whole axes, or of the output; empty without one.
        least_field: the smallest of any position there.
        field_layer: the layer from which on the field is this large.
        stride: input pixels per position there; None where it has no single value.
        local_field: the same apart from gates and normalization, where it is another.
        warnings: design warnings.
        notes: design notes.
    """

    name: str
    input_shape: tuple[int, ...]
    parameters: int
    parameter_bytes: int
    macs: int
    uncounted: int
    activation_bytes: int
    layers: int
    depth: int
    field: tuple[int, ...]
    least_field: tuple[int, ...]
    field_layer: str
    stride: tuple[Fraction | None, ...]
    local_field: tuple[int, ...]
    warnings: int
    notes: int


@dataclass(frozen=True, slots=True, repr=False)
class Difference(ShortRepr):
    """A layer that is not the same in two networks; a side without the layer is None."""

    name: str
    first: Layer | None
    second: Layer | None


def figures(
    graph: Graph,
    layers: Sequence[Layer],
    warnings: Sequence[DesignWarning],
    field: NetworkField | None,
    local: NetworkField | None,
) -> Figures:
    """Return the figures of a network, given its receptive field, and that apart from gates and normalization."""
    shape = graph.shape(graph.inputs[0]) if graph.inputs else ()
    batch = batch_of(graph)
    fields = field.fields if field else ()
    return Figures(
        name=graph.name,
        input_shape=shape[1:],
        parameters=graph.parameter_count,
        parameter_bytes=sum(r.spec.bytes for r in graph.parameters if not r.buffer),
        macs=graph.macs // batch,
        uncounted=sum(layer.macs is None for layer in layers),
        activation_bytes=sum(layer.activation_bytes for layer in layers) // batch,
        layers=len(layers),
        depth=weighted_depth(graph),
        field=tuple(f.size or 0 for f in fields),
        least_field=tuple(f.least or 0 for f in fields),
        field_layer=field.layer if field else "",
        stride=tuple(f.stride for f in fields),
        local_field=tuple(f.size or 0 for f in local.fields) if local else (),
        warnings=sum(w.severity == "warning" for w in warnings),
        notes=sum(w.severity == "note" for w in warnings),
    )


def weighted_depth(graph: Graph) -> int:
    """Convolutions and fully connected layers on the longest path from an input: 50 for ResNet-50."""
    depths = [0] * len(graph.values)
    for node in graph.nodes:
        depth = max((depths[value] for value in node.inputs), default=0) + (node.op in _WEIGHTED)
        for output in node.outputs:
            depths[output] = depth
    return max(depths, default=0)


def differences(first: Sequence[Layer], second: Sequence[Layer]) -> tuple[Difference, ...]:
    """Return the layers that only one has, or that differ under the same name, in the order of the first."""
    ours, theirs = ({layer.name: layer for layer in layers} for layers in (first, second))
    found = []
    for name, layer in ours.items():
        other = theirs.get(name)
        if other is None or _what(layer) != _what(other):
            found.append(Difference(name, layer, other))
    found += [Difference(name, None, layer) for name, layer in theirs.items() if name not in ours]
    return tuple(found)


def _what(layer: Layer) -> tuple[object, ...]:
    """Return a layer's own properties, without its receptive field, which depends on the layers before it."""
    return layer.op, layer.windows, layer.groups, layer.output_shape[1:], layer.parameters, layer.macs


@dataclass(frozen=True, slots=True)
class TrainingMacs:
    """Multiply-adds of one sample's training step.

    Args:
        forward: of the forward pass.
        inputs: of the gradients with respect to activations; the first layer needs none.
        weights: of the gradients with respect to weights; frozen ones need none.
        uncounted: operations whose multiply-adds are not known, and are not in here.
    """

    forward: int
    inputs: int
    weights: int
    uncounted: int

    @property
    def total(self) -> int:
        """Return the sum: without frozen layers, three times the forward pass less the first input gradient."""
        return self.forward + self.inputs + self.weights

    @property
    def flops(self) -> int:
        """Return the floating-point operations: a multiplication and an addition for each MAC."""
        return 2 * self.total


def training_macs(graph: Graph) -> TrainingMacs:
    """Count a training step's multiply-adds per sample.

    The gradient with respect to either factor of a product takes as many as the product did. It is taken where
    something that is trained lies behind that factor.
    """
    trainable = {name: record.trainable for record in graph.parameters for name in record.names}
    needs = [value.kind == "parameter" and trainable.get(value.name, False) for value in graph.values]
    forward = inputs = weights = 0
    # A value that is made of weights alone, such as a transposed one, is a weight.
    from_image = [value.kind == "input" for value in graph.values]
    for node in graph.nodes:
        forward += node.macs or 0
        if node.macs:
            for value in _factors(graph, node):
                if needs[value] and from_image[value]:
                    inputs += node.macs
                elif needs[value]:
                    weights += node.macs
        for value in node.outputs:
            needs[value] = any(needs[v] for v in node.inputs)
            from_image[value] = any(from_image[v] for v in node.inputs)
    batch = batch_of(graph)
    return TrainingMacs(forward // batch, inputs // batch, weights // batch, len(graph.uncounted))


def _factors(graph: Graph, node: Node) -> list[int]:
    """Return the two factors of a product, which may be one value; what is added to it is none."""
    names = next((pair for pair in (("mat1", "mat2"), ("batch1", "batch2")) if pair[0] in node.arguments), ())
    named = [argument.value for name in names if isinstance(argument := node.arguments[name], Ref)]
    # Elsewhere a bias, which has one axis, comes after both.
    return named or [value for value in node.inputs if len(graph.shape(value)) > 1][:2]
