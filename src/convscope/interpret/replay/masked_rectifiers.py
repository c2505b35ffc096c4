"""Rectifiers that are written as masks: `torch.where(x > 0, x, 0)`, `x * (x > 0)`, `x.masked_fill(x < 0, 0)`.

Autograd's record has the mask and not what was compared, so they are read from the captured Graph, where it is sure:
the mask compares the very numbers that it is applied to with 0.
"""

from __future__ import annotations

from convscope.graph.records import Argument, Graph, Node, Ref, alive_nodes

_ABOVE, _BELOW = ("gt", "ge"), ("lt", "le")
_CASTS = ("cast", "clone")
_ZEROS = ("zeros", "zeros_like", "new_zeros")
# Operations that fill a tensor with one number, and the name of its argument.
_FILLED = {"full": "fill_value", "full_like": "fill_value", "new_full": "fill_value", "scalar_tensor": "s"}


def masked_rectifiers(graph: Graph) -> tuple[int, ...]:
    """Return the outputs of masks that let numbers above 0 through and nothing below, as indices into `Graph.values`.

    >>> import torch
    >>> from convscope.capture.capture import capture
    >>> class Masked(torch.nn.Module):
    ...     def forward(self, x):
    ...         return torch.where(x > 0, x, 0) + x * (x > 0) + x.masked_fill(x < 0, 0) + torch.where(x > 1, x, 0)
    >>> len(masked_rectifiers(capture(Masked(), torch.zeros(1, 4))))
    3
    """
    alive = alive_nodes(graph)
    found = (node for node in graph.nodes if node.index in alive and _is_rectifier(graph, node))
    return tuple(value for node in found for value in node.outputs)


def _is_rectifier(graph: Graph, node: Node) -> bool:
    given = node.arguments
    if node.op == "where":
        mask, yes, no = given.get("condition"), given.get("self"), given.get("other")
        above = _compares(graph, mask, yes, _ABOVE) and _is_zero(graph, no)
        return above or (_compares(graph, mask, no, _BELOW) and _is_zero(graph, yes))
    if node.op == "mul":
        one, other = given.get("self"), given.get("other")
        return _compares(graph, other, one, _ABOVE) or _compares(graph, one, other, _ABOVE)
    if node.op == "masked_fill":
        return _compares(graph, given.get("mask"), given.get("self"), _BELOW) and _is_zero(graph, given.get("value"))
    return False


def _compares(graph: Graph, mask: Argument, numbers: Argument, how: tuple[str, ...]) -> bool:
    """Return whether a mask compares numbers with 0, in another type where it was cast."""
    node = _made_by(graph, mask)
    while node is not None and node.op in _CASTS:
        node = _made_by(graph, node.arguments.get("self"))
    if node is None or node.op not in how or not isinstance(numbers, Ref):
        return False
    return node.arguments.get("self") == numbers and _is_zero(graph, node.arguments.get("other"))


def _made_by(graph: Graph, argument: Argument) -> Node | None:
    producer = graph.values[argument.value].producer if isinstance(argument, Ref) else None
    return None if producer is None else graph.nodes[producer]


def _is_zero(graph: Graph, argument: Argument) -> bool:
    """Return whether an argument is 0: a number, a tensor of the network's own, or one filled with it."""
    if not isinstance(argument, Ref):
        return isinstance(argument, int | float) and argument == 0
    if argument.value in graph.constants:
        return not graph.constants[argument.value].any()
    node = _made_by(graph, argument)
    if node is None:
        return False
    filled = node.arguments.get(_FILLED.get(node.op, ""))
    return node.op in _ZEROS or (isinstance(filled, int | float) and filled == 0)
