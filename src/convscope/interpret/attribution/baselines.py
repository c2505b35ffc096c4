"""What stands for an image without content: blurred, its mean, black or white."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from convscope.errors import ArgumentError, did_you_mean
from convscope.interpret.attribution.blurred import blurred
from convscope.interpret.subject import Subject

DEFAULT = "blurred"


def baseline_of(subject: Subject, name: str = DEFAULT) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Return what replaces the image or parts of it, in the shape of the network's input, and remarks on it.

    Args:
        subject: the network and its image.
        name: blurred: by a Gaussian, see `blurred`, or the mean of an input without positions; mean: each channel's
            mean over the image; black and white: the pixel values 0 and 255, as the network's preprocessing turns them
            into its input.

    Raises:
        ArgumentError: there is no such baseline.
    """
    if name not in BASELINES:
        hint = did_you_mean(name, BASELINES) or f" The baselines: {', '.join(BASELINES)}."
        raise ArgumentError(f"there is no baseline {name!r}.{hint}")
    notes: tuple[str, ...] = ()
    if name in ("black", "white") and subject.preprocessing is None:
        notes = (f"no preprocessing is known: {name} is the input {int(name == 'white')}",)
    if name == "blurred" and not subject.geometry.image_axes:
        notes = ("the input has no positions to blur: the baseline is the mean of its numbers",)
    return BASELINES[name](subject).to(subject.tensor.dtype), notes


def _blurred(subject: Subject) -> torch.Tensor:
    axes = subject.geometry.image_axes
    return blurred(subject.tensor.double(), axes=axes) if axes else _mean(subject)


def _mean(subject: Subject) -> torch.Tensor:
    axes = subject.geometry.image_axes
    found = subject.tensor.double()
    return found.mean(axes, keepdim=True).expand_as(found) if axes else torch.full_like(found, float(found.mean()))


def _black(subject: Subject) -> torch.Tensor:
    return _intensity(subject, 0.0)


def _white(subject: Subject) -> torch.Tensor:
    return _intensity(subject, 1.0)


def _intensity(subject: Subject, share: float) -> torch.Tensor:
    """Return an image of one intensity, 1 for white, as the network takes it."""
    found = torch.full_like(subject.tensor, share, dtype=torch.float64)
    if subject.preprocessing is None:
        return found
    of = subject.preprocessing.normalization
    shape = [1, -1, *(1 for _ in range(found.ndim - 2))]
    mean, std = (torch.tensor(numbers, dtype=torch.float64).reshape(shape) for numbers in (of.mean, of.std))
    return (found - mean) / std


BASELINES: Mapping[str, Callable[[Subject], torch.Tensor]] = {
    "blurred": _blurred,
    "mean": _mean,
    "black": _black,
    "white": _white,
}
