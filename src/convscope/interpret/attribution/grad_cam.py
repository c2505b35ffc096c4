"""Maps on a layer's cells: the layer's channels weighted by the gradient of a class's score.

Source: Selvaraju et al. 2017, "Grad-CAM", section 3, equations 1 and 2, with the ReLU; Draelos and Carin 2020, "Use
HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks", section 3: gradient times
activation, cell by cell, before anything is averaged.
"""

from __future__ import annotations

from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.attribution.placement import at_layer, map_asked, summed_beside
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.execution.torch_executor import as_array
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
    # The run is of one image: where a value's first axis holds something else, its maps count as channels do.
    weights, activation = gradient.double(), run.tensor(value).detach().double()
    if pooled:
        weights = weights.mean(layout.axes, keepdim=True)
    cells = as_array(summed_beside(weights * activation, layout.axes))
    if pooled:
        cells = cells.clip(min=0)
    name, title = ("grad-cam", "Grad-CAM") if pooled else ("hires-cam", "HiResCAM")
    return at_layer(subject, target, value, layout, cells, method=name, title=title, signed=not pooled)
