"""Chapter 2: the convolution."""

from __future__ import annotations

from collections.abc import Mapping

from convscope.course.chapter import Chapter
from convscope.course.records.images import RESPONSES, SIGNAL
from convscope.course.records.learned_kernel import CLOSE, IMAGES, STEPS
from convscope.reference.edges import BRIGHT_LEFT, DARK_LEFT, NUMBERS, VERTICAL, edge_map


def heard(at: int) -> int:
    """Return what is heard at a second: what began k seconds before it, times what is left after k seconds.

    >>> [heard(second) for second in range(4)]
    [0, 12, 10, 5]
    """
    left = RESPONSES["echo"]
    return sum(left[k] * SIGNAL[at - k] for k in range(len(left)) if at >= k)


def _numbers() -> Mapping[str, object]:
    first = edge_map(NUMBERS, VERTICAL)
    return {
        "first": int(first[0, 0]),
        "cells": first.size,
        "bright": int(edge_map(BRIGHT_LEFT, VERTICAL)[1, 1]),
        "dark": int(edge_map(DARK_LEFT, VERTICAL)[1, 1]),
        "after": max(0, int(edge_map(DARK_LEFT, VERTICAL)[1, 1])),
        "turned": int(edge_map(BRIGHT_LEFT.T, VERTICAL).max()),
        "steps": STEPS,
        "images": IMAGES,
        "close": CLOSE,
        "second": 2,
        "heard": heard(2),
        **{f"left{second}": left for second, left in enumerate(RESPONSES["echo"])},
    }


CHAPTER = Chapter(
    number=2,
    widget="convolution",
    exercises=("2a", "2b", "2c", "quiz-flip", "quiz-equivariance"),
    numbers=_numbers,
    own="maps",
    slips=(
        "slip-first-window-column",
        "slip-flip-and-causality",
        "slip-rotation",
        "slip-dot-product-15",
        "slip-invariance-baked-in",
    ),
)
