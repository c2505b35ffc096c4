"""The rectifiers that a number depends on, by autograd's own record of the operations, whatever module ran them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Of autograd: the backward of an operation that lets only part of its input through.
RECTIFIERS = ("ReluBackward", "HardtanhBackward", "LeakyReluBackward", "ThresholdBackward")
# The same where the lower limit is 0: other limits are those of numbers, such as of a norm that divides.
_CLAMPS = ("ClampBackward", "ClampMinBackward")


def rectifiers(score: torch.Tensor) -> Iterator[torch.autograd.graph.Node]:
    """Yield the rectifiers that a number depends on, by autograd's own record, each once."""
    waiting, seen = [score.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name().startswith(RECTIFIERS) or (node.name().startswith(_CLAMPS) and _begins_at_zero(node)):
            yield node
        waiting.extend(before for before, _ in node.next_functions)


@contextmanager
def positive_at_rectifiers(score: torch.Tensor) -> Iterator[None]:
    """Let only positive gradients of a number through at each rectifier (Springenberg et al. 2015, section 3.4).

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> score = (torch.relu(x) * torch.tensor([3.0, -4.0])).sum()
    >>> with positive_at_rectifiers(score):
    ...     torch.autograd.grad(score, x)
    (tensor([3., 0.]),)
    """
    hooks = [node.register_prehook(_positive) for node in rectifiers(score)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _begins_at_zero(node: torch.autograd.graph.Node) -> bool:
    least = getattr(node, "_saved_min", None)
    return isinstance(least, int | float) and least == 0


def _positive(gradients: tuple[torch.Tensor | None, ...]) -> tuple[torch.Tensor | None, ...]:
    return tuple(None if gradient is None else gradient.clamp(min=0) for gradient in gradients)
