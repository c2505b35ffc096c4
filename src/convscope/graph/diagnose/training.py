"""What only training uses: auxiliary heads, whose warnings are notes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from convscope.graph.diagnose.finding import DesignWarning
from convscope.graph.layer_groups import layers_of
from convscope.graph.records import Graph, alive_nodes

# Findings about a network in evaluation mode that training mode may explain.
EXPLAINED = frozenset({"unused-parameters", "dead-branch"})


def noted_for_training(warnings: Iterable[DesignWarning], training: Graph) -> tuple[DesignWarning, ...]:
    """Return the warnings of a network in evaluation mode, those about what training uses as notes, at the end.

    Args:
        warnings: from `diagnose`.
        training: the same network in training mode.
    """
    unused = [name for r in training.parameters if not (r.used or r.buffer) for name in r.names]
    alive = alive_nodes(training, also=training.read)
    used_layers = {x.name for x in layers_of(training) if not alive.isdisjoint(node.index for node in x.nodes)}
    found = []
    for warning in warnings:
        name = warning.layer
        if warning.kind == "unused-parameters" and not any(u == name or u.startswith(f"{name}.") for u in unused):
            message, remedy = f"only training uses the parameters of {name}", "leave them out of what you ship"
            warning = replace(warning, severity="note", message=message, remedy=remedy)
        elif warning.kind == "dead-branch" and name in used_layers:
            message = f"only training uses the result of {name}, and it is computed in evaluation too"
            warning = replace(warning, severity="note", message=message, remedy="compute it if self.training")
        found.append(warning)
    return tuple(sorted(found, key=lambda warning: warning.severity != "warning"))
