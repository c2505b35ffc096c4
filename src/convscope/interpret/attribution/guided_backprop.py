"""Guided backpropagation: the gradient at the input, at every rectifier only where it is positive.

The rectifiers are found in autograd's own record of the run. Hooks on `nn.ReLU` modules miss functions, ReLU6 and
modules that are called twice: of GoogLeNet's 57 rectifiers they see none, and return the plain gradient. ReLU, ReLU6,
leaky ReLU, PReLU, maxima, thresholds and clamps at 0, and masks such as `torch.where(x > 0, x, 0)` are rectifiers; ELU,
GELU, SiLU and a hard tanh from -1 are none, and keep their gradient.

Source: Springenberg et al. 2015, "Striving for simplicity: the all convolutional net", section 3.4. It depends little
on what the network learned (Adebayo et al. 2018, "Sanity checks for saliency maps", section 5.1): read it beside its
check under random weights.
"""

from __future__ import annotations

from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.attribution.placement import at_input, over_channels, require_gradient
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.subject import Subject


def guided_backprop(subject: Subject, target: int, options: AttributionOptions) -> Attribution:
    """Return the absolute guided gradient of a class's score at each position, summed over channels.

    Raises:
        CaptureError: the input is of whole numbers, or an operation on the way has no gradient.
    """
    run = subject.replay
    require_gradient(run)
    score = run.score(target).sum()
    count = run.count_rectifiers(score)
    (found,) = run.gradients(score, run.inputs[0], guided=True)
    values = found[0].double()
    return at_input(
        subject,
        target,
        over_channels(subject, values.abs()),
        values=values,
        method="guided-backprop",
        title="Guided backpropagation",
        signed=False,
        measures={"rectifiers": count},
        notes=() if count else ("the network has no rectifier: this is the plain gradient",),
    )
