"""Findings about receptive fields: larger than the image, smaller than the object, or full of holes."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from convscope.geometry.relation import ReachStatus, Taps
from convscope.graph.diagnose.finding import DesignWarning, DiagnosedNetwork, FindingSeverity, by
from convscope.graph.network_field import NetworkField, fields_by_layer, network_field, network_local_field
from convscope.graph.reach_walk import walk_back
from convscope.graph.receptive_field import ReceptiveField
from convscope.graph.records import Node
from convscope.graph.smallest_path import SmallestPaths
from convscope.graph.summary import Layer
from convscope.graph.vocabulary import CONVOLUTIONS, POOLINGS
from convscope.report.units import plural
from convscope.report.usage import setting_name

# Shares of the image's side: a largest field below the first is worth a note, below the second a warning.
_BELOW, _FAR_BELOW = 1 / 4, 1 / 8
# Each walk back costs about as much as a whole propagation: this many suspicious layers are looked at, the first ones.
_WALKS = 6


def beyond_image(subject: DiagnosedNetwork) -> Iterator[DesignWarning]:
    """Convolutions whose input has seen the whole image already: they add weights, and no context.

    A warning where it holds for every position and along every path to the layer; a note where it holds for every
    position but shorter paths (shortcuts, narrow branches) have seen less, or for the central positions alone.

    Source: Richter, Schöning, Wiedenroth and Krumnack, "Should you go deeper? Optimizing convolutional neural network
    architectures without training" (2021).
    """
    image, sizes = _image(subject)
    if image is None:
        return
    paths: SmallestPaths | None = None
    for node in subject.nodes:
        if node.op != "convolution" or all(w.kernel_size == 1 for w in node.windows):
            continue
        source = subject.source(node)
        if all(size == 1 for size in subject.spatial(source)):
            continue  # reported by the taps that only meet padding
        fields = _exact_fields(subject, source, image)
        if not fields or any((field.size or 0) < size for field, size in zip(fields, sizes, strict=True)):
            continue
        paths = paths or SmallestPaths(subject.graph, [(image, axis) for axis in subject.positions[image]])
        least = paths.sizes(source) or ()
        everywhere = all(map(_covers, fields, subject.spatial(source), sizes))
        every_path = bool(least) and all(short and short >= size for short, size in zip(least, sizes, strict=True))
        if not everywhere and not every_path:
            continue
        name = subject.name(node)
        if everywhere:
            message = f"{name} can add no context: every position that it reads depends on the whole image"
            message += "" if every_path else ", if not along its shortest paths"
        else:
            message = f"{name} adds little context: the field before it is larger than the image"
        severity: FindingSeverity = "warning" if everywhere and every_path else "note"
        yield DesignWarning(
            layer=name,
            kind="beyond-image",
            severity=severity,
            message=message,
            evidence=f"receptive field {by([f.size or 0 for f in fields])} before the layer, image {by(sizes)}",
            remedy="use larger images, less downsampling before it, or fewer layers (Richter et al., 2021, find such "
            "layers unproductive)",
        )


def _covers(field: ReceptiveField, positions: int, image_size: int) -> bool:
    """Return whether the fields of all positions along an axis cover the image's whole axis."""
    if field.start is None or field.stride is None or not field.sizes:
        return False
    last_start = field.start + (positions - 1) * field.stride
    return last_start <= 0 and field.start + field.sizes[0] >= image_size


