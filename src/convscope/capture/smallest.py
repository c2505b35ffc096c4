"""The smallest input that a network takes, by trying shapes: where the one given is too small."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from convscope.capture.build import build_without_memory
from convscope.capture.capture import capture

# Sides are doubled at most up to here; a forward pass on shapes alone costs the same at any size.
_LARGEST = 1024


def smallest_input(
    model: nn.Module | Callable[[], nn.Module], failing: tuple[int, ...], known: tuple[int, ...] | None = None
) -> tuple[int, ...] | None:
    """The smallest shape (C, *S) with equal sides that passes through; None where no larger one was found to.

    Args:
        model: a module, or a function that makes one.
        failing: the shape that did not pass.
        known: a shape that passes, if one is known.

    >>> smallest_input(nn.Sequential(nn.Conv2d(3, 8, 5), nn.MaxPool2d(4)), (3, 6, 6))
    (3, 8, 8)
    """
    built = model if isinstance(model, nn.Module) else build_without_memory(model)
    channels, axes = failing[0], len(failing) - 1

    def works(side: int) -> bool:
        return capture(built, (channels, *(side,) * axes)).error is None

    fails = min(failing[1:], default=0)
    works_from = _first_working(works, fails, max(known[1:]) if known and known[0] == channels else None)
    if works_from is None:
        return None
    while works_from - fails > 1:
        middle = (fails + works_from) // 2
        if works(middle):
            works_from = middle
        else:
            fails = middle
    return (channels, *(works_from,) * axes)


def _first_working(works: Callable[[int], bool], fails: int, known: int | None) -> int | None:
    """The first of the known side and the doubled ones that works; None below 1."""
    if fails < 1:
        return None
    doubled = (fails << times for times in range(1, 11) if fails << times <= _LARGEST)
    sides = (side for side in (known, *doubled) if side is not None and side > fails)
    return next((side for side in sides if works(side)), None)
