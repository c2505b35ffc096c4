"""The values of a network that are looked at: what each layer with weights, and each sum of branches, hands on.

A convolution's channel is looked at after its normalization and activation, where nothing else reads it before: that is
what the next layer sees. Of each value it is known which axis holds the channels and which the positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from convscope.arrays import Floats
from convscope.errors import CaptureError, GeometryError
from convscope.graph.axes import batch_of
from convscope.graph.layer_axes import LayerAxes, is_elementwise
from convscope.graph.layer_names import LayerNames
from convscope.graph.records import Graph, reached_values
from convscope.graph.vocabulary import CONVOLUTIONS
from convscope.interpret.execution.torch_executor import as_array
from convscope.interpret.replay.replay import Replay
from convscope.report.units import plural

_SUMS = frozenset({"add", "mul"})


@dataclass(frozen=True, slots=True)
class ObservedLayer:
    """A value that is looked at.

    Args:
        name: of the operation that made it, as every command takes it.
        value: index into `Graph.values`.
        layer: the name of the layer with weights, or of the sum, that it is the output of.
        channels: how many.
        positions: the sizes along its axes of positions; empty for a vector.
    """

    name: str
    value: int
    layer: str
    channels: int
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MapAxes:
    """Which axes of a value hold channels and positions; the first holds the images."""

    channels: int | None
    positions: tuple[int, ...]

    def order(self) -> tuple[int, ...]:
        """Return the axes as images, channels, positions; without that of channels where there is none."""
        return (0, *(() if self.channels is None else (self.channels,)), *self.positions)


class AxesOfMaps:
    """Which axes of a network's values hold channels, and which positions; see `LayerAxes`.

    Args:
        names: the layers of a graph.
    """

    def __init__(self, names: LayerNames) -> None:
        self.graph = names.graph
        self._named = LayerAxes(names)

    def of(self, value: int) -> MapAxes:
        """Return the axes of a value."""
        channels = self._named.of(value).channels
        return MapAxes(channels, tuple(axis for axis in range(1, len(self.graph.shape(value))) if axis != channels))

    def by_image(self, value: int) -> bool:
        """Return whether a value's first axis holds the images, not tokens, windows, or frames taken for images."""
        return self.graph.shape(value)[:1] == (batch_of(self.graph),)

    def observed(self, name: str, value: int, layer: str) -> ObservedLayer | None:
        """Return a value as one that is looked at; None where it has no channels or holds no numbers."""
        shape, axes = self.graph.shape(value), self.of(value)
        if axes.channels is None or len(shape) < 2 or 0 in shape or "float" not in self.graph.values[value].spec.dtype:
            return None
        sizes = tuple(shape[axis] for axis in axes.positions)
        return ObservedLayer(name, value, layer, shape[axes.channels], sizes if prod(sizes) > 1 else ())


def sample_maps(run: Replay, value: int, *, of: str) -> Floats:
    """Return the first image's maps of a value, (C, *S), in float64.

    Raises:
        CaptureError: the value holds no numbers of an image.
    """
    tensor = run.tensor(value)
    shape = tuple(tensor.shape)
    if not tensor.is_floating_point() or len(shape) < 2 or 0 in shape:
        raise CaptureError(f"{of} gives {tensor.dtype} of shape {shape}, which is no map of numbers: choose a layer "
                           "with channels")  # fmt: skip
    axes = AxesOfMaps(run.names).of(value)
    found: Floats = as_array(tensor).transpose(axes.order())[0]
    return found[None] if axes.channels is None else found


def first_axis_notes(run: Replay, value: int, *, of: str) -> tuple[str, ...]:
    """Return the remark on a value whose first axis does not hold the images: `sample_maps` is of its first place."""
    if AxesOfMaps(run.names).by_image(value):
        return ()
    count = run.graph.shape(value)[0]
    return (f"{of} has {count:,} maps of one image along its first axis, such as tokens or frames: the first is shown",)