def small_field(subject: DiagnosedNetwork) -> Iterator[DesignWarning]:
    """Yield a network in which no position of the last map sees an object of the given size whole."""
    image, _ = _image(subject)
    if subject.object_size is None or image is None:
        return
    if any(_reads_a_whole_map(subject, node) for node in subject.nodes):
        return  # a fully connected layer on the flattened map sees everything, position by position
    best: tuple[int, Node, tuple[ReceptiveField, ...]] | None = None
    for node in subject.nodes:
        if node.op not in CONVOLUTIONS and not node.windows:
            continue
        fields = _exact_fields(subject, node.outputs[0], image)
        if fields:
            least = min(f.size or 0 for f in fields)
            if best is None or least > best[0]:
                best = (least, node, fields)
    if best is None or best[0] >= subject.object_size:
        return
    size, node, fields = best
    stride = max((f.stride or Fraction(1)) for f in fields)
    layers = -(-(subject.object_size - size) // max(1, int(2 * stride)))
    yield DesignWarning(
        layer=subject.name(node),
        kind="small-field",
        severity="warning",
        message=f"no position sees an object of {plural(subject.object_size, 'pixel')} whole: the largest receptive "
        f"field, at {subject.name(node)}, is {by([f.size or 0 for f in fields])}",
        evidence=f"a 3×3 convolution here would add {int(2 * stride)} pixels; and the effective field is smaller than "
        "the theoretical one (Luo et al., 2016)",
        remedy=f"add about {layers} 3×3 layer{'s' if layers > 1 else ''} here, or downsample or dilate earlier",
    )


def far_below_image(subject: DiagnosedNetwork) -> Iterator[DesignWarning]:
    """Yield a network that averages its last map over positions, none of which sees much of the image.

    It then decides by small parts alone. Gates and normalization are left out (`graph.local_field`); networks whose
    positions exchange what they see after that, by attention or a fully connected layer, see more.

    Source: Brendel and Bethge, "Approximating CNNs with bag-of-local-features models works surprisingly well" (2019).
    """
    image, sizes = _image(subject)
    # Sounds are recognised by a mean over time of short stretches: that is the task, and no fault.
    if image is None or len(sizes) < 2 or any(_reads_a_whole_map(subject, node) for node in subject.nodes):
        return
    found = network_field(subject.graph, subject.layers, fields_by_layer(subject.layers, image))
    if found is None or not _is_small(found, sizes):
        return
    found = network_local_field(subject.graph, subject.layers, found) or found
    reader = next((layer for layer in subject.layers if layer.name == found.reader), None)
    if not _is_small(found, sizes) or reader is None or not _ends_positions(subject, reader, image):
        return
    share = _share_seen(found, sizes)
    yield DesignWarning(
        layer=found.layer,
        kind="far-below-image",
        severity="warning" if share < _FAR_BELOW else "note",
        message=f"{found.reader} averages positions that see {by([f.size or 0 for f in found.fields])} each of the "
        f"input's {by(sizes)}",
        evidence=f"{100 * share:.0f} % of each side, from {found.layer} on: what is larger is recognised by its parts "
        "alone (Brendel and Bethge, 2019)",
        remedy="downsample earlier, add layers, or use smaller images; "
        f"{setting_name('object_size')} says what has to be seen whole",
    )


def _is_small(found: NetworkField, sizes: tuple[int, ...]) -> bool:
    return len(found.fields) == len(sizes) and 0 < _share_seen(found, sizes) < _BELOW


def _share_seen(found: NetworkField, sizes: tuple[int, ...]) -> float:
    """Return the share of the image's side that a field has, along the axis where it is larger; 0 where not known."""
    if any(field.size is None for field in found.fields):
        return 0.0
    return max((field.size or 0) / size for field, size in zip(found.fields, sizes, strict=True))


def _ends_positions(subject: DiagnosedNetwork, reader: Layer, image: int) -> bool:
    """Return whether a layer leaves no position of the image, as a mean over all of them does."""
    fields = reader.field_along(image)
    return reader.op in POOLINGS and bool(fields) and not any(field.axes for field in fields)


def _reads_a_whole_map(subject: DiagnosedNetwork, node: Node) -> bool:
    """Return a fully connected layer whose input is a map that was flattened."""
    return node.op == "linear" and flattened_map(subject, node) is not None


def flattened_map(subject: DiagnosedNetwork, node: Node) -> int | None:
    """Return the (N, C, ...) map of several positions that was flattened into a linear layer's features, or None."""
    value = subject.source(node)
    features = subject.graph.shape(value)[-1]
    for _ in range(12):
        producer = subject.graph.values[value].producer
        if producer is None:
            return None
        before = subject.graph.nodes[producer]
        source = subject.source(before)
        if before.op in ("reshape", "flatten"):
            shape = subject.graph.shape(source)
            flat = int(np.prod(shape[1:]))
            flattened = len(shape) > 2 and flat == features and int(np.prod(shape[2:])) > 1
            of_samples = shape[0] == subject.graph.shape(value)[0] == subject.graph.shape(subject.graph.inputs[0])[0]
            return source if flattened and of_samples and not _are_tokens(subject, source) else None
        if subject.graph.shape(source) != subject.graph.shape(value):
            return None
        value = source
    return None


def _are_tokens(subject: DiagnosedNetwork, value: int) -> bool:
    """Return whether the last axis of a value holds features rather than positions: channels, or those of tokens."""
    while (producer := subject.graph.values[value].producer) is not None:
        node = subject.graph.nodes[producer]
        # (N, 1, C) is one token as well as a signal of one channel: where its numbers come from tells which.
        if _samples(node) or (_long_axes(subject, value) == [1] and len(subject.graph.shape(value)) > 2):
            break
        if node.op in ("linear", "matmul", "attention"):
            return True
        value = subject.source(node)
    return _long_axes(subject, value) == [1] and len(subject.graph.shape(value)) > 2


def _samples(node: Node) -> bool:
    """Return whether an operation reads positions along an axis, as windows, resizing and adaptive pooling do."""
    return any(isinstance(step, Taps) for path in node.paths or () for step in path.steps)


def _long_axes(subject: DiagnosedNetwork, value: int) -> list[int]:
    return [axis for axis, size in enumerate(subject.graph.shape(value)) if axis and size > 1]


def gridding(subject: DiagnosedNetwork) -> Iterator[DesignWarning]:
    """Dilated convolutions whose cells depend on a grid of pixels with holes between.

    Source: Wang et al., "Understanding convolution for semantic segmentation" (2018), section 3.2.
    """
    image, sizes = _image(subject)
    if image is None:
        return
    dilated = [n for n in subject.nodes if any(w.dilation > 1 < w.kernel_size for w in n.windows)]
    solid = _solid_fields(subject, image) if dilated else frozenset()
    suspects = [n for n in dilated if n.op == "convolution" and n.outputs[0] not in solid]
    for node in suspects[:_WALKS]:
        for axis, size in enumerate(sizes):
            read = _read_along(subject, node, image, axis)
            hull = read[-1] - read[0] + 1 if read else 0
            if not len(read) < hull <= size:
                continue
            lines = ("rows" if axis == len(sizes) - 2 else "columns") if len(sizes) == 2 else "positions"
            yield DesignWarning(
                layer=subject.name(node),
                kind="gridding",
                severity="warning",
                message=f"a cell of {subject.name(node)} depends on {len(read)} of the {hull} {lines} that its "
                f"receptive field spans, with holes between",
                evidence=f"dilation {node.windows[axis].dilation}, and nothing before it fills the gaps between taps",
                remedy="mix dilations without a common factor, such as 1, 2, 5, or put undilated layers before",
            )
            break


def _solid_fields(subject: DiagnosedNetwork, image: int) -> frozenset[int]:
    """Return the values whose fields surely have no holes: what each tap sees reaches what the next tap sees."""
    solid = {image}
    for node in subject.nodes:
        sources = [v for v in node.inputs if subject.reached[v]]
        if not solid.issuperset(sources):
            continue
        fields = _exact_fields(subject, sources[0], image)
        closed = len(fields) == len(node.windows) and all(
            f.stride is not None and w.dilation * f.stride <= f.sizes[0]
            for f, w in zip(fields, node.windows, strict=True)
            if w.kernel_size > 1
        )
        if closed or not node.windows:
            solid.update(node.outputs)
    return frozenset(solid)


def _read_along(subject: DiagnosedNetwork, node: Node, image: int, axis: int) -> list[int]:
    """Return the image positions along one axis that the middle of a node's output depends on; none if not exact."""
    shape = subject.graph.shape(node.outputs[0])
    cell = tuple(size // 2 if a == axis + 2 else None for a, size in enumerate(shape))
    walk = walk_back(subject.graph, node.outputs[0], cell)
    if walk.status(image) is not ReachStatus.EXACT:
        return []
    return [int(i) for i in np.flatnonzero(walk.along(image, subject.positions[image][axis]))]


def _image(subject: DiagnosedNetwork) -> tuple[int | None, tuple[int, ...]]:
    for value in subject.graph.inputs:
        sizes = subject.spatial(value)
        if sizes:
            return value, sizes
    return None, ()


def _exact_fields(subject: DiagnosedNetwork, value: int, image: int) -> tuple[ReceptiveField, ...]:
    fields = subject.fields[value]
    axes = subject.positions[image]
    along = tuple(fields[image, axis] for axis in axes if (image, axis) in fields)
    whole = len(along) == len(axes)
    return along if whole and all(f.status is ReachStatus.EXACT and f.endless for f in along) else ()
