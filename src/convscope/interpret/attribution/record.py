"""An attribution as a record: a map on the cells of a layer, and the same map on the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convscope.arrays import Array, Floats
from convscope.interpret.attribution.overlay import overlaid
from convscope.report import units
from convscope.report.colour_maps import ColourScale, ScaleKind, largest_cells, number_text, range_text
from convscope.report.document import Block, Callout, Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.image_grid import Tile, grid_text, image_grid
from convscope.report.json_values import json_dict
from convscope.report.slices import chosen
from convscope.report.svg import Drawing

SLICES = 6  # of a volume, that are drawn
TILE, WIDE = 168.0, 480.0  # width of a picture, and of a row of numbers
_FINE, _REGIONS = 16, 8  # side above which a map is put in words by regions, and how many along each axis
CLIPPED = 99  # percentile of a map at the input at which its colours end, where the largest is twice as much


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Attribution(Pictured):
    """Which parts of an image a class's score depends on, by one method.

    Args:
        network: its name.
        image_name: the image's path, or "the input".
        method: the method's name, as in `methods.METHODS`.
        title: the method's name in the literature.
        layer: the layer or operation whose map it is; "" for a map on the input itself.
        target: the class whose score is explained.
        class_name: its name.
        score: of that class, as the network gives it.
        cells: the map on the layer's cells, or on the input's positions, (H, W); channels are summed.
        map: the map on the image, (H, W), cells at the centres of their receptive fields.
        values: of a map on the input, the same with channels apart, (C, H, W); None of a map on a layer's cells.
        signed: whether negative numbers mean evidence against the class; from 0 up where False.
        baseline: what replaced the image or its parts, by name; "" for a method without.
        measures: what belongs to the method, such as its steps and the completeness gap, by name.
        notes: remarks, such as that there is no positive evidence.
        pixels: the image as the network sees it, uint8 (H, W, C); None where the input is no picture.
        interrupted: whether Ctrl-C ended it early, with a map that is coarser than asked for.
    """

    network: str
    image_name: str
    method: str
    title: str
    layer: str = ""
    target: int
    class_name: str
    score: float
    cells: Floats
    map: Floats
    values: Floats | None = None
    signed: bool
    baseline: str = ""
    measures: Mapping[str, int | float | str | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    pixels: Array | None = None
    interrupted: bool = False

    @property
    def positive(self) -> Floats:
        """The map's positive part: evidence for the class."""
        return np.maximum(self.map, 0.0)

    @property
    def has_evidence(self) -> bool:
        """Whether any cell is positive."""
        return bool((self.cells > 0).any())

    def where(self) -> str:
        """Return where the map is: at a layer, or at the input."""
        return f"at {self.layer}" if self.layer else "at the input"

    def headline(self) -> str:
        """Return the method, the class and the largest cell."""
        found = f"{self.title} of {self.class_name} {self.where()}, {units.shape(self.cells.shape)}"
        if not self.has_evidence:
            return f"{found}: no positive evidence" if np.isfinite(self.cells).all() else f"{found}: NaN or infinite"
        place = np.unravel_index(int(np.nanargmax(self.cells)), self.cells.shape)
        return f"{found}: largest {number_text(float(self.cells[place]))} at ({', '.join(map(str, place))})"

    @property
    def scale(self) -> ColourScale:
        """The colours of the map: around 0 where it is signed, else from 0."""
        kind: ScaleKind = "diverging" if self.signed else "sequential"
        end = self._clipped_at()
        if end is not None:
            return ColourScale.of(np.clip(self.map, -end, end), kind=kind)
        return ColourScale.of(self.map, self.cells, kind=kind)

    def _clipped_at(self) -> float | None:
        """Return where the colours of a map at the input end, if few of its pixels are far above all others."""
        strength = np.abs(self.map[np.isfinite(self.map)])
        if self.layer or self.map.ndim != 2 or not strength.size:
            return None
        end = float(np.percentile(strength, CLIPPED))
        return end if 0 < end < float(strength.max()) / 2 else None

    def arrays(self) -> dict[str, Array]:
        """Return the numbers that are kept beside a picture: the cells of a layer, the map, and each channel's."""
        cells = {"cells": self.cells} if self.layer else {}
        values = {} if self.values is None else {"values": self.values}
        return {**cells, "map": self.map, **values}

    def tiles(self) -> list[Tile]:
        """Return the pictures: the image, the map over it, the map alone, and the cells of a layer."""
        if self.map.ndim > 2:
            return [Tile(self.map[at], f"index {at}") for at in chosen(0, len(self.map) - 1, SLICES)]
        tiles = [Tile(self.map, "map")]
        if self.pixels is not None and self.pixels.shape[:2] == self.map.shape:
            over = overlaid(self.pixels, self.map, self.scale)
            tiles = [Tile(self.pixels, "image"), Tile(over, "map over the image"), *tiles]
        return [*tiles, Tile(self.cells, "cells")] if self.layer else tiles

    def figure(self) -> Drawing:
        """Draw the image, the map over it and alone, and the cells, on one scale with its colour bar."""
        title = f"{self.title}: {self.class_name}, {self.where()}"
        end = self._clipped_at()
        clipped = []
        if end is not None:
            largest = number_text(float(np.nanmax(np.abs(self.map))))
            clipped.append(
                f"colours end at {number_text(end)}, which {CLIPPED} % of pixels are below; largest {largest}"
            )
        unit = "score" if self.method == "occlusion" else "attribution"
        return image_grid(
            self.tiles(),
            title=title,
            subtitle="; ".join((*self.notes, *clipped)),
            scale=self.scale,
            unit=unit,
            columns=1 if self.map.ndim == 1 else 6,
            tile_width=TILE if self.map.ndim > 1 else WIDE,
        )

    def in_words(self) -> str:
        """Return the range of the cells and where the largest are; of a fine map, the regions of largest mean."""
        if self.map.ndim != 2 or min(*self.cells.shape, *self.map.shape) <= _FINE:
            return grid_text([Tile(self.cells, "cells")])
        rows, columns = (np.linspace(0, size, _REGIONS + 1).astype(int) for size in self.map.shape)
        sums = np.add.reduceat(np.add.reduceat(np.nan_to_num(self.map), rows[:-1], axis=0), columns[:-1], axis=1)
        means = sums / (np.diff(rows)[:, None] * np.diff(columns)[None, :])
        regions = "; ".join(
            f"{number_text(mean)} in rows {rows[y]} to {rows[y + 1] - 1}, columns {columns[x]} to {columns[x + 1] - 1}"
            for mean, (y, x) in largest_cells(means, 5)
        )
        return f"map: {range_text(self.map)}; of {_REGIONS}×{_REGIONS} regions those of largest mean: {regions}"

    def _caption(self) -> str:
        more = "Lighter" if self.map.ndim > 1 else "Higher"
        signs = "Orange: evidence for the class, blue: against it." if self.signed else f"{more}: more evidence."
        return f"{signs} Cells are at the centres of their receptive fields." if self.layer else signs

    def document(self) -> Document:
        """Return what is shown: class, score, settings, the largest cells and the notes."""
        facts = [
            Fact("class", self.class_name, self.target),
            Fact("score", f"{self.score:.4g}", self.score),
            Fact("map", f"{units.shape(self.cells.shape)} {self.where()}"),
        ]
        if self.baseline:
            facts.append(Fact("baseline", self.baseline))
        facts += [Fact(name, _written(value), value) for name, value in self.measures.items()]
        notes: list[Block] = [Callout("note", note) for note in self.notes]
        figure = Figure(self.figure, self._caption(), self.in_words())
        blocks = (Facts(tuple(facts)), *notes, figure)
        return Document(f"{self.title}: {self.class_name} in {self.image_name}, {self.network}", blocks)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON's types.

        Keys:
            network: its name.
            image: the image's path, or "the input".
            method: the method's name.
            layer: whose map it is; "" for a map on the input itself.
            target: the class by number.
            class_name: the class by name.
            score: of that class.
            signed: whether negative numbers mean evidence against the class.
            baseline: what replaced the image or its parts; "" for a method without.
            measures: what belongs to the method, such as its steps and the completeness gap, by name.
            has_evidence: whether any cell is positive.
            cells: the map on the layer's cells, as rows; None of a map at the input, which is `map`.
            map: the map on the image, as rows.
            notes: remarks.
            interrupted: whether Ctrl-C ended it early.
        """
        return json_dict({
            "network": self.network,
            "image": self.image_name,
            "method": self.method,
            "layer": self.layer,
            "target": self.target,
            "class_name": self.class_name,
            "score": self.score,
            "signed": self.signed,
            "baseline": self.baseline,
            "measures": self.measures,
            "has_evidence": self.has_evidence,
            "cells": self.cells if self.layer else None,
            "map": self.map,
            "notes": self.notes,
            "interrupted": self.interrupted,
        })  # fmt: skip


def _written(value: int | float | str | None) -> str:
    if value is None:
        return "unknown"
    return value if isinstance(value, str) else units.exact(value) if isinstance(value, int) else f"{value:.3g}"
