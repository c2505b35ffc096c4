"""Findings about single windows: what they step over, what they never touch, where they shift."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from convscope.geometry.relation import Mix, Taps
from convscope.geometry.taps import window_taps
from convscope.graph.diagnose.finding import DesignWarning, Severity, Subject, by, share
from convscope.graph.records import Node, Path

# Below this share of a map, what is never read is a border effect: worth a note, no more.
_BORDER_SHARE = 0.02


def never_read(subject: Subject) -> Iterator[DesignWarning]:
    """Positions of a map that none of its readers reads, because windows round down or step over them."""
    unread_of = _unread_by_value(subject)
    said: set[int] = set()
    for node in subject.nodes:
        if not node.windows:
            continue
        value = subject.source(node)
        sizes = subject.spatial(value)
        root = _root(subject, value)
        unread = unread_of.get(root, ())
        if root in said or not any(unread):
            continue
        said.add(root)
        lost = prod(sizes) - prod(size - len(u) for size, u in zip(sizes, unread, strict=True))
        where = " and ".join(_positions(sorted(u), axis, len(sizes)) for axis, u in enumerate(unread) if u)
        window, size = next((w, n) for w, n, u in zip(node.windows, sizes, unread, strict=True) if u)
        inside = any(u and min(u) < n - window.stride for u, n in zip(unread, sizes, strict=True))
        short = window.stride - window.remainder(size)
        severity: Severity = "warning" if lost / prod(sizes) >= _BORDER_SHARE else "note"
        yield DesignWarning(
            layer=subject.name(node),
            kind="never-read",
            severity=severity,
            message=f"{subject.name(node)} never reads {share(lost, prod(sizes))} of its {by(sizes)} input",
            evidence=f"{where} of the map: kernel {window.kernel_size}, stride {window.stride}, padding "
            f"{window.padding_before}; no other layer reads them either",
            remedy="use a stride no larger than the kernel, or pool before striding"
            if inside
            else f"pad by {short} more on one side, or use {'ceil_mode or ' if 'pool' in node.op else ''}an input size "
            "that divides",
        )


def _root(subject: Subject, value: int) -> int:
    """The map that this one is, position by position: activations and normalisations are gone back through."""
    while True:
        producer = subject.graph.values[value].producer
        paths = None if producer is None else subject.graph.nodes[producer].paths
        sources = {path.source for path in paths or () if path.output == value and not path.steps}
        if paths is None or len(sources) != 1 or any(path.steps for path in paths if path.output == value):
            return value
        source = sources.pop()
        if subject.graph.shape(source) != subject.graph.shape(value):
            return value
        value = source


def _unread_by_value(subject: Subject) -> dict[int, tuple[frozenset[int], ...]]:
    """By value: the positions along each spatial axis that nothing reads, not even through copies of the value.

    Values that nothing reads at all have no entry; they are no one's loss.
    """
    readers: dict[int, list[Path | None]] = {}
    for node in subject.nodes:
        for value in node.inputs if node.paths is None else ():
            readers.setdefault(value, []).append(None)
        for path in node.paths or ():
            readers.setdefault(path.source, []).append(path)
    outputs = frozenset(subject.graph.outputs)
    unread: dict[int, tuple[frozenset[int], ...]] = {}
    for value in range(len(subject.graph.values) - 1, -1, -1):
        axes = len(subject.spatial(value))
        found: list[tuple[frozenset[int], ...]] = []
        for reader in readers.get(value, ()):
            if reader is not None and not reader.steps:
                if reader.output in unread:
                    found.append(unread[reader.output])
            else:
                found.append(tuple(_missed(reader, axis) for axis in range(2, 2 + axes)))
        if value in outputs:
            unread[value] = (frozenset(),) * axes
        elif found:
            unread[value] = tuple(frozenset.intersection(*sets) for sets in zip(*found, strict=True))
    return unread


def _missed(path: Path | None, axis: int) -> frozenset[int]:
    """Positions along an axis that one reader does not read."""
    taps = None if path is None else _taps_along(path, axis)
    return frozenset() if taps is None else frozenset(taps.table.never_read())


def _taps_along(path: Path, axis: int) -> Taps | None:
    """The path's first step along an axis, if it picks positions; None where it reads them all."""
    for step in path.steps:
        if isinstance(step, Taps):
            if step.axis == axis:
                return step
        elif not isinstance(step, Mix) or step.axis == axis:
            return None
    return None


def _positions(positions: list[int], axis: int, dimensions: int) -> str:
    names = {1: ("positions",), 2: ("rows", "columns"), 3: ("planes", "rows", "columns")}
    name = names.get(dimensions, ("positions",) * dimensions)[axis]
    if len(positions) == 1:
        return f"{name[:-1]} {positions[0]}"
    shown = ", ".join(map(str, positions[:3]))
    return f"{name} {shown}" if len(positions) <= 3 else f"{name} {shown}, … ({len(positions)} in all)"


