"""The end of a network that costs next to nothing: computed in float32, it keeps scores from being rounded to bf16.

A score near 34 in bf16 is a multiple of 1/4; how far it falls without a part of the image is mostly less. The features
before it are rounded as much, and their errors cancel in the sum.
"""

from __future__ import annotations

from convscope.graph.records import Graph, alive_nodes

_SHARE = 100  # an operation with less than a hundredth of the network's multiply-adds costs next to nothing


def network_head(graph: Graph) -> frozenset[int]:
    """Return the operations from which on no operation multiplies much, by their indices in `Graph.nodes`.

    >>> from torch import nn, zeros
    >>> from convscope.capture.capture import capture
    >>> layers = [nn.Conv2d(3, 64, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 2)]
    >>> graph = capture(nn.Sequential(*layers), zeros(1, 3, 16, 16))
    >>> [graph.nodes[index].op for index in sorted(network_head(graph))]
    ['relu', 'mean', 'reshape', 'transpose', 'linear']
    """
    alive, least = alive_nodes(graph), graph.macs / _SHARE
    read_before: set[int] = set()
    head = set()
    for node in reversed(graph.nodes):
        if node.index not in alive:
            continue
        if (node.macs or 0) < least and read_before.isdisjoint(node.outputs):
            head.add(node.index)
        else:
            read_before.update(node.inputs)
    return frozenset(head)


def read_by_head_alone(graph: Graph, head: frozenset[int]) -> frozenset[int]:
    """Return the values that no other operation reads than those of the head."""
    read = {value for index in head for value in graph.nodes[index].inputs}
    others = {value for node in graph.nodes if node.index not in head for value in node.inputs}
    return frozenset(read - others)
