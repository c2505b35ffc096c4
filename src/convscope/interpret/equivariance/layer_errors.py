"""How far each layer's map is from moving with the image, and the layers that break it, as a record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from convscope.arrays import Array
from convscope.files.checked import Json
from convscope.geometry.axis_names import axis_names
from convscope.report.charts import Curve, line_chart
from convscope.report.document import Block, Callout, Document, Figure
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.short_repr import ShortRepr
from convscope.report.svg import Drawing
from convscope.report.table import Column, Row, Table
from convscope.report.units import few, plural

ErrorKind = Literal["inside", "border"]

# An error below it reads 0: what remains is rounding.
READS_ZERO = 1e-6
_NAMED = 5


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class ShiftError(ShortRepr):
    """The error of a layer's map at one shift of the image, as a share of the map's variation over its positions.

    Args:
        axis: which of the image's axes was shifted.
        pixels: by how many.
        cells: by how many whole cells the map was then shifted.
        fractional: whether the image's shift is one of part of a cell, so that `cells` is the nearest whole number.
        inside: over the cells that no border reaches; None where there are none, or the map is constant.
        whole: over the whole map; None where it is constant.
        border: the part of `whole` from cells that a border reaches; None where the shift is one of part of a cell.
    """

    axis: int
    pixels: int
    cells: int
    fractional: bool
    inside: float | None
    whole: float | None
    border: float | None


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class LayerErrors(ShortRepr):
    """The errors of one layer at all shifts, beside those of the layers that it reads.

    Args:
        layer: its name.
        op: its operation.
        strides: pixels from one cell to the next along each axis.
        cells: of its map.
        errors: of each shift.
        before: the errors of the measured layers that it reads, which do not include the image's own, 0.
        inputs: the names of these layers, "" for the image.
    """

    layer: str
    op: str
    strides: tuple[Fraction, ...]
    cells: tuple[int, ...]
    errors: tuple[ShiftError, ...]
    before: tuple[tuple[ShiftError, ...], ...] = ()
    inputs: tuple[str, ...] = ()

    @property
    def inside(self) -> float | None:
        """The largest error inside at shifts by whole cells: 0 for convolutions and poolings of any stride."""
        return max(_known(error.inside for error in self.errors if not error.fractional), default=None)

    @property
    def subsampling(self) -> float | None:
        """The mean error inside at shifts of part of a cell; None where there are none of these."""
        return _mean(_known(error.inside for error in self.errors if error.fractional))

    @property
    def border(self) -> float | None:
        """The mean error from the borders, at shifts by whole cells."""
        return _mean(_known(error.border for error in self.errors))

    @property
    def whole(self) -> float | None:
        """The mean error over the whole map at shifts by whole cells."""
        return _mean(_known(error.whole for error in self.errors if not error.fractional))

    def increase(self, kind: ErrorKind) -> float | None:
        """Return the mean over all shifts of the error less the largest of the layers that it reads."""
        return _mean([mine - before for mine, before in self._beside_inputs(kind)])

    def breaks(self, kind: ErrorKind) -> bool:
        """Return whether the error reads 0 in all layers that it reads, and not in this one."""
        return any(mine > READS_ZERO for mine, _ in self._beside_inputs(kind)) and all(
            error <= READS_ZERO for of_input in self.before for error in _known(getattr(e, kind) for e in of_input)
        )

    def _beside_inputs(self, kind: ErrorKind) -> Iterator[tuple[float, float]]:
        """Yield the error and its inputs' largest at each shift where all are known."""
        for place, error in enumerate(self.errors):
            mine = getattr(error, kind)
            inputs = [getattr(of_input[place], kind) for of_input in self.before]
            if mine is not None and None not in inputs:
                yield mine, max(inputs, default=0.0)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Equivariance(Pictured):
    """How far the map of each layer is from moving with the image.

    Args:
        network: its name.
        image: what was shifted.
        size: pixels of the image along each axis.
        shifts: those that were done, as (axis, pixels).
        planned: how many shifts there are.
        layers: in the order in which they ran.
        left_out: layers whose maps have no single stride.
    """

    network: str
    image: str
    size: tuple[int, ...]
    shifts: tuple[tuple[int, int], ...]
    planned: int
    layers: tuple[LayerErrors, ...]
    left_out: tuple[str, ...] = ()

    @property
    def breaking(self) -> tuple[str, ...]:
        """The layers at which the error, inside or from the border, first reads above 0."""
        return tuple(found.layer for found in self.layers if found.breaks("inside") or found.breaks("border"))

    def largest(self, kind: ErrorKind) -> LayerErrors | None:
        """Return the layer with the largest increase of an error over its inputs'; None where none is above 0."""
        known = [(increase, place) for place, found in enumerate(self.layers)
                 if (increase := found.increase(kind)) is not None and increase > READS_ZERO]  # fmt: skip
        return self.layers[max(known, key=lambda one: (one[0], -one[1]))[1]] if known else None

    def headline(self) -> str:
        """Return the network and the layers that break equivariance."""
        broken = f"first broken by {few(self.breaking, 3)}" if self.breaking else "no layer breaks it"
        return f"shift equivariance of {self.network}: {broken}"

    def to_dict(self) -> dict[str, Json]:
        """Return the numbers as JSON's types.

        Keys:
            network: its name.
            image: what was shifted.
            size: pixels of the image along each axis.
            shifts: those that were done, as (axis, pixels).
            planned: how many there are.
            breaking: layers at which an error first reads above 0.
            layers: each with name, op, strides, cells, inputs, inside, subsampling, border, whole, inside_increase,
                border_increase, and errors: of each shift axis, pixels, cells, fractional, inside, whole, border.
            left_out: layers whose maps have no single stride.
        """
        return json_dict({
            "network": self.network,
            "image": self.image,
            "size": self.size,
            "shifts": self.shifts,
            "planned": self.planned,
            "breaking": self.breaking,
            "layers": [
                {
                    "name": found.layer,
                    "op": found.op,
                    "strides": [float(stride) for stride in found.strides],
                    "cells": found.cells,
                    "inputs": found.inputs,
                    "inside": found.inside,
                    "subsampling": found.subsampling,
                    "border": found.border,
                    "whole": found.whole,
                    "inside_increase": found.increase("inside"),
                    "border_increase": found.increase("border"),
                    "errors": [
                        {name: getattr(error, name) for name in ShiftError.__dataclass_fields__}
                        for error in found.errors
                    ],
                }
                for found in self.layers
            ],
            "left_out": self.left_out,
        })  # fmt: skip

    def arrays(self) -> dict[str, Array]:
        """Return "shifts" (shifts, 2), and "inside", "whole", "border", "fractional", (layers, shifts).

        What is not known is NaN; of 0 and 1 is "fractional".
        """
        found: dict[str, Array] = {"shifts": np.array(self.shifts, np.int64).reshape(-1, 2)}
        for name in ("inside", "whole", "border", "fractional"):
            rows = [[getattr(error, name) for error in layer.errors] for layer in self.layers]
            found[name] = np.array(rows, np.float64)
        return found

    def figure(self) -> Drawing:
        """Draw over the layers the error of subsampling, that inside at whole cells, and the border's."""
        places = range(1, len(self.layers) + 1)
        curves = [
            Curve("inside, part of a cell", places, [found.subsampling for found in self.layers]),
            Curve("inside, whole cells", places, [found.inside for found in self.layers]),
            Curve("border", places, [found.border for found in self.layers]),
        ]
        shown = [float(y) for curve in curves for y in curve.y if y is not None and np.isfinite(y)]
        return line_chart(
            curves,
            title=f"Shift equivariance of {self.network}, layer by layer",
            x_label="layer",
            y_label="error / variation",
            y_limits=(0.0, max(0.1, *shown) if shown else 0.1),
        )

    def document(self) -> Document:
        """Return what is shown: the layers that break equivariance, the figure, and a table of all layers."""
        axes, pixels = axis_names(len(self.size)), sorted({pixels for _, pixels in self.shifts})
        caption = (
            f"Shifts of {few([str(number) for number in pixels], 12)} pixels along {' and '.join(axes)}. "
            "1 is an error as large as the map's variation over its positions. Layers have the numbers of the table."
        )
        blocks: tuple[Block, ...] = (
            *(Callout("note", remark) for remark in self.remarks()),
            Figure(self.figure, caption),
            self.table(),
        )
        return Document(f"Shift equivariance of {self.network} on {self.image}", blocks)

    def remarks(self) -> Iterator[str]:
        """Yield a sentence on each finding, the layers that break equivariance first."""
        if len(self.shifts) < self.planned:
            yield f"interrupted: {len(self.shifts)} of {plural(self.planned, 'shift')} done"
        for kind, what in (("inside", "away from the borders"), ("border", "at the borders")):
            first = [found.layer for found in self.layers if found.breaks(kind)]  # type: ignore[arg-type]
            most = self.largest(kind)  # type: ignore[arg-type]
            if first:
                yield f"equivariance {what} is first broken by {few(first, _NAMED)}"
            if most is not None and most.layer not in first:
                yield f"the largest increase {what} is at {most.layer}: {_text(most.increase(kind))}"  # type: ignore[arg-type]
        if not self.breaking:
            yield f"no layer breaks equivariance: every error is below {READS_ZERO:g}"
        hidden = [found.layer for found in self.layers if all(error.inside is None for error in found.errors)]
        if hidden:
            yield (
                f"a border reaches every cell of {few(hidden, _NAMED)}: give a larger image to tell subsampling "
                "from border there"
            )
        if self.left_out:
            yield f"not measured, without a single stride: {few(self.left_out, _NAMED)}"

    def table(self) -> Table:
        """Return the layers with their errors."""
        columns = [Column("", numeric=True), Column("layer"), Column("operation"), Column("stride", numeric=True),
                   Column("map", numeric=True),
                   Column("inside, whole cells", numeric=True), Column("inside, part of a cell *", numeric=True),
                   Column("increase inside", numeric=True), Column("border", numeric=True),
                   Column("increase border", numeric=True)]  # fmt: skip
        rows = [
            Row((
                f"{place}", found.layer, found.op, _joined(found.strides), _joined(found.cells), _text(found.inside),
                _text(found.subsampling), _text(found.increase("inside")), _text(found.border),
                _text(found.increase("border")),
            ))
            for place, found in enumerate(self.layers, start=1)
        ]  # fmt: skip
        return Table(tuple(columns), tuple(rows), title="* against the nearest shift by whole cells")


def _known(numbers: Iterable[float | None]) -> list[float]:
    return [number for number in numbers if number is not None]


def _mean(numbers: Sequence[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None


def _joined(numbers: Sequence[Fraction] | Sequence[int]) -> str:
    """Return one number where all are equal, else all of them."""
    texts = [str(number) for number in numbers]
    return texts[0] if len(set(texts)) == 1 else "×".join(texts)


def _text(error: float | None) -> str:
    if error is None:
        return "?"
    return "0" if abs(error) < READS_ZERO else f"{error:.3f}" if abs(error) >= 0.0005 else f"{error:.1e}"
