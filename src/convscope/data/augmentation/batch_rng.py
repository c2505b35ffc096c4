"""Random draws for a batch or a part of one: N parts together draw exactly what the whole batch does."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from convscope.errors import DataError


@dataclass(frozen=True, kw_only=True)
class BatchPart:
    """Rows [start, start + n) of a batch of `total` images; with `total` None, the n rows are the whole batch.

    Raises:
        DataError: a start below 0, or at or after the total.
    """

    start: int = 0
    total: int | None = None

    def __post_init__(self) -> None:
        if (
            self.start < 0
            or (self.total is None and self.start)
            or (self.total is not None and self.start > self.total)
        ):
            raise DataError(f"part of a batch: row {self.start} of {self.total} images does not exist")


WHOLE_BATCH = BatchPart()


@dataclass(frozen=True)
class BatchRng:
    """Draws one value for each of the `count` images of a part: for the whole batch, of which the rows are taken.

    So the generator advances alike in every process, and an image gets the same draw in whichever it is augmented.
    """

    count: int
    part: BatchPart
    generator: torch.Generator

    def __post_init__(self) -> None:
        if self.part.start + self.count > self.total:
            raise DataError(
                f"rows {self.part.start} to {self.part.start + self.count} are not within a batch of {self.total}"
            )

    @property
    def total(self) -> int:
        """Return the number of images of the whole batch."""
        return self.count if self.part.total is None else self.part.total

    def mine(self, values: Tensor) -> Tensor:
        """Return the part's share (..., count) of values (..., total) that were drawn for the whole batch."""
        return values[..., self.part.start : self.part.start + self.count]

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw float32 (count,) in [low, high)."""
        values = torch.rand(self.total, generator=self.generator, device=self.generator.device)
        return self.mine(values) * (high - low) + low

    def integers(self, below: int) -> Tensor:
        """Draw int64 (count,) from 0 to below - 1."""
        return self.mine(torch.randint(0, below, (self.total,), generator=self.generator, device=self.generator.device))

    def normal(self) -> Tensor:
        """Draw float32 (count,) with mean 0 and standard deviation 1."""
        return self.mine(torch.randn(self.total, generator=self.generator, device=self.generator.device))
