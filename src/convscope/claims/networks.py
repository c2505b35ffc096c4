"""Networks for the proofs of the notes' claims; torch is imported when the first of them is built."""

from __future__ import annotations

from functools import cache
from math import prod
from typing import TYPE_CHECKING

from convscope.nets.catalogue import find

if TYPE_CHECKING:
    from torch import nn

    from convscope.graph.records import Graph


@cache
def fields(*layers: str) -> list[int]:
    """Return the receptive field after each layer: "3" is a 3x3 convolution, "p" a 2x2 pooling with stride 2."""
    from torch import nn

    from convscope.capture.capture import capture
    from convscope.graph.propagate import propagate
    from convscope.graph.receptive_field import summarise

    def made() -> nn.Module:
        kernels = (None if name == "p" else int(name) for name in layers)
        return nn.Sequential(*(nn.Conv2d(1, 1, k, padding=k // 2) if k else nn.MaxPool2d(2) for k in kernels))

    graph = capture(made, (1, 512, 512))
    reaches = propagate(graph, sources=[(graph.inputs[0], 2)])
    found = [summarise(reaches.of(node.outputs[0])) for node in graph.nodes]
    return [field.size for field in found if field is not None and field.size is not None]


def layer_shapes(name: str) -> list[tuple[int, ...]]:
    """Return the output shape (C, H, W) of each top module of a catalogue network, in order."""
    graph = _captured(name)
    shapes = []
    for module, _ in _network(name).named_children():
        nodes = list(graph.nodes_of(module))
        if nodes:
            shapes.append(tuple(graph.shape(nodes[-1].outputs[0])[1:]))
    return shapes


def activation_sizes(name: str) -> list[object]:
    """Return the activation sizes in a notes' table: one for every layer that changes their number."""
    sizes = [prod(shape) for shape in layer_shapes(name)]
    return [after for before, after in zip([0, *sizes], sizes, strict=False) if after != before]


def parameters_by_row(name: str) -> list[object]:
    """Return the parameters of each convolution, pooling and fully connected layer, in order."""
    from torch import nn

    kinds = (nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.AvgPool2d)
    rows = [module for module in _network(name).modules() if isinstance(module, kinds)]
    return [sum(p.numel() for p in module.parameters()) for module in rows]


def layer_counts(name: str) -> list[object]:
    """Return the numbers of convolutions and of fully connected layers."""
    from torch import nn

    modules = list(_network(name).modules())
    return [sum(isinstance(module, kind) for module in modules) for kind in (nn.Conv2d, nn.Linear)]


def first_filters(name: str) -> int:
    """Return the number of filters of the first convolution."""
    return _convolutions(name)[0].out_channels


def first_map(name: str) -> int:
    """Return the side of the first convolution's map, in cells."""
    graph = _captured(name)
    return graph.shape(graph.nodes[0].outputs[0])[-1]


def largest_kernel(name: str) -> int:
    """Return the side of the largest kernel of any convolution."""
    return max(max(module.kernel_size) for module in _convolutions(name))


def convolutions_in_halves(name: str) -> list[object]:
    """Return the convolutions, counted from 1, with two groups."""
    return [number for number, module in enumerate(_convolutions(name), 1) if module.groups == 2]


def dense_blocks(name: str) -> int:
    """Return the number of dense blocks."""
    return len({path for path, _ in _network(name).named_modules() if path.split(".")[-1].startswith("denseblock")})


def last_field(name: str) -> int:
    """Return the largest local receptive field, in pixels, as if there were no borders."""
    return max(field for _, field in _fields_by_module(name))


def dense_block_that_spans(name: str, pixels: int) -> int:
    """Return the first dense block, counted from 1, with a receptive field of `pixels` or more."""
    module = next(module for module, field in _fields_by_module(name) if field >= pixels)
    return int(next(part for part in module.split(".") if part.startswith("denseblock")).removeprefix("denseblock"))


def field_over_its_half(name: str, layer: str) -> float:
    """Return the side of a middle cell's field over that of the square that carries half of a uniform average."""
    from convscope.interpret.inspection.record import inspect_graph
    from convscope.interpret.receptive_field import field

    found = field(inspect_graph(_captured(name)), layer)
    return float(round((found.hull / found.half) ** 0.5, 1))


def averaged(batch: int, channels: int) -> tuple[int, ...]:
    """Return the shape (N, C, 1, 1) that global average pooling makes of a batch of maps."""
    import torch
    from torch import nn

    return tuple(nn.AdaptiveAvgPool2d(1)(torch.zeros(batch, channels, 16, 16)).shape)


@cache
def _network(name: str) -> nn.Module:
    from convscope.capture.build import build_without_memory
    from convscope.nets.build import build

    return build_without_memory(lambda: build(name))


@cache
def _captured(name: str) -> Graph:
    from convscope.capture.capture import capture

    return capture(_network(name), find(name).input_shape, name=name)


@cache
def _fields_by_module(name: str) -> list[tuple[str, int]]:
    """Return each operation's module and the size of its receptive field along the rows, if that is local."""
    from convscope.graph.propagate import propagate
    from convscope.graph.receptive_field import summarise

    graph = _captured(name)
    reaches = propagate(graph, sources=[(graph.inputs[0], 2)])
    found = [(node.module, summarise(reaches.of(node.outputs[0]))) for node in graph.nodes]
    return [(module, field.size) for module, field in found if field is not None and field.size is not None]


def _convolutions(name: str) -> list[nn.Conv2d]:
    from torch import nn

    return [module for module in _network(name).modules() if isinstance(module, nn.Conv2d)]
