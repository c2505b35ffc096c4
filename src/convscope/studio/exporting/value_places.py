"""Values and cells that a page shows beside each other: the nearest, the counterpart; shapes and titles. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from convscope.studio.exporting.worked_cells import CellPlace
from convscope.studio.images import SAMPLE_PREFIX, UPLOAD_PREFIX, image_source
from convscope.studio.models import GIVEN, Openable


def counterpart(value: str, values: Sequence[str], others: Sequence[str]) -> str | None:
    """Return the value of a second network that the page puts beside one: of the same name, else as far along.

    >>> counterpart("conv2", ["conv1", "conv2", "fc"], ["a", "b", "c", "d", "e"])
    'c'
    """
    if value in others:
        return value
    if not others:
        return None
    share = (values.index(value) if value in values else 0) / max(1, len(values) - 1)
    return others[math.floor(share * (len(others) - 1) + 0.5)]


def named_values(units: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the values that units stand for, each once."""
    return list(dict.fromkeys(str(unit["value"]) for unit in units if unit.get("value")))


def image_title(key: str) -> str:
    """Return what the page shows of an image; of a run's image its key."""
    if key.startswith((SAMPLE_PREFIX, UPLOAD_PREFIX)):
        return image_source(key, Openable(runs=Path())).title
    return "the image of the command" if key == GIVEN else key


def map_shape_of(unit: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return a unit's shape as (channels, rows, columns): a vector's are (C, 1, 1)."""
    shape = [int(size) for size in unit["shape"]]
    return shape[0], *((shape[1], math.prod(shape[2:])) if len(shape) > 1 else (1, 1))


def nearest_cells(cell: CellPlace, height: int, width: int) -> Iterator[CellPlace]:
    """Yield the other cells of a map, the nearest first."""
    rows, columns = range(height), range(width)
    others = [(row, column) for row in rows for column in columns if (row, column) != (cell.row, cell.column)]
    others.sort(key=lambda at: ((at[0] - cell.row) ** 2 + (at[1] - cell.column) ** 2, at))
    yield from (CellPlace(cell.value, cell.channel, row, column) for row, column in others)
