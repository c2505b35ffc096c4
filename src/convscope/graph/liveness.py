"""Which operations matter: those whose results reach an output of the model, or are kept in its buffers."""

from __future__ import annotations

from convscope.graph.records import Graph


def alive_nodes(graph: Graph) -> frozenset[int]:
    """Nodes on a way to an output; all of them where the forward pass stopped before it had any."""
    if not graph.outputs:
        return frozenset(range(len(graph.nodes)))
    wanted = set(graph.outputs)
    kept = {value.storage for value in graph.values if value.kind in ("buffer", "parameter")}
    alive: set[int] = set()
    for node in reversed(graph.nodes):
        written = any(graph.values[output].storage in kept for output in node.outputs)
        if written or any(output in wanted for output in node.outputs):
            alive.add(node.index)
            wanted.update(node.inputs)
    return frozenset(alive)
