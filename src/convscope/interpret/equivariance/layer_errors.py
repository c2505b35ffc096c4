"""How far each layer's map is from moving with the image, and what each layer adds to that.

Two numbers say what a layer adds. The increase of its error over that of the layers it reads is what the network's
error grows by there; but a layer that only amplifies an error, such as a difference filter behind a pooling, increases
it too, and may increase it more than the layer that made it. Its own error, with maps that it reads shifted exactly, is
0 for every layer that breaks nothing: so it names all the layers that break equivariance, and no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from convscope.report.short_repr import ShortRepr

ErrorKind = Literal["inside", "border"]

# An error below it reads 0: what remains is rounding.
READS_ZERO = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class ShiftError(ShortRepr):
    """The error of a layer's map at one shift of the image, as a share of the map's variation over its positions.

    Args:
        axis: which of the image's axes was shifted.
        pixels: by how many.
        cells: by how many whole cells the map was then shifted.
        fractional: whether the image's shift is one of part of a cell, so that `cells` is the nearest whole number.
        inside: over the cells that no border reaches; None where there are none, or the map is constant.
        whole: over the whole map; None where it is constant.
        border: the part of `whole` from cells that a border reaches; None where the shift is one of part of a cell.
    """

    axis: int
    pixels: int
    cells: int
    fractional: bool
    inside: float | None
    whole: float | None
    border: float | None


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class OwnError(ShortRepr):
    """The error of a layer alone, when the maps that it reads are shifted exactly, along an axis, wrapping around.

    Args:
        axis: which of the image's axes.
        cells: by how many cells of the maps that it reads.
        fractional: whether that is part of a cell of the layer's map, which is then shifted by the nearest whole one.
        inside: over the cells that no border reaches, of the image or of the maps that it reads; None where there are
            none, or the map is constant.
        border: from the other cells; None where the shift is one of part of a cell.
    """

    axis: int
    cells: int
    fractional: bool
    inside: float | None
    border: float | None


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class LayerErrors(ShortRepr):
    """The errors of one layer at all shifts, beside those of the layers that it reads.

    Args:
        layer: its name.
        op: its operation.
        strides: pixels from one cell to the next along each axis.
        cells: of its map.
        errors: of each shift.
        before: the errors of the measured layers that it reads, which do not include the image's own, 0.
        inputs: the names of these layers, "" for the image.
        own: its own errors; none where it reads maps of different strides.
    """

    layer: str
    op: str
    strides: tuple[Fraction, ...]
    cells: tuple[int, ...]
    errors: tuple[ShiftError, ...]
    before: tuple[tuple[ShiftError, ...], ...] = ()
    inputs: tuple[str, ...] = ()
    own: tuple[OwnError, ...] = ()

    @property
    def inside(self) -> float | None:
        """The largest error inside at shifts by whole cells: 0 for convolutions and poolings of any stride."""
        return max(_known(error.inside for error in self.errors if not error.fractional), default=None)

    @property
    def subsampling(self) -> float | None:
        """The mean error inside at shifts of part of a cell; None where there are none of these."""
        return _mean(_known(error.inside for error in self.errors if error.fractional))

    @property
    def border(self) -> float | None:
        """The mean error from the borders, at shifts by whole cells."""
        return _mean(_known(error.border for error in self.errors))

    @property
    def whole(self) -> float | None:
        """The mean error over the whole map at shifts by whole cells."""
        return _mean(_known(error.whole for error in self.errors if not error.fractional))

    def increase(self, kind: ErrorKind) -> float | None:
        """Return the mean over all shifts of the error less the largest of the layers that it reads: what it adds."""
        return _mean([mine - before for mine, before in self._beside_inputs(kind)])

    def own_error(self, kind: ErrorKind) -> float | None:
        """Return the largest of its own errors; None where none is known."""
        return max(_known(getattr(error, kind) for error in self.own), default=None)

    def breaks(self, kind: ErrorKind) -> bool:
        """Return whether its own error reads above 0."""
        own = self.own_error(kind)
        return own is not None and own > READS_ZERO

    def _beside_inputs(self, kind: ErrorKind) -> Iterator[tuple[float, float]]:
        """Yield the error and its inputs' largest at each shift where all are known."""
        for place, error in enumerate(self.errors):
            mine = getattr(error, kind)
            inputs = [getattr(of_input[place], kind) for of_input in self.before]
            if mine is not None and None not in inputs:
                yield mine, max(inputs, default=0.0)


def _known(numbers: Iterable[float | None]) -> list[float]:
    return [number for number in numbers if number is not None]


def _mean(numbers: Sequence[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None
