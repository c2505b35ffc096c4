"""Cells that a worked number leads to: its operands, and the cells around it. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_NO_CELLS = frozenset({"weight", "bias"})  # operands that are no numbers of a value


class CellPlace(NamedTuple):
    """One number of a run: a cell of a value."""

    value: str
    channel: int
    row: int
    column: int


def largest_operands(worked: Mapping[str, Any]) -> Iterator[CellPlace]:
    """Yield the cells that a worked number shows as its operands, the largest product first; never weights.

    >>> terms = [
    ...     {"operand": {"value": "relu1", "c": 2, "at": [0, 1]}, "product": -3.0},
    ...     {"operand": {"value": "weight", "c": 0, "at": [5, 5]}, "product": 9.0},
    ...     {"operand": {"value": "relu1", "c": 0, "at": [0, 2]}, "product": 0.5},
    ... ]
    >>> [cell.channel for cell in largest_operands({"groups": [{"terms": terms}]})]
    [2, 0]
    """
    terms = [term for group in worked.get("groups") or () for term in group.get("terms") or ()]
    terms.sort(key=lambda term: -_size(term))
    found: dict[CellPlace, None] = {}
    for term in terms:
        operand = term.get("operand")
        if operand and operand.get("value") not in _NO_CELLS:
            row, column = [*(operand.get("at") or ()), 0, 0][:2]
            found.setdefault(CellPlace(str(operand["value"]), int(operand.get("c") or 0), int(row), int(column)))
    yield from found


def neighbours(cell: CellPlace, height: int, width: int) -> Iterator[CellPlace]:
    """Yield the cells beside a cell, then those at its corners, within a map of this size.

    >>> [(place.row, place.column) for place in neighbours(CellPlace("conv1", 0, 0, 1), 2, 2)]
    [(1, 1), (0, 0), (1, 0)]
    """
    for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)):
        row, column = cell.row + down, cell.column + right
        if 0 <= row < height and 0 <= column < width:
            yield cell._replace(row=row, column=column)


def _size(term: Mapping[str, Any]) -> float:
    """Return how much a term contributes: its product, or its operand's number where it has none."""
    for name in ("product", "number"):
        number = term.get(name)
        if isinstance(number, int | float) and math.isfinite(number):
            return abs(number)
    return 0.0
