"""metrics.csv as records: the inverse of `events.table_row`. A row that is damaged is left out."""

from __future__ import annotations

import math
from collections.abc import Mapping

from convscope.files.regular import UnreadableError
from convscope.report.csv_table import read_csv
from convscope.runs.events import COLUMNS, EpochRow, header

_OF_SEVERAL = dict(zip(header(multi_label=True), (name for _, name in COLUMNS), strict=True))
_OF_ONE = dict(COLUMNS)


def read_metrics(text: str) -> tuple[EpochRow, ...]:
    """Return the rows of metrics.csv, in the order of their epochs; of an epoch that comes twice the last counts.

    >>> from convscope.report.csv_table import csv_text
    >>> from convscope.runs.events import table_row
    >>> row = EpochRow(epoch=1, seconds=2.5, train_loss=0.5, train_accuracy=0.75, val_loss=None, val_accuracy=None,
    ...                learning_rate=0.01, images_per_second=100.0, data_wait=0.25, best=True)
    >>> read_metrics(csv_text(header(multi_label=False), [table_row(row), ["x"]])) == (row,)
    True
    """
    try:
        table = read_csv(text)
    except UnreadableError:
        return ()
    rows = {row.epoch: row for cells in table if (row := _row(cells)) is not None}
    return tuple(rows[epoch] for epoch in sorted(rows))


def _row(cells: Mapping[str, str]) -> EpochRow | None:
    several = any(name in cells for name in _OF_SEVERAL.keys() - _OF_ONE.keys())
    fields = {name: cells.get(column, "") for column, name in (_OF_SEVERAL if several else _OF_ONE).items()}
    try:
        numbers = {name: float(text) if text else None for name, text in fields.items()}
    except ValueError:
        return None
    known = {name: number for name, number in numbers.items() if number is not None}
    if not all(map(math.isfinite, known.values())):
        return None
    optional = ("val_loss", "val_accuracy")
    if any(name not in known for name in fields if name not in optional) or not known["epoch"].is_integer():
        return None
    return EpochRow(
        epoch=int(known["epoch"]),
        seconds=known["seconds"],
        train_loss=known["train_loss"],
        train_accuracy=known["train_accuracy"],
        val_loss=known.get("val_loss"),
        val_accuracy=known.get("val_accuracy"),
        learning_rate=known["learning_rate"],
        images_per_second=known["images_per_second"],
        data_wait=known["data_wait"],
        best=bool(known["best"]),
        multi_label=several,
    )
