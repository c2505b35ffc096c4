"""The rectifiers that a number depends on, by autograd's own record of the operations, whatever module ran them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

# Of autograd: the backward of an operation that lets numbers above 0 through, and of those below it a part or nothing.
_RECTIFIERS = ("ReluBackward", "LeakyReluBackward", "PreluKernelBackward", "RreluWithNoiseBackward")
# The same where the limit is 0, and where autograd keeps it: other limits are those of numbers, such as of a norm that
# divides, or of a hard tanh, which lets negative numbers through.
_LIMITS: Mapping[str, tuple[str, ...]] = {
    "HardtanhBackward": ("_saved_min_val",),
    "ClampBackward": ("_saved_min",),
    "ClampMinBackward": ("_saved_min",),
    "MaximumBackward": ("_saved_self", "_saved_other"),
    "FmaxBackward": ("_saved_self", "_saved_other"),
}
_THRESHOLD = "ThresholdBackward"
# They have no gradient below their limit, whatever it is.
_SHUT = ("HardtanhBackward", _THRESHOLD)


def rectifiers(
    score: torch.Tensor, *, masked: Collection[torch.Tensor] = (), with_hard_limits: bool = False
) -> Iterator[torch.autograd.graph.Node]:
    """Yield the rectifiers that a number depends on, by autograd's own record, each once.

    Args:
        score: the number.
        masked: what rectifiers made that are written as masks, see `masked_rectifiers`.
        with_hard_limits: yield each hard tanh and threshold whose limit is below 0 too: below it they have no gradient
            either.

    >>> x = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> made = torch.relu(x), torch.maximum(x, torch.zeros(2)), torch.nn.functional.hardtanh(x)
    >>> [len(list(rectifiers(each.sum()))) for each in made]
    [1, 1, 0]
    """
    made_masked = {tensor.grad_fn for tensor in masked}
    waiting, seen = [score.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node in made_masked or _is_rectifier(node) or (with_hard_limits and node.name().startswith(_SHUT)):
            yield node
        waiting.extend(before for before, _ in node.next_functions)


@contextmanager
def positive_at_rectifiers(score: torch.Tensor, *, masked: Collection[torch.Tensor] = ()) -> Iterator[None]:
    """Let only positive gradients of a number through at each rectifier (Springenberg et al. 2015, section 3.4).

    Arguments are those of `rectifiers`.

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> score = (torch.relu(x) * torch.tensor([3.0, -4.0])).sum()
    >>> with positive_at_rectifiers(score):
    ...     torch.autograd.grad(score, x)
    (tensor([3., 0.]),)
    """
    hooks = [node.register_prehook(_positive) for node in rectifiers(score, masked=masked)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _is_rectifier(node: torch.autograd.graph.Node) -> bool:
    name = node.name().rstrip("0123456789")
    if name == _THRESHOLD:  # above 0 it lets a part of the positive numbers through
        return float(node._saved_threshold) >= 0  # type: ignore[attr-defined]
    return name in _RECTIFIERS or any(_is_zero(_kept(node, each)) for each in _LIMITS.get(name, ()))


def _kept(node: torch.autograd.graph.Node, name: str) -> Any:
    """Return what autograd kept of an operation; None where it kept nothing, or where that was overwritten in place."""
    try:
        return getattr(node, name, None)
    except RuntimeError:
        return None


def _is_zero(limit: Any) -> bool:
    if isinstance(limit, torch.Tensor):
        return not limit.requires_grad and limit.numel() > 0 and not bool(limit.any())
    return isinstance(limit, int | float) and limit == 0


def _positive(gradients: tuple[torch.Tensor | None, ...]) -> tuple[torch.Tensor | None, ...]:
    return tuple(None if gradient is None else gradient.clamp(min=0) for gradient in gradients)
