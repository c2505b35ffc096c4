"""Findings about single windows: what they step over, what they never touch, where they shift."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from convscope.geometry.taps import window_taps
from convscope.graph.diagnose.finding import DesignWarning, DiagnosedNetwork, by
from convscope.graph.records import Node
from convscope.report.units import plural


def dead_taps(subject: DiagnosedNetwork) -> Iterator[DesignWarning]:
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
            + (f": {plural(wasted, 'weight')} never get a gradient" if wasted else ""),
            remedy="use a larger input, stride less before it, or lower the kernel or the dilation",
        )


def _live_taps(node: Node, axis: int, size: int) -> int:
    window = node.windows[axis]
    if size >= window.span + window.stride or window.padding == (0, 0):
        return window.kernel_size
    return int(np.count_nonzero(window_taps(window, size).inside.any(axis=0)))


def even_same(subject: DiagnosedNetwork) -> Iterator[DesignWarning]:
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


def stride_over_kernel(subject: DiagnosedNetwork) -> Iterator[DesignWarning]:
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


def aliasing(subject: DiagnosedNetwork) -> Iterator[DesignWarning]:
    """Downsampling with nothing that takes away the fine detail that the coarser map can't hold."""
    for node in subject.nodes:
        overlapping = any(1 < w.stride < w.kernel_size for w in node.windows)
        pooled = node.op == "max_pool" and any(w.stride > 1 for w in node.windows)
        learned = node.op == "convolution" and overlapping and _is_learned(subject, node)
        if not (pooled or learned):
            continue
        windows = subject.windows(node)
        strides = by([w.stride for w in windows])
        what = "a max-pooling" if pooled else "a strided convolution"
        yield DesignWarning(
            layer=subject.name(node),
            kind="aliasing",
            severity="note",
            message=f"{subject.name(node)} downsamples by {strides} without a low-pass filter",
            evidence=f"{what} of {by([w.kernel_size for w in windows])}: small shifts of the input change its "
            "output more than need be (Zhang, 2019)",
            remedy="where small shifts must not matter: the same layer at stride 1, then a blur with the stride",
        )


def _is_learned(subject: DiagnosedNetwork, node: Node) -> bool:
    record = subject.weight(node, "weight")
    return record is None or (record.trainable and not record.buffer)
