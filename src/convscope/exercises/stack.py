"""Stacks of convolutions and poolings as a Graph, made by hand: their receptive fields, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from convscope.geometry.relation import Taps, shape_after
from convscope.geometry.taps import window_taps
from convscope.geometry.window import Window
from convscope.graph.propagate import propagate
from convscope.graph.receptive_field import summarise
from convscope.graph.records import Graph, Node, Path, TensorSpec, Value

_MAP_AXIS = 2


@dataclass(frozen=True, slots=True)
class StackLayer:
    """One layer: a convolution with padding that keeps the size but for the stride, or a pooling without padding.

    >>> StackLayer.named("3/2"), StackLayer.named("p")
    (StackLayer(kernel=3, stride=2, pooling=False), StackLayer(kernel=2, stride=2, pooling=True))
    """

    kernel: int
    stride: int = 1
    pooling: bool = False

    @classmethod
    def named(cls, name: str) -> StackLayer:
        """Return the layer of a name: "3" or "3/2", kernel and stride of a convolution; "p" a 2x2 pooling, stride 2."""
        if name == "p":
            return cls(2, 2, pooling=True)
        kernel, _, stride = name.partition("/")
        return cls(int(kernel), int(stride or 1))

    @property
    def window(self) -> Window:
        """Its window along one axis."""
        return Window.of(self.kernel, stride=self.stride, padding=0 if self.pooling else self.kernel // 2)


@dataclass(frozen=True, slots=True)
class FieldAfter:
    """The receptive field after one layer, in input pixels: its size, and the stride between neighbouring fields."""

    size: int
    stride: int


@lru_cache(maxsize=4096)
def fields_of(layers: tuple[StackLayer, ...], input_size: int = 512) -> tuple[FieldAfter, ...]:
    """Return the receptive field after each layer along one axis, as if the image had no borders.

    Raises:
        GeometryError: a window that no longer fits.

    >>> [field.size for field in fields_of(tuple(map(StackLayer.named, ("3", "3", "p", "3", "3", "p", "3"))))]
    [3, 5, 6, 10, 14, 16, 24]
    """
    graph = stack_graph(layers, input_size)
    reaches = propagate(graph, sources=[(0, _MAP_AXIS)])
    found, stride = [], 1
    for node, layer in zip(graph.nodes, layers, strict=True):
        field = summarise(reaches.of(node.outputs[0]))
        stride *= layer.stride
        assert field is not None and field.size is not None and field.stride in (None, stride)  # None: one position
        found.append(FieldAfter(field.size, stride))
    return tuple(found)


def stack_graph(layers: Sequence[StackLayer], input_size: int) -> Graph:
    """Return the Graph of a stack along one axis: one channel, no weights."""
    shape: tuple[int, ...] = (1, 1, input_size)
    values = [Value(0, TensorSpec(shape, "float32"), "input", "input", None, 0)]
    nodes = []
    for index, layer in enumerate(layers):
        step = Taps(_MAP_AXIS, window_taps(layer.window, shape[_MAP_AXIS]))
        shape = shape_after(step, shape)
        op = "max_pool" if layer.pooling else "convolution"
        path = Path(index, index + 1, (step,))
        nodes.append(Node(index, op, op, "", 0, (index,), (index + 1,), {}, (path,), 0, windows=(layer.window,)))
        values.append(Value(index + 1, TensorSpec(shape, "float32"), "activation", f"{op}{index}", index, index + 1))
    return Graph("stack", tuple(values), tuple(nodes), (), (), (0,), (len(layers),))


def output_sizes_of(layers: Sequence[StackLayer], input_size: int) -> tuple[int, ...]:
    """Return the size after each layer, along one axis.

    >>> output_sizes_of([StackLayer(3), StackLayer(2, 2, pooling=True)], 32)
    (32, 16)
    """
    sizes = []
    for layer in layers:
        input_size = layer.window.output_size(input_size)
        sizes.append(input_size)
    return tuple(sizes)
