"""Which values of a 16-bit or floating-point image become black and white: the setting `value_range`.

auto         16-bit grey by its whole range, floating-point arrays by 0 to 1; what has no range of its own is refused
LOW:HIGH     these two, such as 7000:9000 or -1000:400; what lies beyond is black or white
minmax       the least and the greatest of each image
percentile   the 0.5th and 99.5th percentile of each image (Isensee et al. 2021, nnU-Net), so that no few pixels decide
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from convscope.arrays import Array
from convscope.errors import DataError, did_you_mean
from convscope.files.regular import UnreadableError

AUTO: Final = "auto"
MINMAX: Final = "minmax"
PERCENTILE: Final = "percentile"
GIVEN: Final = "given"
WORDS = (AUTO, MINMAX, PERCENTILE)
FORMS = "LOW:HIGH, minmax or percentile"
TAIL = 0.005
# Pixels that percentiles are taken of, evenly spaced, where an image has more: to a thousandth of a percent the same.
MOST_SORTED = 2**20


@dataclass(frozen=True)
class ValueRange:
    """One of WORDS, or GIVEN with the values that become black and white.

    >>> ValueRange.parse("-1000:400")
    ValueRange(word='given', low=-1000.0, high=400.0)
    """

    word: str = AUTO
    low: float = 0.0
    high: float = 0.0

    @classmethod
    @functools.lru_cache(64)
    def parse(cls, text: str) -> ValueRange:
        """Parse the value of the setting `value_range`; raises DataError for any other text."""
        if text in WORDS:
            return cls(text)
        low, colon, high = text.partition(":")
        try:
            found = cls(GIVEN, float(low), float(high))
        except ValueError:
            near = "" if colon else did_you_mean(text, WORDS)
            raise DataError(f"value_range is {text!r}: it is {FORMS}, or auto; such as 7000:9000.{near}") from None
        if not math.isfinite(found.high - found.low):
            raise DataError(f"value_range is {text}: LOW and HIGH must be finite numbers")
        if found.low >= found.high:
            raise DataError(f"value_range is {text}: LOW must be below HIGH")
        return found

    def __str__(self) -> str:
        return self.word if self.word != GIVEN else f"{_shortest(self.low)}:{_shortest(self.high)}"

    @property
    def is_auto(self) -> bool:
        """Whether nothing was asked for."""
        return self.word == AUTO

    def ends(self, parts: Iterable[Array], count: int) -> tuple[float, float]:
        """Return the values of one image that become black and white; its `count` numbers come in parts.

        Raises:
            UnreadableError: NaN or infinity, or none of the numbers lies in the range.
        """
        assert not self.is_auto
        least, greatest, inside, seen = math.inf, -math.inf, False, 0
        sample: list[Array] = []
        step = max(1, -(-count // MOST_SORTED))
        for part in parts:
            numbers = part.reshape(-1)
            low, high = float(numbers.min()), float(numbers.max())
            if not math.isfinite(high - low):
                raise UnreadableError("its numbers hold NaN or infinity")
            least, greatest = min(least, low), max(greatest, high)
            inside = inside or bool(((numbers >= self.low) & (numbers <= self.high)).any())
            if self.word == PERCENTILE:
                sample.append(numbers[-seen % step :: step])
            seen += len(numbers)
        if self.word == MINMAX:
            return least, greatest
        if self.word == PERCENTILE:
            ordered = np.sort(np.concatenate(sample))
            rank = int(TAIL * (len(ordered) - 1))
            return float(ordered[rank]), float(ordered[-1 - rank])
        if not inside:
            raise UnreadableError(
                f"none of its pixels lies in the value_range {self}: they are {least:g} to {greatest:g}"
            )
        return self.low, self.high


def to_levels(numbers: Array, ends: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Return numbers as uint8 of the same shape: the ends are 0 and 255, between them to the nearest level.

    >>> to_levels(np.array([6000, 7000, 8000, 9000]), (7000, 9000)).tolist()
    [0, 0, 128, 255]
    """
    low, high = ends
    if low == high:
        return np.where(numbers > high, 255, 0).astype(np.uint8)
    within = np.clip(numbers.astype(np.float64), low, high)
    within -= low
    within /= high - low
    within *= 255
    within += 0.5
    return within.astype(np.uint8)


def _shortest(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
