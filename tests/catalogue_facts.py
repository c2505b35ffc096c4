"""What is computed of each network of the catalogue, once for all tests and for `docs/generate_networks.py`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from convscope.capture.capture import capture
from convscope.graph.figures import weighted_depth
from convscope.graph.records import Graph
from convscope.interpret.inspection.record import inspect_graph
from convscope.nets import catalogue
from convscope.nets.build import build, smallest_input
from convscope.nets.layer_groups import parts


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
def facts(name: str) -> Facts:
    """What capture says of a network at its paper's input."""
    network = network_on_meta(name)
    graph = capture(network, catalogue.find(name).input_shape)
    layers = inspect_graph(graph).layers
    return Facts(
        graph=graph,
        uncounted=tuple(layer.name for layer in layers if layer.macs is None),
        depth=weighted_depth(graph),
        by_part={
            part: sum(weight.numel() for weight in module.parameters()) for part, module in parts(network).items()
        },
    )


@cache
def smallest(name: str) -> tuple[int, ...]:
    """The smallest image that passes through, in pixels per axis."""
    return smallest_input(name)
