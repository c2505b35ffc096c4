"""How an image becomes a network's input: resized, in channels, normalised; and the classes that come out. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from convscope.data.records import Decoding
from convscope.errors import DataError
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError
from convscope.report.short_repr import ShortRepr

# The means and deviations of ImageNet's pixels, which most published weights expect (Krizhevsky et al. 2012 onwards).
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The limits of a standard deviation.
LEAST_STD, MOST_STD = 1e-9, 10.0


@dataclass(frozen=True)
class Normalization:
    """Per-channel mean and standard deviation, in units of full intensity (255 is 1.0)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def parse(cls, mean: str, std: str) -> Normalization:
        """Return the normalisation that the settings `mean` and `std` name: one number, or one for each of 3 channels.

        Raises:
            DataError: no numbers, other than 1 or 3 of them, or numbers out of range.

        >>> Normalization.parse("0.5", "0.25").of_channels(3).std
        (0.25, 0.25, 0.25)
        """
        found = cls(_numbers("mean", mean, least=0.0, most=1.0), _numbers("std", std, least=LEAST_STD, most=MOST_STD))
        if len(found.mean) != len(found.std):
            raise DataError(f"mean is {mean} and std {std}: give as many numbers in both")
        return found

    @property
    def texts(self) -> tuple[str, str]:
        """The settings `mean` and `std`, as `parse` reads them."""
        mean, std = (",".join(map(repr, numbers)) for numbers in (self.mean, self.std))
        return mean, std

    def of_channels(self, channels: int) -> Normalization:
        """Return the same for images with this number of channels; one number is that of each.

        Raises:
            DataError: there is one number for each of three channels, and the images are grey.
        """
        if len(self.mean) not in (1, channels):
            raise DataError(f"mean and std have {len(self.mean)} numbers, and images have {channels} channel: give one")
        return self if len(self.mean) == channels else Normalization(self.mean * channels, self.std * channels)

    def averaged(self, channels: int) -> Normalization:
        """Return the same for grey images too: the mean of three channels, as timm has it.

        >>> Normalization.default(3).averaged(1)
        Normalization(mean=(0.449,), std=(0.226,))
        """
        if channels == len(self.mean):
            return self
        mean, std = (round(sum(numbers) / len(numbers), 6) for numbers in (self.mean, self.std))
        return Normalization((mean,) * channels, (std,) * channels)

    @classmethod
    def default(cls, channels: int) -> Normalization:
        """Return ImageNet's for three channels, and for any other number the one that changes nothing."""
        return cls(IMAGENET_MEAN, IMAGENET_STD) if channels == 3 else cls((0.0,) * channels, (1.0,) * channels)


# From -1 to 1: what Inception's weights expect (Szegedy et al. 2014 onwards).
HALVES = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def _numbers(name: str, text: str, *, least: float, most: float) -> tuple[float, ...]:
    """Return the numbers of a setting, such as "0.485,0.456,0.406"; raises DataError."""
    try:
        found = tuple(map(float, text.split(",")))
    except ValueError:
        raise DataError(f"{name} is {text!r}: it is one number, or three with commas: 0.485,0.456,0.406") from None
    if len(found) not in (1, 3):
        raise DataError(f"{name} is {text}: it is one number, or one for each of three channels")
    if not all(least <= number <= most for number in found):
        levels = ", divided by 255" if all(0 <= number <= 255 for number in found) else ""
        raise DataError(
            f"{name} is {text}: it is {least:g} to {most:g}, where 255 is 1.0{levels and ': give it'}{levels}"
        )
    return found


@dataclass(frozen=True, kw_only=True, repr=False)
class Preprocessing(ShortRepr):
    """Everything between an image file and a network's input, and the names of the network's outputs.

    `classes` are in the order of the outputs, and empty where nothing names them. A decoded image has
    8 bits a channel whatever its file has, by the `value_range` of the decoding, in training as in prediction.
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

    def limited(self, max_megapixels: int | None = None) -> Preprocessing:
        """Return the same preprocessing with the limit of megapixels of whoever reads images now, by `Decoding`."""
        return replace(self, decoding=self.decoding.limited(max_megapixels))

    def to_dict(self) -> dict[str, Any]:
        """Return all but the class names as JSON can hold it."""
        mean, std = self.normalization.mean, self.normalization.std
        return {**self.decoding.to_dict(), "mean": list(mean), "std": list(std)}

    @classmethod
    def from_fields(cls, fields: Fields, *, classes: Sequence[str]) -> Preprocessing:
        """Return the preprocessing that `to_dict` wrote; raises UnreadableError where a field does not fit."""
        decoding = Decoding.from_fields(fields)
        mean = fields.numbers("mean", at_least=0, at_most=1)
        std = fields.numbers("std", at_least=LEAST_STD, at_most=MOST_STD)
        if not len(mean) == len(std) == decoding.channels:
            raise UnreadableError("its mean and std are not one number per channel")
        return cls(decoding=decoding, normalization=Normalization(mean, std), classes=tuple(classes))
