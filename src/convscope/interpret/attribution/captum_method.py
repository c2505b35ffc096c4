"""Captum's methods of attribution at the input, as `captum:NAME`, on a copy of the network.

Captum (BSD) is an extra: it brings matplotlib along. It registers hooks on modules, so it gets a copy of the network in
evaluation mode, and what its hooks miss is said beside the map (`captum_traps`).
"""

from __future__ import annotations

import copy
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from convscope.api.generators import exclusive
from convscope.api.warning_filters import warnings_ignored
from convscope.capture.outputs import tensors_in
from convscope.errors import ArgumentError, CaptureError, did_you_mean, nearest_names
from convscope.hardware.memory_errors import is_out_of_memory, too_large
from convscope.interpret.attribution.baselines import DEFAULT, baseline_of
from convscope.interpret.attribution.captum_traps import traps
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.attribution.placement import at_input, over_channels, require_gradient
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.attribution.windows import Windows
from convscope.interpret.replay.class_scores import by_class
from convscope.interpret.subject import Subject

PREFIX = "captum:"
_TAKES: Mapping[str, tuple[str, ...]] = {
    "Saliency": (),
    "InputXGradient": (),
    "GuidedBackprop": (),
    "Deconvolution": (),
    "LRP": (),
    "IntegratedGradients": ("baseline",),
    "DeepLift": ("baseline",),
    "DeepLiftShap": (),
    "GradientShap": (),
    "FeatureAblation": ("baseline",),
    "ShapleyValueSampling": ("baseline",),
    "Lime": ("baseline",),
    "KernelShap": ("baseline",),
    "Occlusion": ("baseline", "window", "stride"),
}
"""Captum's methods at the input, and the options that each takes."""

_OF_SEVERAL = ("DeepLiftShap", "GradientShap")  # they take the mean over several baselines
_OF_ONE = ("Saliency", "InputXGradient", "GuidedBackprop", "Deconvolution", "LRP")  # they run the image alone
_BESIDE_BASELINE = ("DeepLift", "DeepLiftShap")  # their hooks need the image and its baselines in one batch
_BLOCKS = 8  # along each axis, of which methods that turn features on and off have one each


def captum_options(name: str) -> tuple[str, ...]:
    """Return the options that a method of Captum takes; `name` is without the prefix.

    Raises:
        ArgumentError: Captum has no such method at the input; the message has the nearest names.
    """
    if name in _TAKES:
        return _TAKES[name]
    if name.startswith(("Layer", "Neuron")) or name in ("GuidedGradCam", "InternalInfluence"):
        raise ArgumentError(f"{PREFIX}{name} explains a layer: use grad-cam or hires-cam with a layer instead")
    known = [f"{PREFIX}{one}" for one in nearest_names(name, _TAKES)]
    hint = did_you_mean(name, _TAKES) or f" The nearest: {', '.join(known)}."
    raise ArgumentError(f"there is no method {PREFIX}{name} at the input.{hint}")


def captum_attribution(name: str) -> Callable[[Subject, int, AttributionOptions], Attribution]:
    """Return the function that explains by a method of Captum."""

    def explain(subject: Subject, target: int, options: AttributionOptions) -> Attribution:
        return _explained(name, subject, target, options)

    return explain


def import_captum() -> ModuleType:
    """Return `captum.attr`.

    Raises:
        CaptureError: it is not installed, or something that it imports is not; the message says what to install.
    """
    try:
        with warnings_ignored():
            return importlib.import_module("captum.attr")
    except ModuleNotFoundError as error:
        if error.name in ("captum", None):
            raise CaptureError("captum is not installed: pip install 'convscope[captum]'") from error
        missing = error.name.partition(".")[0]
        raise CaptureError(f"captum needs {missing}, which is not installed: pip install {missing}") from error


