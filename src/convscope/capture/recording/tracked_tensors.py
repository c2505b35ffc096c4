"""The tensors that a recorder has seen, each with what is known of it, held until nothing can read them again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from convscope.capture.recording.aliasing import Tracked
from convscope.capture.recording.reads import VIEWED, kept_elsewhere

# Bytes that a real run makes between two looks for tensors that nothing can read again.
RELEASED_AFTER = 2**27


class TrackedTensors:
    """What is known of each tensor, by its identity.

    A tensor is held, so that no id is used twice; in a real run until its memory is released.
    """

    def __init__(self) -> None:
        self._by_id: dict[int, Tracked] = {}
        self._held: list[Any] = []
        # Those that are detached from others, with which they share what is known.
        self._detached: set[int] = set()
        self._bytes = 0

    def of(self, tensor: torch.Tensor) -> Tracked | None:
        """Return what is known of a tensor; None where it was never seen."""
        return self._by_id.get(id(tensor))

    def add(self, tensor: torch.Tensor, tracked: Tracked) -> None:
        """Hold a tensor that is seen for the first time."""
        self._by_id[id(tensor)] = tracked
        self._held.append(tensor)

    def replace(self, tensor: torch.Tensor, tracked: Tracked) -> None:
        """Know something else of a tensor that is held."""
        self._by_id[id(tensor)] = tracked

    def detach(self, tensor: torch.Tensor) -> None:
        """Note that a tensor is detached from the one with which it shares what is known."""
        self._detached.add(id(tensor))

    def detached_among(self, arguments: Iterable[tuple[str, Any]]) -> tuple[str, ...]:
        """Return which arguments of an operation are detached tensors, as in `Node.detached`."""
        found: list[str] = []
        for name, argument in arguments if self._detached else ():
            if isinstance(argument, list | tuple):
                found += [f"{name}.{place}" for place, one in enumerate(argument) if id(one) in self._detached]
            elif id(argument) in self._detached:
                found.append(name)
        return tuple(found)

    def count(self, made: int) -> None:
        """Count bytes that a real run made, and release what nothing outside can read once they are many."""
        self._bytes += made
        if self._bytes > RELEASED_AFTER and not torch.is_grad_enabled():  # autograd holds tensors out of sight
            self._release()

    def kept_elsewhere(self) -> list[Tracked]:
        """Return what is known of the tensors that something else refers to as well."""
        tracked = [self._by_id.get(id(tensor)) for tensor in self._held]
        own = [int(t is not None and t.tensor is tensor) for t, tensor in zip(tracked, self._held, strict=True)]
        # A view that is held here refers to its base.
        viewed = {id(t.tensor._base) for t in tracked if t is not None and t.parent is not None}
        if viewed:
            own = [count + VIEWED * (id(tensor) in viewed) for count, tensor in zip(own, self._held, strict=True)]
        return [found for i in kept_elsewhere(self._held, own) if (found := tracked[i]) is not None]

    def _release(self) -> None:
        """Forget the tensors whose memory nothing outside can read or write again, so that it is free."""
        self._bytes = 0
        in_use = {tracked.memory.index for tracked in self.kept_elsewhere()}
        held, self._held = self._held, []
        for tensor in held:
            tracked = self._by_id.get(id(tensor))
            if tracked is None or tracked.memory.index in in_use:
                self._held.append(tensor)
            else:
                del self._by_id[id(tensor)]
                self._detached.discard(id(tensor))
