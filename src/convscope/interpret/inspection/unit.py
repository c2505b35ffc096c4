"""What is drawn of a network as one thing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Family = Literal["input", "convolution", "pooling", "linear", "join", "resize", "block", "other"]


@dataclass(slots=True, eq=False)
class Unit:
    """One thing that is drawn.

    Args:
        index: its place in the order of running.
        family: what colour it has.
        labels: one or two short lines.
        tip: everything about it.
        shape: the output of one sample: (C, H, W), (F, tokens) or (F,).
        side: the largest spatial size, of tokens that of the map which they could be; None without spatial axes.
        count: the number of blocks that it represents.
        group: the outermost module that it belongs to.
        module: the path of the module that it is; "" for functional operations.
        skips: connections inside it that lead around some of its layers, as far as they are shown.
        enlarges: whether it makes its map larger.
        before: units that it reads from.
        name: that of the layer or block that it is; of several, the first.
        outputs: the values that its operations make, in order, as indices into `Graph.values`.
    """

    index: int
    family: Family
    labels: tuple[str, ...]
    tip: str
    shape: tuple[int, ...]
    side: float | None
    count: int = 1
    group: str = ""
    module: str = ""
    skips: int = 0
    enlarges: bool = False
    before: list[Unit] = field(default_factory=list)
    name: str = ""
    outputs: list[int] = field(default_factory=list)


def numbered(units: Iterable[Unit]) -> list[Unit]:
    """Return the units, each with its place among them as its index."""
    kept = list(units)
    for index, unit in enumerate(kept):
        unit.index = index
    return kept
