"""The curves of a training: loss and accuracy by epoch, as measured on training and validation images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from convscope.report.charts import Curve, line_chart
from convscope.report.svg import Drawing
from convscope.runs.events import EpochRow

SPIKE = 3.0  # times the 90 % quantile of the losses: a chart is cut off there


def loss_curves(rows: Sequence[EpochRow], loss_name: str) -> Drawing:
    """Draw the losses by epoch."""
    train, val = [row.train_loss for row in rows], [row.val_loss for row in rows]
    finite = [value for value in (*train, *val) if value is not None and math.isfinite(value)]
    # A spike of a few epochs would press all others onto the axis.
    most = SPIKE * float(np.quantile(finite, 0.9)) if finite else 0.0
    cut = 0 < most < max(finite, default=0.0)
    return line_chart(
        _curves(rows, train, val, ("training", "validation")),
        title=f"Loss (cut off above {most:.3g}; the highest is {max(finite):.3g})" if cut else "Loss",
        y_limits=(min(finite), most) if cut else None,
        x_label="epoch",
        y_label=loss_name,
        width=460,
    )


def accuracy_curves(rows: Sequence[EpochRow]) -> Drawing:
    """Draw the accuracies by epoch; where images have several labels, the exact match and mAP."""
    several = any(row.multi_label for row in rows)
    train = [100 * row.train_accuracy for row in rows]
    val = [None if row.val_accuracy is None else 100 * row.val_accuracy for row in rows]
    names = ("training: exact match", "validation: mAP") if several else ("training", "validation")
    return line_chart(
        _curves(rows, train, val, names),
        title="Exact match and mAP" if several else "Accuracy",
        x_label="epoch",
        y_label="%" if several else "accuracy, %",
        width=460,
    )


def _curves(
    rows: Sequence[EpochRow], train: Sequence[float], val: Sequence[float | None], names: tuple[str, str]
) -> list[Curve]:
    epochs = [row.epoch for row in rows]
    measured = any(row.val_loss is not None for row in rows)
    return [Curve(names[0], epochs, train), *([Curve(names[1], epochs, val)] if measured else [])]
