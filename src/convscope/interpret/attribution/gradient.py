"""The gradient of a class's score with respect to the input, and its product with the input.

Source: Simonyan, Vedaldi and Zisserman 2014, "Deep inside convolutional networks", section 3, which takes the largest
channel at each position; here channels are summed, as in every other map. Gradient times input: Shrikumar et al. 2016,
"Not just a black box", section 2.
"""

from __future__ import annotations

from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.attribution.placement import at_input, over_channels, require_gradient
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.subject import Subject


def gradient(subject: Subject, target: int, options: AttributionOptions) -> Attribution:
    """Return the absolute gradient of a class's score at each position, summed over channels.

    Raises:
        CaptureError: the input is of whole numbers, or an operation on the way has no gradient.
    """
    run = subject.replay
    require_gradient(run)
    (found,) = run.gradients(run.score(target).sum(), run.inputs[0])
    cells = over_channels(subject, found[0].double().abs())
    return at_input(subject, target, cells, values=found[0], method="gradient", title="Gradient", signed=False)


def gradient_times_input(subject: Subject, target: int, options: AttributionOptions) -> Attribution:
    """Return the gradient of a class's score times the input at each position, summed over channels.

    Raises:
        CaptureError: the input is of whole numbers, or an operation on the way has no gradient.
    """
    run = subject.replay
    image = require_gradient(run).detach()
    (found,) = run.gradients(run.score(target).sum(), run.inputs[0])
    values = (found * image)[0].double()
    return at_input(
        subject,
        target,
        over_channels(subject, values),
        values=values,
        method="gradient-times-input",
        title="Gradient x input",
        signed=True,
    )
