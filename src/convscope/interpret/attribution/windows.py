"""Windows over an image: their places, also at its ragged edge, in an order that covers the image coarsely first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from convscope.errors import ArgumentError

MOST = 1000
"""Windows over an image unless a size is given: of long lines, clips and volumes they are larger for it."""

_SHARE = 7  # a window is a seventh of the image's shorter side, and goes on by half of itself: 32 and 16 of 224

Box = tuple[slice, ...]


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows of one size at regular places.

    Args:
        size: positions of the image along each axis.
        side: of a window, in positions.
        stride: positions from one window to the next.

    >>> windows = Windows(size=(5,), side=2, stride=2)
    >>> windows.boxes  # the last is cut by the edge
    ((slice(0, 2, None),), (slice(2, 4, None),), (slice(4, 5, None),))
    """

    size: tuple[int, ...]
    side: int
    stride: int

    def __post_init__(self) -> None:
        if not 1 <= self.side <= max(self.size):
            raise ArgumentError(f"window is {self.side}: give 1 to {max(self.size)}, the image's longer side")
        if not 1 <= self.stride <= self.side:
            raise ArgumentError(f"stride is {self.stride}: give 1 to {self.side}, the window: larger ones leave gaps")

    @classmethod
    def over(cls, size: Sequence[int], *, side: int | None = None, stride: int | None = None) -> Windows:
        """Return the windows over an image; a seventh of its shorter side, half overlapping, unless given.

        Unless one is given they are larger where more than `MOST` would be needed, and cut where an axis is shorter.

        Raises:
            ArgumentError: a window larger than the image, or a stride larger than the window.

        >>> windows = Windows.over((224, 224))
        >>> windows.side, windows.stride, len(windows.boxes), windows.first
        (32, 16, 169, 49)
        >>> line = Windows.over((32, 1000))
        >>> line.side, len(line.boxes)
        (12, 830)
        """
        first = max(1, round(min(size) / _SHARE)) if side is None else side
        found = cls(size=tuple(size), side=first, stride=max(1, first // 2) if stride is None else stride)
        while side is None and stride is None and prod(found.counts) > MOST:
            found = cls(size=found.size, side=found.side + 1, stride=(found.side + 1) // 2)
        return found

    @property
    def counts(self) -> tuple[int, ...]:
        """Windows along each axis."""
        return tuple(max(0, -(-(size - self.side) // self.stride)) + 1 for size in self.size)

    @property
    def _order(self) -> tuple[list[tuple[int, ...]], int]:
        """The windows' numbers along each axis, those that cover the image alone first, and how many these are."""
        places = list(product(*map(range, self.counts)))
        skip = max(1, self.side // self.stride)
        # The last window of an axis is needed at the edge, whatever its number.
        lasts = tuple(count - 1 for count in self.counts)
        coarse = [
            place
            for place in places
            if all(at % skip == 0 or at == last for at, last in zip(place, lasts, strict=True))
        ]
        chosen = set(coarse)
        # In three passes over the image, so that the first few already show how much the score falls.
        coarse = [place for first in range(3) for place in coarse[first::3]]
        return coarse + [place for place in places if place not in chosen], len(coarse)

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The windows as slices along each axis, those first that cover the image alone."""
        return tuple(
            tuple(
                slice(at * self.stride, min(at * self.stride + self.side, size))
                for at, size in zip(place, self.size, strict=True)
            )
            for place in self._order[0]
        )

    @property
    def first(self) -> int:
        """How many of the windows cover the image before the others refine the map."""
        return self._order[1]
