"""A small volume, filters and biases, all whole numbers: what a convolution over several channels adds up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convscope.course.record import WidgetRecord
from convscope.exercises.draw import Draw

CHANNELS, FILTERS, SIDE, KERNEL = 4, 4, 5, 3


def _volume(seed: str) -> dict[str, Any]:
    draw = Draw("volume", int(seed))

    def grid(side: int, low: int, high: int) -> list[list[int]]:
        return [[draw.whole(low, high) for _ in range(side)] for _ in range(side)]

    return {
        "input": [grid(SIDE, 0, 5) for _ in range(CHANNELS)],
        "filters": [[grid(KERNEL, -1, 1) for _ in range(CHANNELS)] for _ in range(FILTERS)],
        "points": [[grid(1, -2, 2) for _ in range(CHANNELS)] for _ in range(FILTERS)],
        "biases": [draw.whole(-3, 3) for _ in range(FILTERS)],
    }


RECORDS: Mapping[str, WidgetRecord] = {"volume": WidgetRecord(make=_volume, choices={"seed": ("1", "2", "3")})}
