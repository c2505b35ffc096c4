"""How alike the layers of two networks are: two runs, two epochs, two seeds, or one network with itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from convscope.arrays import Array, Floats
from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import DataError
from convscope.interpret.behaviour.labelled import batch_of
from convscope.interpret.behaviour.linear_cka import SMALLEST_BATCH, LinearCka, gram
from convscope.interpret.features.observed import observed_of
from convscope.interpret.replay import Replays
from convscope.report.colour_maps import ColourScale
from convscope.report.document import Block, Callout, Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.matrix_chart import matrix_chart
from convscope.report.progress import Progress, no_progress
from convscope.report.svg import Drawing
from convscope.report.table import Cell, Column, Row, Table
from convscope.report.units import few, plural

_NAMED = 6
_ROUNDING = 1e-6  # of a similarity that is 1
_BATCH = 128  # images whose products with one another are kept, of every layer


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
            images.
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
            others = np.nan_to_num(self._others(), nan=-1.0)
            row, column = np.unravel_index(int(others.argmax()), others.shape)
            pair = f"{self.rows[row]} and {self.columns[column]}"
            return f"{self.first}: the most similar layers are {pair}, CKA {others[row, column]:.3f}"
        return f"{self.first} and {self.second}: CKA {self.similarity[-1, -1]:.3f} of the last layers"

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
            similarity: linear CKA of each pair, a list for each row; "nan" where a layer is the same for all images.
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
            yield f"the same for all images, so not comparable: {few(unknown, _NAMED)}"

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
                self.figure, "1: equal but for a turn and a scale. Layers that are the same for all images: hatched."
            ),
        )
        return Document(f"Similarity of layers: {self.first} and {self.second}", blocks)


def layer_similarity(
    first: Replays,
    second: Replays,
    images: ImageSet,
    normalization: Normalization,
    *,
    second_normalization: Normalization | None = None,
    layers: Sequence[str] = (),
    second_layers: Sequence[str] | None = None,
    data: str = "the images",
    device: torch.device | str = "cpu",
    batch_size: int | None = None,
    progress: Progress = no_progress,
) -> LayerSimilarity:
    """Return linear CKA of every pair of layers of two networks on the same images, in one pass.

    Interrupted, it is of the images that were gone through. A last batch of fewer than 4 images is left out.

    Args:
        first: a network, such as a run's best weights.
        second: another, such as another epoch's or seed's; the same object compares a network's layers among
            themselves.
        images: the data set; labels are not read.
        normalization: of the first network's input.
        second_normalization: of the second's; the same unless given.
        layers: names in the first network; the outputs of all layers with weights unless given.
        second_layers: names in the second; as `layers` unless given.
        data: what to call the images.
        device: where the networks are.
        batch_size: images in a batch, at least 4; 128, or fewer for large networks, unless given.
        progress: is told of each batch.

    Raises:
        DataError: fewer than 4 images, or such a batch size.
        CaptureError: no such layer, or a network does not run on the images.

    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    >>> pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    >>> given = ImageSet(pixels, np.arange(20) % 3, [""] * 20)
    >>> replays = Replays(network)
    >>> layer_similarity(replays, replays, given, Normalization.default(1)).similarity.diagonal().round(6).tolist()
    [1.0, 1.0]
    """
    least = len(images) if batch_size is None else min(batch_size, len(images))
    if least < SMALLEST_BATCH:
        what = f"{plural(len(images), 'image')} of {data}" if batch_size is None else f"a batch of {least}"
        raise DataError(f"{what}: CKA needs at least {SMALLEST_BATCH}")
    pixels = np.asarray(images.images[np.arange(1)])
    sides = [
        (first, normalization, tuple(layers)),
        (second, second_normalization or normalization, tuple(layers if second_layers is None else second_layers)),
    ]
    names: list[tuple[str, ...]] = []
    sizes: list[int] = []
    for replays, own, asked in sides:
        graph, found = replays.graph_on(to_floats(pixels, own, device=device))
        names.append(tuple(one.name for one in observed_of(found, asked)))
        sizes.append(batch_of(graph, len(images)))
    size = batch_size or max(SMALLEST_BATCH, min(_BATCH, *sizes))
    sums = LinearCka(*names)
    alone = first is second and names[0] == names[1] and sides[0][1] == sides[1][1]
    try:
        for start in range(0, len(images), size):
            rows = np.arange(start, min(start + size, len(images)))
            if len(rows) < SMALLEST_BATCH:
                break
            pixels = np.asarray(images.images[rows])
            grams = [
                _grams(replays, to_floats(pixels, own, device=device), wanted)
                for (replays, own, _), wanted in zip(sides[:1] if alone else sides, names, strict=False)
            ]
            sums.add(grams[0], grams[-1])
            progress(sums.images, len(images), "comparing layers")
    except KeyboardInterrupt:
        if not sums.images:
            raise
    return LayerSimilarity(
        first=first.name,
        second=second.name,
        data=data,
        images=sums.images,
        planned=len(images),
        rows=names[0],
        columns=names[1],
        similarity=sums.similarity,
    )


def _grams(replays: Replays, batch: torch.Tensor, wanted: Sequence[str]) -> dict[str, torch.Tensor]:
    return {name: gram(values) for name, values in replays.values_as_they_come(batch, wanted=wanted)}
