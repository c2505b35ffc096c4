"""How large a field is in effect: the centred squares that hold half and nearly all of it, and Luo's definition.

Source: Luo, Li, Urtasun and Zemel, "Understanding the effective receptive field in deep convolutional neural networks"
(2016), section 3: a pixel belongs to the effective field if its gradient is above 4.55 % of the largest, the value of a
Gaussian at two standard deviations (they take 1 - 95.45 %), and the field's size is the square root of their number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.arrays import Floats

HALF, MOST = 0.5, 0.95
OF_PEAK = 0.0455
# Sums of shares are taken up to float64's rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class FieldExtent:
    """The size of a field in effect, in pixels; None where no pixel has any weight.

    Args:
        half: side of the smallest centred square that holds 50 % of the mass.
        most: side of that which holds 95 %.
        of_peak: the square root of the number of pixels above 4.55 % of the largest.
    """

    half: int | None
    most: int | None
    of_peak: float | None

    @property
    def shown(self) -> str:
        """The three sizes, "9 / 23 / 18", or a dash."""
        if self.half is None or self.of_peak is None:
            return "–"
        return f"{self.half} / {self.most} / {self.of_peak:.0f}"


def field_extent(mass: Floats, centre: tuple[float, float]) -> FieldExtent:
    """Return the size of a field.

    Args:
        mass: how much each pixel counts, (H, W), none of it negative.
        centre: the row and column around which squares lie; between two pixels where the field's side is even, and then
            the sides of squares are even too.

    >>> mass = np.zeros((9, 9)); mass[3:6, 3:6] = 1.0
    >>> field_extent(mass, (4.0, 4.0))
    FieldExtent(half=3, most=3, of_peak=3.0)
    """
    total = float(mass.sum())
    if not total > 0 or not np.isfinite(total):
        return FieldExtent(None, None, None)
    rows, columns = np.ogrid[: mass.shape[0], : mass.shape[1]]
    off = np.maximum(np.abs(rows - centre[0]), np.abs(columns - centre[1]))
    sides = np.rint(2 * off).astype(np.int64) + 1
    within = np.cumsum(np.bincount(sides.ravel(), weights=mass.ravel())) / total

    def holding(share: float) -> int:
        return int(np.argmax(within >= share - _ROUNDING))

    return FieldExtent(holding(HALF), holding(MOST), float(np.sqrt(np.count_nonzero(mass > OF_PEAK * mass.max()))))
