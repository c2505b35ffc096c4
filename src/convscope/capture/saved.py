"""What autograd keeps of a forward pass for the backward one, seen through its own hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from convscope.graph.records import Node

# Operators whose backward formula needs their first result; the others' first result is kept by whoever reads it.
# Source: PyTorch's derivatives.yaml.
_SAVES_RESULT = frozenset(
    {"relu", "sigmoid", "tanh", "_softmax", "_log_softmax", "_safe_softmax", "exp", "exp2", "expm1", "sqrt", "rsqrt",
     "reciprocal", "tan", "amax", "amin", "max", "min", "median", "norm", "linalg_vector_norm", "logsumexp", "std",
     "prod", "cumprod", "logcumsumexp", "elu", "celu", "leaky_relu", "pow", "sgn", "hypot"}
)  # fmt: skip


class Kept:
    """Which node made autograd keep which values.

    Autograd keeps an operation's inputs before that runs, and its results just after.
    """

    def __init__(self) -> None:
        self._by_node: dict[int, list[int]] = {}
        self._waiting: list[int] = []
        self._running: list[int] = []
        self._saves_result = False

    def packed(self, value: int, last: Node | None) -> None:
        """Autograd keeps a value; `last` is the operation that ran last."""
        if last is not None and value in last.outputs and (value != last.outputs[0] or self._saves_result):
            self._by_node.setdefault(last.index, []).append(value)
        else:
            self._waiting.append(value)

    def begin(self) -> None:
        """Begin an operation, to which the waiting tensors belong."""
        self._running, self._waiting = self._waiting, []

    def end(self, node: int, operator: str) -> None:
        """End the operation, recorded as this node."""
        if self._running:
            self._by_node.setdefault(node, []).extend(self._running)
        self._saves_result = operator in _SAVES_RESULT

    def on(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        """Return the nodes with what each made autograd keep."""
        kept = self._by_node
        return tuple(replace(n, saved=tuple(dict.fromkeys(kept[n.index]))) if n.index in kept else n for n in nodes)


@contextmanager
def autograd(pack: Callable[[torch.Tensor], None], *, gradients: bool) -> Iterator[None]:
    """Run without gradients, or with them while `pack` is called with every saved tensor."""
    if not gradients:
        with torch.no_grad():
            yield
        return

    def never(packed: object) -> torch.Tensor:
        raise AssertionError("a capture runs no backward pass")

    # Autograd holds the hook as long as the outputs, and whose method `pack` is may hold those: no collector sees it.
    held = [pack]
    try:
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(lambda tensor: held[0](tensor), never):
            yield
    finally:
        held.clear()
