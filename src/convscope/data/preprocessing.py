"""How an image becomes a network's input: resized, in channels, normalised; and the classes that come out. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from convscope.data.records import Decoding
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError
from convscope.report.short_repr import ShortRepr

# The means and deviations of ImageNet's pixels, which most published weights expect (Krizhevsky et al. 2012 onwards).
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Normalization:
    """Per-channel mean and standard deviation, in units of full intensity (255 is 1.0)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def default(cls, channels: int) -> Normalization:
        """Return ImageNet's for three channels, and for any other number the one that changes nothing."""
        return cls(IMAGENET_MEAN, IMAGENET_STD) if channels == 3 else cls((0.0,) * channels, (1.0,) * channels)


@dataclass(frozen=True, kw_only=True, repr=False)
class Preprocessing(ShortRepr):
    """Everything between an image file and a network's input, and the names of the network's outputs.

    `classes` are in the order of the outputs, and empty where nothing names them. There is no bit depth: a decoded
    image has 8 bits a channel whatever its file has, in training as in prediction.
    """

    decoding: Decoding
    normalization: Normalization
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.normalization.mean) == len(self.normalization.std) == self.decoding.channels

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The shape of one sample: (C, H, W)."""
        return (self.decoding.channels, *self.decoding.size)

    @classmethod
    def default(cls, input_shape: Sequence[int], normalization: Normalization | None = None) -> Preprocessing | None:
        """Return the preprocessing for an input (C, H, W) of which no more is known; None where it is no image.

        >>> Preprocessing.default((3, 224, 224)).normalization.mean
        (0.485, 0.456, 0.406)
        """
        if len(input_shape) != 3 or input_shape[0] not in (1, 3):
            return None
        channels, height, width = input_shape
        return cls(
            decoding=Decoding(size=(height, width), channels=channels),
            normalization=normalization or Normalization.default(channels),
        )

    def resized(self, input_shape: Sequence[int]) -> Preprocessing:
        """Return the same preprocessing for inputs (C, H, W) of other sides; the number of channels must be equal."""
        assert len(input_shape) == 3 and input_shape[0] == self.decoding.channels
        return replace(self, decoding=replace(self.decoding, size=(input_shape[1], input_shape[2])))

    def to_dict(self) -> dict[str, Any]:
        """Return all but the class names as JSON can hold it."""
        mean, std = self.normalization.mean, self.normalization.std
        return {**self.decoding.to_dict(), "mean": list(mean), "std": list(std)}

    @classmethod
    def from_fields(cls, fields: Fields, *, classes: Sequence[str]) -> Preprocessing:
        """Return the preprocessing that `to_dict` wrote; raises UnreadableError where a field does not fit."""
        decoding = Decoding.from_fields(fields)
        mean = fields.numbers("mean", at_least=0, at_most=1)
        std = fields.numbers("std", at_least=1e-9, at_most=10)
        if not len(mean) == len(std) == decoding.channels:
            raise UnreadableError("its mean and std are not one number per channel")
        return cls(decoding=decoding, normalization=Normalization(mean, std), classes=tuple(classes))
