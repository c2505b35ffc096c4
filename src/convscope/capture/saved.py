"""What autograd keeps of a forward pass for the backward one, seen through its own hooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from convscope.capture.recorder import Recorder
from convscope.graph.records import Node


@contextmanager
def autograd(recorder: Recorder, *, gradients: bool) -> Iterator[None]:
    """Run without gradients, or with them while the recorder hears of every tensor that is kept."""
    if not gradients:
        with torch.no_grad():
            yield
        return

    def never(packed: object) -> torch.Tensor:
        raise AssertionError("a capture runs no backward pass")

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(recorder.pack, never):
        yield


def with_saved(nodes: Sequence[Node], saved: Sequence[tuple[int, int]]) -> tuple[Node, ...]:
    """The nodes with what each made autograd keep, from (node, value) pairs."""
    kept: dict[int, list[int]] = {}
    for node, value in saved:
        kept.setdefault(node, []).append(value)
    return tuple(
        replace(node, saved=tuple(dict.fromkeys(kept[node.index]))) if node.index in kept else node for node in nodes
    )
