"""Tensors that share memory: after one is written, the others catch up when they are next read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convscope.capture.recording.schema import describe
from convscope.capture.recording.tracking import Tracked
from convscope.capture.recording.writeback import write_back

# Records an operation that stands in for the sharing, and gives back its values: (operator function, settings).
Emit = Callable[[Any, dict[str, Any]], list[int]]


def wrote(tracked: Tracked, value: int) -> None:
    """A tensor was written: this is its value now, and the newest in its memory."""
    memory = tracked.memory
    memory.generation += 1
    memory.newest = tracked
    tracked.value, tracked.generation = value, memory.generation


def catch_up(tracked: Tracked, emit: Emit) -> None:
    """Bring a tensor up to date with what was written through other views of its memory."""
    memory = tracked.memory
    if tracked.generation == memory.generation:
        return
    newest = memory.newest
    assert newest is not None
    chain = tracked.chain
    if newest not in chain:
        _carry_back(newest, emit)
    _replay(chain, memory.generation, emit)


def _replay(chain: list[Tracked], generation: int, emit: Emit) -> None:
    """Make the views of a chain anew, from the last link of this generation on."""
    fresh = max(i for i, link in enumerate(chain) if link.generation == generation)
    for parent, link in zip(chain[fresh:], chain[fresh + 1 :], strict=False):
        assert link.view is not None
        function, settings, output = link.view
        link.value = emit(function, {**settings, describe(function).names[0]: parent})[output]
        link.generation = generation


def _carry_back(newest: Tracked, emit: Emit) -> None:
    """Carry what was written through a view back to the memory's own tensor, link by link."""
    memory = newest.memory
    chain = newest.chain
    # The links above the written view show earlier states: bring them to the latest of these first.
    above = chain[:-1]
    _replay(above, max(link.generation for link in above), emit)
    for base, part in zip(above[::-1], chain[:0:-1], strict=True):
        base.value = emit(*write_back(base, part))[0]
        base.generation = memory.generation
    memory.newest = chain[0]
