"""The methods of attribution by name, and the one function that runs any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from convscope.errors import ArgumentError, did_you_mean
from convscope.interpret.attribution.captum_method import PREFIX, captum_attribution, captum_options, import_captum
from convscope.interpret.attribution.grad_cam import grad_cam, hires_cam
from convscope.interpret.attribution.gradient import gradient, gradient_times_input
from convscope.interpret.attribution.guided_backprop import guided_backprop
from convscope.interpret.attribution.integrated_gradients import integrated_gradients
from convscope.interpret.attribution.occlusion import occlusion
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.replay.finite import require_finite
from convscope.interpret.subject import Subject


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method of attribution.

    Args:
        name: as it is asked for.
        explain: computes it: the subject, the class, the options.
        takes: the options that it takes.
    """

    name: str
    explain: Callable[[Subject, int, AttributionOptions], Attribution]
    takes: tuple[str, ...] = ()


_METHODS = (
    Method(name="grad-cam", explain=grad_cam, takes=("layer",)),
    Method(name="hires-cam", explain=hires_cam, takes=("layer",)),
    Method(name="gradient", explain=gradient),
    Method(name="integrated-gradients", explain=integrated_gradients, takes=("baseline", "steps", "precision")),
    Method(name="occlusion", explain=occlusion, takes=("baseline", "window", "stride", "precision")),
    Method(name="guided-backprop", explain=guided_backprop),
    Method(name="gradient-times-input", explain=gradient_times_input),
)
METHODS: Mapping[str, Method] = {method.name: method for method in _METHODS}
DEFAULT = "grad-cam"


def find_method(name: str) -> Method:
    """Return a method by name; "captum:NAME" is Captum's method NAME.

    Raises:
        ArgumentError: there is no such method; the message has the nearest names.
    """
    if name in METHODS:
        return METHODS[name]
    if name.startswith(PREFIX):
        of_captum = name.removeprefix(PREFIX)
        return Method(name=name, explain=captum_attribution(of_captum), takes=captum_options(of_captum))
    hint = did_you_mean(name, METHODS) or f" The methods: {', '.join(METHODS)}, {PREFIX}NAME."
    raise ArgumentError(f"there is no method of attribution {name!r}.{hint}")


def require_method(name: str) -> None:
    """Raise, before anything is computed, where a method can't be had.

    Raises:
        ArgumentError: there is no such method; the message has the nearest names.
        CaptureError: it is Captum's, and Captum is not installed.
    """
    find_method(name)
    if name.startswith(PREFIX):
        import_captum()


def attribute(
    subject: Subject,
    method: str = DEFAULT,
    *,
    target: int | str | None = None,
    options: AttributionOptions | None = None,
) -> Attribution:
    """Return which parts of an image a class's score depends on, by one method.

    Args:
        subject: a network and an image.
        method: one of METHODS, by name, or captum:NAME.
        target: a class by number or name; the predicted one unless given.
        options: settings; each method takes those that `Method.takes` lists.

    Raises:
        ArgumentError: no such method, or an option that it does not take.
        CaptureError: no such layer, numbers that are not finite, or an operation without a gradient.
        GeometryError: no such class, or the layer has no spatial map.

    >>> from torch import nn, ones
    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(72, 4))
    >>> found = attribute(Subject(network=network, name="small", image_name="ones", tensor=ones(1, 1, 6, 6)))
    >>> found.layer, found.cells.shape, found.map.shape
    ('1', (6, 6), (6, 6))
    """
    found, options = find_method(method), options or AttributionOptions()
    for name in options.given:
        if name not in found.takes:
            takes = f"it takes {' and '.join(found.takes)}" if found.takes else "it takes no options"
            raise ArgumentError(f"{found.name} has no option {name}: {takes}")
    number = subject.target(target)
    require_finite(subject.replay)
    return found.explain(subject, number, options)
