"""The parts of an attribution's record that every method takes from the subject, and the checks before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from convscope.arrays import Floats
from convscope.errors import CaptureError, GeometryError
from convscope.graph.records import Graph
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.execution.torch_executor import as_array
from convscope.interpret.map_geometry import MapLayout, placed
from convscope.interpret.replay.class_scores import scores_operation
from convscope.interpret.replay.replay import Replay
from convscope.interpret.subject import Subject
from convscope.report.units import shape as sizes_text

# The last operations whose output hardly changes at high confidence.
_SATURATING = ("softmax", "log_softmax", "sigmoid")


def at_input(
    subject: Subject,
    target: int,
    cells: torch.Tensor,
    *,
    values: torch.Tensor | None = None,
    method: str,
    title: str,
    signed: bool,
    baseline: str = "",
    measures: Mapping[str, int | float | str | None] | None = None,
    notes: tuple[str, ...] = (),
    interrupted: bool = False,
) -> Attribution:
    """Return the record of a map on the input itself.

    Args:
        subject: the network and its image.
        target: the class.
        cells: the map, (*S).
        values: the same with channels apart, (C, *S); None of a method that has no such numbers.
        method: the method's name.
        title: the method's name in the literature.
        signed: whether negative numbers mean evidence against the class.
        baseline: what replaced the image or its parts.
        measures: what belongs to the method.
        notes: remarks.
        interrupted: whether Ctrl-C ended it early.
    """
    found = as_array(cells)
    return Attribution(
        network=subject.name,
        image_name=subject.image_name,
        method=method,
        title=title,
        target=target,
        class_name=subject.class_name(target),
        score=float(subject.replay.score(target)[0].detach()),
        cells=found,
        map=found,
        values=None if values is None else as_array(values),
        signed=signed,
        baseline=baseline,
        measures=dict(measures or {}),
        notes=(*notes, *_evidence(subject, target, found, "at the input"), *saturating(subject.replay)),
        pixels=subject.pixels,
        interrupted=interrupted,
    )


def at_layer(
    subject: Subject,
    target: int,
    value: int,
    layout: MapLayout,
    cells: Floats,
    *,
    method: str,
    title: str,
    signed: bool,
) -> Attribution:
    """Return the record of a map on the cells of a layer, placed on the image by the layer's geometry."""
    layer = subject.replay.names.of_value(value)
    even = (
        ()
        if layout.exact
        else (f"the receptive fields of {layer} are not known: its cells are spread evenly over the image",)
    )
    return Attribution(
        network=subject.name,
        image_name=subject.image_name,
        method=method,
        title=title,
        layer=layer,
        target=target,
        class_name=subject.class_name(target),
        score=float(subject.replay.score(target)[0].detach()),
        cells=cells,
        map=placed(cells, layout.centres, subject.geometry.size),
        signed=signed,
        notes=(*_evidence(subject, target, cells, f"at {layer}"), *even, *saturating(subject.replay)),
        pixels=subject.pixels,
    )


def over_channels(subject: Subject, values: torch.Tensor) -> torch.Tensor:
    """Return numbers of one input, (C, *S), summed over the axes that hold no positions, (*S).

    Numbers of an input without positions are returned as they are.
    """
    along = [axis - 1 for axis in subject.geometry.image_axes]
    return summed_beside(values, along) if along else values


def summed_beside(values: torch.Tensor, along: Sequence[int]) -> torch.Tensor:
    """Return numbers summed over all axes but those of positions, `along`, (*S)."""
    others = [axis for axis in range(values.ndim) if axis not in along]
    moved = values.permute(*along, *others)
    return moved.flatten(len(along)).sum(-1) if others else moved


def map_asked(subject: Subject, layer: str | None) -> tuple[int, MapLayout]:
    """Return the value whose map is explained, and how it lies over the image.

    Args:
        subject: the network and its image.
        layer: by name of a layer or an operation; the last with a map on the way to the scores unless given.

    Raises:
        CaptureError: there is no such layer; the message has the nearest names. Or the scores do not depend on it.
        GeometryError: the layer has no map, or no layer has one.
    """
    run, geometry = subject.replay, subject.geometry
    last = geometry.last_map(run.output)
    instead = "take gradient, integrated-gradients or occlusion"
    if layer is None:
        if last is None:
            raise GeometryError(f"{subject.name} has no layer with a spatial map on the way to its scores: {instead}")
        value = last
    else:
        value = run.find(layer)
    layout = geometry.layout(value)
    if layout is None:
        there = f"take one before it, such as {run.names.of_value(last)}" if last is not None else instead
        shape = sizes_text(run.graph.shape(value)[1:]) or "one number"
        raise GeometryError(f"{layer} has no spatial map: its output is {shape}: {there}")
    if not run.tensor(value).is_floating_point():
        raise GeometryError(f"{layer} outputs {run.graph.values[value].spec.dtype}: take a layer of real numbers")
    if not _leads_to(run.graph, value, run.output):
        before = f": take one before them, such as {run.names.of_value(last)}" if last is not None else ""
        raise CaptureError(f"the scores of {subject.name} do not depend on {layer}{before}")
    return value, layout


def _leads_to(graph: Graph, value: int, output: int) -> bool:
    """Return whether an output is computed from a value."""
    wanted = {output}
    for node in reversed(graph.nodes):
        if not wanted.isdisjoint(node.outputs):
            wanted.update(node.inputs)
    return value in wanted


def require_gradient(run: Replay) -> torch.Tensor:
    """Return the input that gradients are taken with respect to.

    Raises:
        CaptureError: the input is of whole numbers, which have no gradient.
    """
    tensor = run.tensor(run.inputs[0])
    if not tensor.is_floating_point():
        raise CaptureError(f"{run.graph.name} takes {tensor.dtype}, which has no gradient: take a layer's map instead")
    return tensor


def saturating(run: Replay) -> tuple[str, ...]:
    """Return a remark where the network itself ends in a softmax or sigmoid, which hardly changes near its limits."""
    node = scores_operation(run.graph)
    if node is None or node.op not in _SATURATING:
        return ()
    return (f"the network ends in {node.op}: at high confidence its output hardly changes",)


def _evidence(subject: Subject, target: int, cells: Floats, where: str) -> tuple[str, ...]:
    lost = int(np.count_nonzero(~np.isfinite(cells)))
    if lost:
        return (f"{lost:,} of {cells.size:,} cells {where} are NaN or infinite",)
    found = bool((cells > 0).any())
    return () if found else (f"no positive evidence for {subject.class_name(target)} {where}",)
