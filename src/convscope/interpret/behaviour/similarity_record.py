"""How alike the layers of two networks are, as a record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np

from convscope.arrays import Array, Floats
from convscope.report.colour_maps import ColourScale
from convscope.report.document import Block, Callout, Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.matrix_chart import matrix_chart
from convscope.report.printable import few
from convscope.report.svg import Drawing
from convscope.report.table import Cell, Column, Row, Table
from convscope.report.units import plural

_NAMED = 6
_ROUNDING = 1e-6  # of a similarity that is 1


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LayerSimilarity(Pictured):
    """Linear CKA of every layer of one network with every layer of another, on the same images.

    Args:
        first: the name of the network whose layers are the rows.
        second: of the one whose layers are the columns.
        data: the name of the images.
        images: how many were gone through.
        planned: how many there are.
        rows: the names of the first network's layers.
        columns: of the second's.
        similarity: (rows, columns), 1 for equal but for a turn and a scale; NaN where a layer is the same for all
            images, or not finite.
    """

    first: str
    second: str
    data: str
    images: int
    planned: int
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    similarity: Floats

    @property
    def nearest(self) -> tuple[str | None, ...]:
        """For each layer of the first network the most similar one of the second; None where it is not known."""
        return tuple(
            self.columns[int(np.nanargmax(row))] if np.isfinite(row).any() else None for row in self.similarity
        )

    @property
    def alone(self) -> bool:
        """Whether both are the same network: each layer is then equal to itself."""
        same = self.first == self.second and self.rows == self.columns
        return same and bool((np.nan_to_num(self.similarity.diagonal(), nan=1.0) > 1 - _ROUNDING).all())

    def headline(self) -> str:
        """Return the networks and how similar their last layers are; of one network, its most similar layers."""
        if self.alone and len(self.rows) > 1:
            if not np.isfinite(self._others()).any():
                return f"{self.first}: CKA unknown of all pairs of layers"
            others = np.nan_to_num(self._others(), nan=-1.0)
            row, column = np.unravel_index(int(others.argmax()), others.shape)
            pair = f"{self.rows[row]} and {self.columns[column]}"
            return f"{self.first}: the most similar layers are {pair}, CKA {others[row, column]:.3f}"
        last = float(self.similarity[-1, -1])
        return f"{self.first} and {self.second}: CKA {'unknown' if isnan(last) else f'{last:.3f}'} of the last layers"

    def arrays(self) -> dict[str, Array]:
        """Return the matrix, under "similarity"."""
        return {"similarity": self.similarity}

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON's types.

        Keys:
            first: the network whose layers are the rows.
            second: the one whose layers are the columns.
            data: the name of the images.
            images: how many were gone through.
            planned: how many there are.
            rows: the first network's layers.
            columns: the second's.
            similarity: linear CKA of each pair, a list for each row; "nan" where a layer is the same for
                all images, or not finite.
            nearest: for each row the most similar column; None where it is not known.
        """
        return json_dict({
            "first": self.first, "second": self.second, "data": self.data, "images": self.images,
            "planned": self.planned, "rows": self.rows, "columns": self.columns, "similarity": self.similarity,
            "nearest": self.nearest,
        })  # fmt: skip

    def figure(self) -> Drawing:
        """Draw the matrix from 0 to 1."""
        return matrix_chart(
            self.similarity,
            rows=self.rows,
            columns=self.columns,
            title=f"Similarity of layers: {self.first} and {self.second}",
            scale=ColourScale("sequential", 0.0, 1.0),
            unit=f"linear CKA, {plural(self.images, 'image')}",
            row_axis=self.first,
            column_axis=self.second,
        )

    def remarks(self) -> Iterator[str]:
        """Yield a sentence on what to know before the numbers are read."""
        if self.images < self.planned:
            left = self.planned - self.images
            yield f"{plural(left, 'image')} of {self.planned:,} left out: interrupted, or a last batch of fewer than 4"
        unknown = [name for name, row in zip(self.rows, self.similarity, strict=True) if np.isnan(row).all()]
        unknown += [name for name, row in zip(self.columns, self.similarity.T, strict=True) if np.isnan(row).all()]
        if unknown:
            named = few(list(dict.fromkeys(unknown)), _NAMED)
            yield f"the same for all images, or not finite, so not comparable: {named}"

    def _others(self) -> Floats:
        """Return the similarities, of one network without those of each layer with itself."""
        return np.where(np.eye(len(self.rows), dtype=bool), np.nan, self.similarity) if self.alone else self.similarity

    def table(self) -> Table:
        """Return for each layer of the first network the most similar one of the second, or another one of its own."""
        columns = (Column("layer"), Column("most similar" + " other" * self.alone), Column("CKA", numeric=True))
        rows = []
        for name, row in zip(self.rows, self._others(), strict=True):
            known = bool(np.isfinite(row).any())
            nearest = self.columns[int(np.nanargmax(row))] if known else "none"
            value = float(np.nanmax(row)) if known else None
            cells: list[Cell] = [name, nearest, ("?" if value is None else f"{value:.3f}", value)]
            rows.append(Row.of(cells))
        return Table(columns, tuple(rows))

    def document(self) -> Document:
        """Return what is shown: remarks, the most similar layers, and the matrix."""
        facts = Facts((Fact("images", f"{self.images:,} of {self.data}", self.images),))
        blocks: tuple[Block, ...] = (
            *(Callout("note", remark) for remark in self.remarks()),
            facts,
            self.table(),
            Figure(
                self.figure,
                "1: equal up to rotation and scale. Layers that are the same for all images, or not finite: hatched.",
            ),
        )
        return Document(f"Similarity of layers: {self.first} and {self.second}", blocks)
