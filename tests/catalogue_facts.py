"""What is computed of each network of the catalogue, once for all tests and for `docs/generate_networks.py`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from convscope.graph.figures import weighted_depth
from convscope.graph.records import Graph
from convscope.interpret.inspection.record import Inspection, inspect
from convscope.nets import catalogue
from convscope.nets.build import build, smallest_input
from convscope.nets.entry import Entry
from convscope.nets.layer_groups import parts

# Networks made by the code of a smaller one of their family, with more or wider layers of the same kinds.
DEEPER_OR_WIDER = (
    "alexnet-2012-one-tower",
    "resnet34",
    "resnet101",
    "resnet152",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "densenet169",
    "densenet201",
    "senet154",
    "cifarnet-small",
    "cifarnet",
    "cifarnet-large",
)

# The smallest side of those that take none of 64 pixels.
SMALLEST_SIDE = {"inception_v3": 75, "unet": 188, "m5": 1024}


def short_shape(entry: Entry) -> tuple[int, ...]:
    """An input (channels, *sizes) that keeps a test short: 64 a side, or the smallest that the network takes."""
    channels, *sizes = entry.input_shape
    return channels, *(min(size, SMALLEST_SIDE.get(entry.name, 64)) for size in sizes)


@dataclass(frozen=True)
class Facts:
    """One network, computed: its graph, costs, depth, and parameters part by part."""

    graph: Graph
    uncounted: tuple[str, ...]
    depth: int
    by_part: dict[str, int]

    @property
    def macs(self) -> int:
        return self.graph.macs


@cache
def network_on_meta(name: str) -> nn.Module:
    """The network without memory for its weights."""
    with torch.device("meta"):
        return build(name)


@cache
def inspected(name: str) -> Inspection:
    """A network at its paper's input."""
    return inspect(lambda: build(name), catalogue.find(name).input_shape, name=name)


@cache
def facts(name: str) -> Facts:
    """What inspection says of a network at its paper's input."""
    found, modules = inspected(name), parts(network_on_meta(name))
    return Facts(
        graph=found.graph,
        uncounted=tuple(layer.name for layer in found.layers if layer.macs is None),
        depth=weighted_depth(found.graph),
        by_part={part: sum(weight.numel() for weight in module.parameters()) for part, module in modules.items()},
    )


@cache
def smallest(name: str) -> tuple[int, ...]:
    """The smallest image that passes through, in pixels per axis."""
    return smallest_input(name)