def _explained(name: str, subject: Subject, target: int, options: AttributionOptions) -> Attribution:
    """Return a map by a method of Captum.

    Raises:
        ArgumentError: no such baseline, or a window or stride out of range.
        CaptureError: Captum is not installed, fails on this network, or runs images beside each other where the network
            takes one at a time.
    """
    library = import_captum()
    image = require_gradient(subject.replay).detach()
    missed = traps(name, subject.replay.graph)
    one_by_one = name not in _OF_ONE and not subject.replays.takes([torch.cat([image, image])])
    if one_by_one and name in _BESIDE_BASELINE:
        raise CaptureError(
            f"{PREFIX}{name} needs the image and its baseline in one batch, and {subject.name} takes one image at a "
            "time: take integrated-gradients"
        )
    baseline, notes = baseline_of(subject, options.baseline or DEFAULT)
    settings = _settings(name, subject, baseline, options)
    try:
        with _seeded(), torch.inference_mode(False), torch.enable_grad(), warnings_ignored():
            scores = _ClassScores(subject.network, subject.replays.weights, one_by_one=one_by_one)
            method = getattr(library, name)(scores)
            known = inspect.signature(method.attribute).parameters
            given = {key: value for key, value in settings.items() if key in known}
            values = method.attribute(image.clone().requires_grad_(), target=target, **given)
    except Exception as error:  # whatever it raises, from an assertion to a missing import
        if is_out_of_memory(error):
            raise CaptureError(too_large(f"{PREFIX}{name} on {subject.name}", error)) from error
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise CaptureError(f"{PREFIX}{name} fails on {subject.name}: {why}") from error
    found = values.detach()[0].double()
    used = "baselines" in given
    return at_input(
        subject,
        target,
        over_channels(subject, found),
        values=found,
        method=f"{PREFIX}{name}",
        title=f"Captum's {name}",
        signed=name != "Saliency",
        baseline=("blurred, mean" if name in _OF_SEVERAL else options.baseline or DEFAULT) if used else "",
        notes=(*missed, *(notes if used else ())),
    )


def _settings(name: str, subject: Subject, baseline: torch.Tensor, options: AttributionOptions) -> dict[str, Any]:
    """Return everything that a method of Captum may need besides the image and the class."""
    geometry, image = subject.geometry, subject.tensor
    settings: dict[str, Any] = {"baselines": baseline, "perturbations_per_eval": 16}
    if name in _OF_SEVERAL:
        settings["baselines"] = torch.cat([baseline_of(subject, one)[0] for one in ("blurred", "mean")])
    if name == "Occlusion":
        windows = Windows.over(geometry.size, side=options.window, stride=options.stride)
        sides, strides = list(image.shape[1:]), list(image.shape[1:])
        for axis in geometry.image_axes:
            sides[axis - 1], strides[axis - 1] = windows.side, windows.stride
        settings |= {"sliding_window_shapes": tuple(sides), "strides": tuple(strides)}
    elif geometry.image_axes:
        blocks = torch.zeros(image.shape, dtype=torch.long)
        for axis in geometry.image_axes:
            size = image.shape[axis]
            along = torch.arange(size) * min(_BLOCKS, size) // size
            blocks = blocks * _BLOCKS + along.reshape([-1 if a == axis else 1 for a in range(image.ndim)])
        # Captum takes features without gaps in their numbers.
        settings["feature_mask"] = torch.unique(blocks, return_inverse=True)[1]
    return settings


@contextmanager
def _seeded() -> Iterator[None]:
    """Draw the same numbers each time inside, from torch's and NumPy's global generators; both are restored."""
    with exclusive():
        torch.manual_seed(0)
        # What Captum itself draws from.
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(0)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002


class _ClassScores(nn.Module):
    """A copy of a network in evaluation mode that gives (N, classes), with nothing in place.

    Args:
        network: any module.
        weights: numbers in place of its parameters and buffers, by name.
        one_by_one: whether the network takes one image at a time.
    """

    def __init__(self, network: nn.Module, weights: Mapping[str, torch.Tensor], *, one_by_one: bool = False) -> None:
        super().__init__()
        self.one_by_one = one_by_one
        self.network = copy.deepcopy(getattr(network, "_orig_mod", network)).eval()
        with torch.no_grad():
            for (name, _), (_, tensor) in zip(_numbers(network), _numbers(self.network), strict=True):
                if name in weights:
                    tensor.copy_(weights[name])
        for module in self.network.modules():
            if getattr(module, "inplace", False) is True:
                module.inplace = False
        for parameter in self.network.parameters():
            parameter.grad = None

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the score of each class."""
        if self.one_by_one and len(image) > 1:
            return torch.cat([self.forward(one) for one in torch.split(image, 1)])
        made = tensors_in(self.network(image))
        found = next(tensor for tensor in made if tensor.is_floating_point() and tensor.ndim)
        return by_class(found, images=len(image))


def _numbers(network: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield a network's parameters and buffers, each under every name that it has."""
    yield from network.named_parameters(remove_duplicate=False)
    yield from network.named_buffers(remove_duplicate=False)
