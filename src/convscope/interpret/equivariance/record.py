"""How far each layer's map is from moving with the image, and the layers that break it, as a record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from convscope.arrays import Array
from convscope.files.checked import Json
from convscope.geometry.axis_names import axis_names
from convscope.interpret.equivariance.layer_errors import READS_ZERO, ErrorKind, LayerErrors, OwnError, ShiftError
from convscope.report.charts import Curve, line_chart
from convscope.report.document import Block, Callout, Document, Figure
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.printable import few
from convscope.report.svg import Drawing
from convscope.report.table import Column, Row, Table
from convscope.report.units import plural

_NAMED = 5
_PLACES: dict[ErrorKind, str] = {"inside": "away from the borders", "border": "at the borders"}


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
        left_out: layers whose maps have no single stride, or are not one of each image.
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
        """The layers that break equivariance: those whose own error, inside or at the border, reads above 0."""
        return tuple(found.layer for found in self.layers if found.breaks("inside") or found.breaks("border"))

    def largest(self, kind: ErrorKind) -> LayerErrors | None:
        """Return the layer with the largest increase of an error over its inputs'; None where none is above 0."""
        known = [(increase, place) for place, found in enumerate(self.layers)
                 if (increase := found.increase(kind)) is not None and increase > READS_ZERO]  # fmt: skip
        return self.layers[max(known, key=lambda one: (one[0], -one[1]))[1]] if known else None

    def headline(self) -> str:
        """Return the network and the layers that break equivariance."""
        broken = f"broken by {few(self.breaking, 3)}" if self.breaking else "no layer breaks it"
        return f"shift equivariance of {self.network}: {broken}"

    def to_dict(self) -> dict[str, Json]:
        """Return the numbers as JSON's types.

        Keys:
            network: its name.
            image: what was shifted.
            size: pixels of the image along each axis.
            shifts: those that were done, as (axis, pixels).
            planned: how many there are.
            breaking: layers whose own error reads above 0.
            layers: each with name, op, strides, cells, inputs, inside, subsampling, border, whole, inside_increase,
                border_increase, own_inside, own_border, own (of each shift of the maps that it reads axis, cells,
                fractional, inside, border), and errors (of each shift axis, pixels, cells, fractional, inside, whole,
                border).
            left_out: layers whose maps have no single stride, or are not one of each image.
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
                    "own_inside": found.own_error("inside"),
                    "own_border": found.own_error("border"),
                    "own": [
                        {name: getattr(error, name) for name in OwnError.__dataclass_fields__} for error in found.own
                    ],
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
        for kind, what in _PLACES.items():
            breaking = [found.layer for found in self.layers if found.breaks(kind)]
            if breaking:
                yield f"equivariance {what} is broken by {few(breaking, _NAMED)}"
            most = self.largest(kind)
            if most is not None:
                why = "" if most.breaks(kind) else ", which amplifies the error of a layer before it"
                yield f"the error {what} grows most at {most.layer}: by {_text(most.increase(kind))}{why}"
        if not self.breaking:
            yield f"no layer breaks equivariance: every error of its own is below {READS_ZERO:g}"
        hidden = [found.layer for found in self.layers if all(error.inside is None for error in found.errors)]
        if hidden:
            yield (
                f"a border reaches every cell of {few(hidden, _NAMED)}: give a larger image to tell subsampling "
                "from border there"
            )
        apart = [found.layer for found in self.layers if not found.own]
        if apart:
            yield f"without an error of their own, since they read maps of different strides: {few(apart, _NAMED)}"
        if self.left_out:
            yield f"not measured, without a single stride or a map of each image: {few(self.left_out, _NAMED)}"

    def table(self) -> Table:
        """Return the layers with their errors."""
        columns = [Column("", numeric=True), Column("layer"), Column("operation"), Column("stride", numeric=True),
                   Column("map", numeric=True),
                   Column("inside, whole cells", numeric=True), Column("inside, part of a cell *", numeric=True),
                   Column("increase inside", numeric=True), Column("border", numeric=True),
                   Column("increase border", numeric=True),
                   Column("own, inside", numeric=True), Column("own, border", numeric=True)]  # fmt: skip
        rows = [
            Row((
                f"{place}", found.layer, found.op, _joined(found.strides), _joined(found.cells), _text(found.inside),
                _text(found.subsampling), _text(found.increase("inside")), _text(found.border),
                _text(found.increase("border")), _text(found.own_error("inside")), _text(found.own_error("border")),
            ))
            for place, found in enumerate(self.layers, start=1)
        ]  # fmt: skip
        return Table(tuple(columns), tuple(rows), title="* against the nearest shift by whole cells")


def _joined(numbers: Sequence[Fraction] | Sequence[int]) -> str:
    """Return one number where all are equal, else all of them."""
    texts = [str(number) for number in numbers]
    return texts[0] if len(set(texts)) == 1 else "×".join(texts)


def _text(error: float | None) -> str:
    if error is None:
        return "?"
    return "0" if abs(error) < READS_ZERO else f"{error:.3f}" if abs(error) >= 0.0005 else f"{error:.1e}"
