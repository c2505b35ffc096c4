"""What is true of a network, computed without the studio: the fields that its page must light."""

from __future__ import annotations

from functools import cache

import convscope
from convscope.interpret.inspection.record import Inspection


@cache
def inspected(model: str, input_shape: tuple[int, ...] | None = None) -> Inspection:
    """Return the record of a network by its name, once a process."""
    return convscope.inspect(model, input_shape=input_shape)


def lit_box(record: Inspection, layer: str, channel: int, at: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the box that a cell reads of the image, half open: rows and columns, first and after the last."""
    rows, columns = convscope.field(record, layer, at, channel=channel).spans
    assert rows is not None and columns is not None
    return rows[0], columns[0], rows[1] + 1, columns[1] + 1
