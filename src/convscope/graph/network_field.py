"""The receptive field of a network: that of its last map before an operation reads whole axes.

A network is asked for one number, and it means one thing: the field at the last spatial map before the first operation
that reads whole axes (global pooling, a fully connected layer, attention, a squeeze-and-excitation gate), or at the
output where no operation does, whatever the stride there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convscope.geometry.relation import ReachStatus
from convscope.graph.axes import FRAMES, input_axes, sources_of, spatial_inputs
from convscope.graph.propagate import propagate
from convscope.graph.receptive_field import ReceptiveField, summarise_all
from convscope.graph.records import Graph
from convscope.graph.summary import Layer
from convscope.report.short_repr import ShortRepr

LayerFields = Mapping[int, tuple[ReceptiveField, ...]]
"""The receptive fields of each layer along the axes of one input, by the layer's index."""

Gates = frozenset[tuple[int, int]]
"""Inputs of nodes that are left out, as (node, value)."""


@dataclass(frozen=True, slots=True, repr=False)
class NetworkField(ShortRepr):
    """The receptive field of a network.

    Args:
        fields: along each spatial axis of its first input with positions.
        layer: the layer from which on the field is this large.
        index: of that layer.
        reader: the layer that reads whole axes after it; "" where none does, and it is the output's field.
        reader_status: what the reader does: "whole axis", "data-dependent" or "unknown"; exact without one.
    """

    fields: tuple[ReceptiveField, ...]
    layer: str
    index: int
    reader: str
    reader_status: ReachStatus


def spatial_input(graph: Graph) -> int | None:
    """Return the input against which fields are measured: the first with spatial axes."""
    return next(iter(spatial_inputs(graph)), None)


def fields_by_layer(layers: Sequence[Layer], image: int) -> LayerFields:
    """Return the fields of each layer along the axes of an input."""
    return {layer.index: layer.field_along(image) for layer in layers}


def network_field(
    graph: Graph, layers: Sequence[Layer], fields: LayerFields, gates: Gates = frozenset()
) -> NetworkField | None:
    """Return the field of the last spatial map before the first operation that reads whole axes, or of the output.

    None for a network without an input with positions, or that keeps no position of it from the start.

    Args:
        graph: a captured network.
        layers: its layers.
        fields: their fields along the axes of its first input with positions.
        gates: ways that are left out in these fields.
    """
    image = spatial_input(graph)
    if image is None:
        return None
    run = [layer for layer in layers if fields.get(layer.index)]
    run = _behind(graph, run, graph.outputs, gates) or run
    reader = next((one for one in run if any(f.status is not ReachStatus.EXACT for f in fields[one.index])), None)
    status = ReachStatus.EXACT if reader is None else max(f.status for f in fields[reader.index])
    if reader is None:
        outputs = [one for one in run if one.output in graph.outputs] or run[-1:]
        last = max(outputs, key=lambda one: [f.size or 0 for f in fields[one.index]], default=None)
    else:
        before = _behind(graph, run[: run.index(reader)], reader.inputs, gates)
        last = next(reversed(_maps(before, fields) or before), None)
        # Attention reads whole axes where it compares positions in pairs; its scores' rows are mixed after that.
        reader = next((one for one in before if last and one.index > last.index and _pairs(one, run, fields)), reader)
    if last is None:
        return None
    found = fields[last.index]
    way = _behind(graph, run, () if last.output is None else (last.output,), gates)
    same = [one for one in _maps(way, fields) or way if _alike(fields[one.index], found)]
    first = min(same, key=lambda one: one.index, default=last)
    return NetworkField(found, first.name, first.index, reader.name if reader else "", status)


def _maps(layers: Sequence[Layer], fields: LayerFields) -> list[Layer]:
    """Return the layers whose output has an axis of its own for each axis of the image, else those that have tokens."""
    axes = {one.index: [f.axes for f in fields[one.index]] for one in layers}
    tokens = [one for one in layers if all(len(along) == 1 for along in axes[one.index])]
    return [one for one in tokens if len(set(axes[one.index])) == len(axes[one.index])] or tokens


def _pairs(layer: Layer, layers: Sequence[Layer], fields: LayerFields) -> bool:
    """Return whether a layer's values stand for pairs of positions, one of each of two inputs that do not."""

    def axes(index: int) -> int:
        return max(len(field.axes) for field in fields[index])

    inputs = [one.index for one in layers if one.output in layer.inputs]
    return len(inputs) > 1 and axes(layer.index) > max(map(axes, inputs))


def _alike(one: tuple[ReceptiveField, ...], other: tuple[ReceptiveField, ...]) -> bool:
    return [(f.size, f.least, f.stride) for f in one] == [(f.size, f.least, f.stride) for f in other]


def local_fields(graph: Graph, layers: Sequence[Layer], image: int) -> tuple[LayerFields, Gates]:
    """Return the fields of each layer apart from gates and normalization, and the ways that are left out for them.

    What is left out is said in `graph.local_field`.
    """
    sources = sources_of(graph, image)
    reaches = propagate(graph, sources=sources, local=True)
    values = summarise_all(reaches)
    fields = {
        layer.index: tuple(values[layer.output][source] for source in sources if source in values[layer.output])
        for layer in layers
        if layer.output is not None
    }
    return fields, frozenset(reaches.gates)


def network_local_field(graph: Graph, layers: Sequence[Layer], found: NetworkField | None) -> NetworkField | None:
    """Return the network's field apart from gates and normalization; None where it is the network's field."""
    image = spatial_input(graph)
    if image is None or found is None or not found.reader or not _maps_after(graph, layers, found.reader):
        return None
    local = network_field(graph, layers, *local_fields(graph, layers, image))
    return None if local is None or _alike(local.fields, found.fields) else local


def _maps_after(graph: Graph, layers: Sequence[Layer], reader: str) -> bool:
    """Return whether there are maps of several positions at or after the layer that reads whole axes."""
    image = spatial_input(graph)
    after = next((layer.index for layer in layers if layer.name == reader), 0)
    names = () if image is None else input_axes(graph, image).shown
    rank = 2 + max(1, len(names) - (FRAMES in names))
    return any(len(one.output_shape) >= rank and max(one.output_shape[2:]) > 1 for one in layers[after:] if one.nodes)


def _behind(graph: Graph, layers: Sequence[Layer], values: Sequence[int], gates: Gates) -> list[Layer]:
    """Return those of the layers, in order, on a way to some values that is no gate."""
    wanted = set(values)
    for node in reversed(graph.nodes):
        if not wanted.isdisjoint(node.outputs):
            wanted.update(value for value in node.inputs if (node.index, value) not in gates)
    return [one for one in layers if any(not wanted.isdisjoint(graph.nodes[index].outputs) for index in one.nodes)]
