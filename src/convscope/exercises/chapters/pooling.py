"""Chapter 5: pooling and invariance. The pooled map, its shape, and which shifts move it by whole cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from convscope.exercises.draw import Draw, Drawn, ExerciseRule, NumberRows
from convscope.geometry.convolution import output_sizes
from convscope.geometry.pooling import pooling_windows

# Channels, kernel, stride and side of poolings of real networks.
_POOLINGS = (
    (64, 2, 2, 224), (96, 3, 2, 55), (256, 3, 2, 27), (8, 2, 2, 28), (16, 2, 2, 10), (64, 3, 2, 112), (10, 2, 2, 24),
    (256, 3, 2, 13),
)  # fmt: skip


def pooled(values: NumberRows, kernel: int, stride: int, *, average: bool) -> NumberRows:
    """Return the maximum or the mean of each window of rows of numbers.

    >>> pooled(((2, 8), (6, 3)), 2, 2, average=False), pooled(((2, 8), (6, 3)), 2, 2, average=True)
    (((8,),), ((4.75,),))
    """
    down, across = pooling_windows(2, kernel, stride=stride)

    def cell(row: int, column: int) -> float:
        inside = [values[row + i][column + j] for i in range(kernel) for j in range(kernel)]
        return sum(inside) / len(inside) if average else max(inside)

    columns = across.starts(len(values[0]))
    return tuple(tuple(cell(row, column) for column in columns) for row in down.starts(len(values)))


def _pooled_map(draw: Draw) -> Drawn:
    values: NumberRows = tuple(tuple(draw.whole(0, 9) for _ in range(4)) for _ in range(4))
    average = draw.half()
    answer = pooled(values, 2, 2, average=average)
    windows = [
        {"inside": tuple(int(values[row + i][column + j]) for i in (0, 1) for j in (0, 1)),
         "result": answer[row // 2][column // 2], "row": row // 2 + 1, "column": column // 2 + 1}
        for row in (0, 2) for column in (0, 2)
    ]  # fmt: skip
    least = tuple(tuple(-cell for cell in row) for row in pooled(_negated(values), 2, 2, average=False))
    return Drawn(
        numbers={"values": values, "windows": windows, "answer": answer},
        answer=answer,
        wrong={
            "other": pooled(values, 2, 2, average=not average),
            "stride-1": pooled(values, 2, 1, average=average),
            "columns-first": cast("NumberRows", tuple(zip(*answer, strict=True))),
            "global": pooled(values, 4, 4, average=average),
            "least": None if average else least,
            "sum": tuple(tuple(4 * cell for cell in row) for row in answer) if average else None,
        },
        texts={"statement": "statement-average" if average else "statement-max",
               "formula": "formula-average" if average else "formula-max",
               "wrong.other": "wrong.other-max" if average else "wrong.other-average"},
    )  # fmt: skip


def _negated(values: NumberRows) -> NumberRows:
    return tuple(tuple(-value for value in row) for row in values)


def _shape_and_parameters(draw: Draw) -> Drawn:
    channels, kernel, stride, side = draw.one(_POOLINGS)
    if draw.half():
        kernel, stride = draw.one(((2, 2), (3, 2), (3, 3), (2, 1), (4, 4)))
        channels, side = draw.one((8, 16, 32, 48, 64, 128)), draw.whole(9, 128)
    height, width = output_sizes((side, side), pooling_windows(2, kernel, stride=stride))
    answer = (channels, height, width, 0)
    window = pooling_windows(2, kernel, stride=stride)[0]
    inside, outside = (side - kernel + 1) // stride, -(-(side - kernel) // stride) + 1
    return Drawn(
        numbers={
            "C": channels, "K": kernel, "S": stride, "H": side, "size": height, "formula": window.formula(side),
            "answer": answer,
        },
        answer=answer,
        wrong={
            "weights": (channels, height, width, kernel**2 * channels),
            "channels": (channels // stride, height, width, 0) if stride > 1 else None,
            "one-outside": (channels, inside, inside, 0),
            "rounded-up": (channels, outside, outside, 0),
            "one-channel": (1, height, width, 0),
        },
    )  # fmt: skip


def _shift(draw: Draw) -> Drawn:
    stride, shift = draw.whole(2, 4), draw.whole(1, 12)
    exact = shift % stride == 0
    names = {
        "exact": f"{shift // stride}" if shift >= stride else None,
        "changes": "",
        "always": f"{shift}",
        "times": f"{shift * stride}",
        "never": "",
    }
    answer = "exact" if exact else "changes"
    options = draw.shuffled([name for name, value in names.items() if value is not None])
    return Drawn(
        numbers={
            "d": shift, "s": stride, "cells": shift // stride, "below": shift // stride * stride,
            "product": shift * stride, "rest": shift % stride, "side": draw.one((32, 48, 64)),
        },
        answer=answer,
        wrong={name: name for name in options if name != answer},
        options=tuple(options),
        texts={"steps": "steps-exact" if exact else "steps-changes"},
    )  # fmt: skip


RULES: Mapping[str, ExerciseRule] = {
    "5a": ExerciseRule(kind="matrix", draw=_pooled_map, within=1e-3),
    "5b": ExerciseRule(kind="numbers", draw=_shape_and_parameters),
    "5c": ExerciseRule(kind="choice", draw=_shift),
}
