"""The difference of two maps, row by row along the axis in which they are shifted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from convscope.arrays import Booleans, Floats
from convscope.interpret.equivariance.layer_errors import READS_ZERO

# Below this share of its numbers a map's variation over positions is rounding.
_CONSTANT = 1e-9
# A row with an error below this part of what reads 0 has none.
_PART = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class RowErrors:
    """Sums of squares over each row of cells across an axis; of two axes, "row" is short for a column too.

    Args:
        differences: squares of the map less the one that is expected, (rows,).
        variation: squares of the expected map less each channel's mean over its positions, (rows,).
        least: the variation up to which a map is constant.
    """

    differences: Floats
    variation: Floats
    least: float

    @classmethod
    def of(cls, there: Tensor, expected: Tensor, axes: Sequence[int], along: int) -> RowErrors:
        """Return the errors of a map (N, ...) with these axes of positions, of which `along` is one."""
        others = [axis for axis in range(there.ndim) if axis != along]
        spread = (expected - expected.mean(tuple(axes), keepdim=True)).square()
        return cls(
            (there - expected).square().sum(others).cpu().numpy(),
            spread.sum(others).cpu().numpy(),
            _CONSTANT**2 * float(expected.square().sum()),
        )

    def whole(self) -> float | None:
        """Return the error over all rows as a share of the variation; None for a constant map."""
        return _ratio(self.differences.sum(), self.variation.sum(), self.least)

    def inside(self, rows: Booleans) -> float | None:
        """Return the error over some rows as a share of the variation in them; None without rows."""
        return _ratio(self.differences[rows].sum(), self.variation[rows].sum(), self.least) if rows.any() else None

    def outside(self, rows: Booleans) -> float | None:
        """Return the part of the whole error that is in the other rows; None for a constant map."""
        return _ratio(self.differences[~rows].sum(), self.variation.sum(), self.least)

    def differing(self) -> Booleans:
        """Return the rows with an error, (rows,)."""
        return np.asarray(self.differences > (READS_ZERO * _PART) ** 2 * self.variation.sum(), np.bool_)


def _ratio(squares: float, variation: float, least: float) -> float | None:
    """Return the root of a ratio of sums of squares; None for a map that is constant over its positions."""
    return float((squares / variation) ** 0.5) if variation > least or variation != variation else None