def middle_plane(values: Floats) -> Floats:
    """Return a map of one or two axes as it is; of a volume the middle slice, (H, W)."""
    while values.ndim > 2:
        values = values[len(values) // 2]
    return values


def checked_channels(channels: Sequence[int], count: int, layer: str) -> tuple[int, ...]:
    """Return channels that were asked for, each of which the layer has; raises GeometryError for one that it lacks."""
    for channel in channels:
        if not 0 <= channel < count:
            raise GeometryError(f"{layer} has {plural(count, 'channel')}, 0 to {count - 1}: {channel} is none of them")
    return tuple(channels)


def observed_layers(names: LayerNames) -> tuple[ObservedLayer, ...]:
    """Return the values of a network that are looked at, in the order in which they are computed.

    >>> from torch import nn, randn
    >>> from convscope.capture.capture import capture
    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(18, 4))
    >>> graph = capture(network.eval(), randn(1, 1, 5, 5))
    >>> [(found.name, found.layer, found.channels, found.positions) for found in observed_layers(LayerNames(graph))]
    [('2', '0', 2, (3, 3)), ('4', '4', 4, ())]
    """
    graph, axes = names.graph, AxesOfMaps(names)
    reached = reached_values(graph)
    found: dict[int, ObservedLayer] = {}
    for layer in names.layers:
        sums = layer.main.op in _SUMS and sum(reached[value] for value in dict.fromkeys(layer.main.inputs)) > 1
        if not reached[layer.output] or not (layer.op in CONVOLUTIONS or layer.op == "linear" or sums):
            continue
        value = _handed_on(graph, layer.output, reached)
        one = axes.observed(names.of_value(value), value, layer.name)
        if one is not None:
            found.setdefault(value, one)
    return tuple(found[value] for value in sorted(found))


def first_observed(names: LayerNames) -> str:
    """Return the first layer with weights and positions, after its activation; else the first with weights.

    Raises:
        GeometryError: the network has neither.
    """
    layers = observed_layers(names)
    named = [found.name for found in layers if found.positions] or [found.name for found in layers]
    if not named:
        raise GeometryError(f"{names.graph.name} has no convolution and no linear layer: name a layer or an operation")
    return named[0]


def observed_of(names: LayerNames, asked: Sequence[str]) -> tuple[ObservedLayer, ...]:
    """Return the layers that were asked for by name, or all that are looked at.

    Raises:
        CaptureError: there is no such layer, or one has no channels.
    """
    if not asked:
        return observed_layers(names)
    axes, found = AxesOfMaps(names), []
    for name in asked:
        value = names.find_source(name)
        one = axes.observed(names.of_value(value), value, name)
        if one is None:
            shape = "×".join(map(str, names.graph.shape(value)))
            raise CaptureError(f"{name} gives {shape}, without channels: choose another layer")
        found.append(one)
    return tuple(found)


def observed_by_image(names: LayerNames, asked: Sequence[str]) -> tuple[ObservedLayer, ...]:
    """Return the layers that were asked for by name, or all that are looked at, of which each image has numbers.

    Tokens, windows, or frames that are taken for images may lie along the first axis of a value: whose they are is not
    known.

    Args:
        names: of a network captured on one image: with more, a first axis may be as long by chance.
        asked: names of layers.

    Raises:
        CaptureError: as of `observed_of`, or numbers of a layer that was asked for are not by image.

    >>> from torch import nn, randn
    >>> from convscope.capture.capture import capture
    >>> layers = nn.Unflatten(1, (3, 1)), nn.Flatten(0, 1), nn.Conv2d(1, 4, 3), nn.Unflatten(0, (1, 3))
    >>> names = LayerNames(capture(nn.Sequential(*layers), randn(1, 3, 5, 5)))
    >>> [found.name for found in observed_layers(names)], observed_by_image(names, ())
    (['2'], ())
    """
    axes = AxesOfMaps(names)
    found = observed_of(names, asked)
    kept = tuple(one for one in found if axes.by_image(one.value))
    for one in found if asked else ():
        if one not in kept:
            first = names.graph.shape(one.value)[0]
            raise CaptureError(f"{one.name} has {first} along its first axis for one image: choose a layer with a map "
                               "of each image")  # fmt: skip
    return kept


def _handed_on(graph: Graph, value: int, reached: Sequence[bool]) -> int:
    """Return a layer's output after the operations on each of its numbers that alone read it: norm, activation."""
    while True:
        readers = graph.consumers.get(value, ())
        if len(readers) != 1:
            return value
        reader = graph.nodes[readers[0]]
        alone = [v for v in dict.fromkeys(reader.inputs) if reached[v]] == [value]
        if not alone or not is_elementwise(reader) or graph.shape(reader.outputs[0]) != graph.shape(value):
            return value
        value = reader.outputs[0]
