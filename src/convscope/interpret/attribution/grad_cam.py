"""Maps on a layer's cells: the layer's channels weighted by the gradient of a class's score.

Source: Selvaraju et al. 2017, "Grad-CAM", section 3, equations 1 and 2, with the ReLU; Draelos and Carin 2020, "Use
HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks", section 3: gradient times
activation, cell by cell, before anything is averaged.
"""

from __future__ import annotations

from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.attribution.placement import at_layer, map_asked
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.execution.torch_executor import as_array
from convscope.interpret.map_geometry import MapLayout
from convscope.interpret.subject import Subject


def grad_cam(subject: Subject, target: int, options: AttributionOptions) -> Attribution:
    """Return Grad-CAM: each channel times the mean of its gradient, summed, negative sums as 0.

    Raises:
        CaptureError: there is no such layer, or an operation between it and the scores has no gradient.
        GeometryError: the layer has no spatial map.
    """
    return _weighted(subject, target, options, pooled=True)


def hires_cam(subject: Subject, target: int, options: AttributionOptions) -> Attribution:
    """Return HiResCAM: each cell's activation times its own gradient, summed over channels, signed.

    Raises:
        CaptureError: there is no such layer, or an operation between it and the scores has no gradient.
        GeometryError: the layer has no spatial map.
    """
    return _weighted(subject, target, options, pooled=False)


def _weighted(subject: Subject, target: int, options: AttributionOptions, *, pooled: bool) -> Attribution:
    run = subject.replay
    value, layout = map_asked(subject, options.layer)
    (gradient,) = run.gradients(run.score(target).sum(), value)
    weights, activation = gradient[0].double(), run.tensor(value).detach()[0].double()
    along = [axis - 1 for axis in layout.axes]
    if pooled:
        weights = weights.mean(along, keepdim=True)
    cells = as_array(
        (weights * activation).permute(_channels_last(layout, activation.ndim)).flatten(len(along)).sum(-1)
    )
    if pooled:
        cells = cells.clip(min=0)
    name, title = ("grad-cam", "Grad-CAM") if pooled else ("hires-cam", "HiResCAM")
    return at_layer(subject, target, value, layout, cells, method=name, title=title, signed=not pooled)


def _channels_last(layout: MapLayout, rank: int) -> list[int]:
    """Return the axes of one image's value with those of positions first, in the order of the image's."""
    along = [axis - 1 for axis in layout.axes]
    return [*along, *(axis for axis in range(rank) if axis not in along)]
