"""Convolutions without padding in a row, which take away most of a map where no stride does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from convscope.graph.diagnose.finding import DesignWarning, DiagnosedNetwork, by, share
from convscope.graph.records import Node

# As many convolutions, which together leave less than this share of each side.
_FEWEST, _LEFT = 3, 0.5
_PADS = ("pad", "reflect_pad", "replicate_pad", "circular_pad")


@dataclass(frozen=True, slots=True)
class _Shrinkage:
    """The convolutions on the way to a value that made it smaller by their kernels alone, and what they left."""

    left: float = 1.0
    nodes: tuple[Node, ...] = ()


def shrinking(subject: DiagnosedNetwork) -> Iterator[DesignWarning]:
    """Yield the convolutions of stride 1 whose missing padding takes away more than half of each side.

    What strides and poolings take is meant, and so is a kernel of the map's own size, a fully connected layer. Where
    branches meet, the one that lost least counts.
    """
    ways: dict[int, _Shrinkage] = {}
    worst = _Shrinkage()
    for node in subject.nodes:
        arriving = [ways.get(value, _Shrinkage()) for value in node.inputs if subject.reached[value]]
        way = max(arriving, key=lambda one: one.left, default=_Shrinkage())
        if (left := _left_by(subject, node)) < 1:
            way = _Shrinkage(way.left * left, (*way.nodes, node))
            worst = min(worst, way, key=lambda one: one.left)
        ways.update(dict.fromkeys(node.outputs, way))
    if len(worst.nodes) < _FEWEST or worst.left > _LEFT:
        return
    first, last = worst.nodes[0], worst.nodes[-1]
    before, after = subject.spatial(subject.source(first)), subject.spatial(last.outputs[0])
    margins = ", ".join(f"{subject.name(node)} {_lost(subject, node)}" for node in worst.nodes[:6])
    yield DesignWarning(
        layer=subject.name(first),
        kind="shrinking",
        severity="warning",
        message=f"{len(worst.nodes)} convolutions without padding, from {subject.name(first)} to {subject.name(last)}, "
        f"leave {share(round(1000 * worst.left), 1000)} of each side of the map: {by(before)} becomes {by(after)}",
        evidence=f"cells of a side lost: {margins}{', ...' if len(worst.nodes) > 6 else ''}; what lies at the border "
        "is read by fewer windows than the rest",
        remedy="pad by half the kernel (padding='same'), and let strides or poolings make the map smaller",
    )


def _left_by(subject: DiagnosedNetwork, node: Node) -> float:
    """Return the share of a side that a convolution of stride 1 leaves, along the axis where it leaves most."""
    if node.op != "convolution" or any(window.stride != 1 for window in node.windows):
        return 1.0
    before, after = _before(subject, node), subject.spatial(node.outputs[0])
    if not before or len(before) != len(after) or all(size == 1 for size in after) or 0 in before:
        return 1.0
    return min(1.0, max(made / size for made, size in zip(after, before, strict=True)))


def _before(subject: DiagnosedNetwork, node: Node) -> tuple[int, ...]:
    """Return the sizes of a convolution's input, before an operation that pads it."""
    source = subject.source(node)
    producer = subject.graph.values[source].producer
    padded = subject.graph.nodes[producer] if producer is not None else None
    return subject.spatial(subject.source(padded) if padded is not None and padded.op in _PADS else source)


def _lost(subject: DiagnosedNetwork, node: Node) -> int:
    return max(a - b for a, b in zip(_before(subject, node), subject.spatial(node.outputs[0]), strict=True))