def dead_taps(subject: Subject) -> Iterator[DesignWarning]:
    """Kernel taps that only ever lie in the padding: their weights are multiplied by zeros and never learn."""
    for node in subject.nodes:
        if node.op != "convolution":
            continue
        sizes = subject.spatial(subject.source(node))
        live = [_live_taps(node, axis, size) for axis, size in enumerate(sizes)]
        taps = prod(window.kernel_size for window in node.windows)
        if prod(live) == taps or not live:
            continue
        weight = subject.weight(node, "weight")
        wasted = weight.spec.elements * (taps - prod(live)) // taps if weight else None
        yield DesignWarning(
            layer=subject.name(node),
            kind="dead-taps",
            severity="warning",
            message=f"{taps - prod(live)} of the {taps} taps of {subject.name(node)} only ever meet padding",
            evidence=f"its {by([w.kernel_size for w in node.windows])} kernel"
            + (f" with dilation {node.windows[0].dilation}" if node.windows[0].dilation > 1 else "")
            + f" slides over a map of {by(sizes)}"
            + (f": {wasted:,} weights never get a gradient" if wasted else ""),
            remedy="use a larger input, stride less before it, or lower the kernel or the dilation",
        )


def _live_taps(node: Node, axis: int, size: int) -> int:
    window = node.windows[axis]
    if size >= window.span + window.stride or window.padding == (0, 0):
        return window.kernel_size
    return int(np.count_nonzero(window_taps(window, size).inside.any(axis=0)))


def even_same(subject: Subject) -> Iterator[DesignWarning]:
    """Even kernels that keep the size: padded unevenly, each output lies half a pixel off its input."""
    for node in subject.nodes:
        if node.op != "convolution":
            continue
        source = subject.source(node)
        producer = subject.graph.values[source].producer
        padded = subject.graph.nodes[producer] if producer is not None else None
        before = subject.source(padded) if padded is not None and padded.op == "pad" else source
        for window, size, out in zip(
            node.windows, subject.spatial(before), subject.spatial(node.outputs[0]), strict=False
        ):
            if window.kernel_size % 2 == 0 and window.stride == 1 and size == out and window.span <= size:
                total = window.dilation * (window.kernel_size - 1)
                yield DesignWarning(
                    layer=subject.name(node),
                    kind="even-same",
                    severity="note",
                    message=f"{subject.name(node)} keeps the size with an even kernel, so its output lies half a pixel "
                    "off its input",
                    evidence=f"kernel {window.kernel_size} needs {total} cells of padding, {total // 2} before and "
                    f"{total - total // 2} after; several such layers add up",
                    remedy=f"use a kernel of {window.kernel_size - 1} or {window.kernel_size + 1}",
                )
                break


def stride_over_kernel(subject: Subject) -> Iterator[DesignWarning]:
    """Windows that step further than they are long: they look at some positions and never at their neighbours."""
    for node in subject.nodes:
        if not node.windows or node.op == "transposed_convolution":
            continue
        sizes = subject.spatial(subject.source(node))
        over = [w for w, size in zip(node.windows, sizes, strict=False) if w.stride > w.kernel_size and size > w.stride]
        if not over:
            continue
        seen = prod(w.kernel_size for w in over)
        steps = prod(w.stride for w in over)
        yield DesignWarning(
            layer=subject.name(node),
            kind="stride-over-kernel",
            severity="note",
            message=f"{subject.name(node)} steps over positions: it reads {seen} in {steps} of its input",
            evidence=f"stride {over[0].stride} with a kernel of {over[0].kernel_size} on {by(sizes)}",
            remedy=f"average-pool by {over[0].stride} first and use stride 1, as ResNet-D does",
        )


def aliasing(subject: Subject) -> Iterator[DesignWarning]:
    """Downsampling with nothing that takes away the fine detail that the coarser map can't hold."""
    for node in subject.nodes:
        overlapping = any(1 < w.stride < w.kernel_size for w in node.windows)
        pooled = node.op == "max_pool" and any(w.stride > 1 for w in node.windows)
        learned = node.op == "convolution" and overlapping and _is_learned(subject, node)
        if not (pooled or learned):
            continue
        strides = by([w.stride for w in node.windows])
        what = "a max-pooling" if pooled else "a strided convolution"
        yield DesignWarning(
            layer=subject.name(node),
            kind="aliasing",
            severity="note",
            message=f"{subject.name(node)} downsamples by {strides} without a low-pass filter",
            evidence=f"{what} of {by([w.kernel_size for w in node.windows])}: small shifts of the input change its "
            "output more than need be (Zhang, 2019)",
            remedy="where small shifts must not matter: the same layer at stride 1, then a blur with the stride",
        )


def _is_learned(subject: Subject, node: Node) -> bool:
    record = subject.weight(node, "weight")
    return record is None or (record.trainable and not record.buffer)
