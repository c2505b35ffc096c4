"""Pictures that excite channels, as a record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.arrays import Array, Floats, Rgb
from convscope.interpret.features.layer_patches import LayerPatches
from convscope.report.colour_maps import number_text
from convscope.report.document import Block, Callout, Document, Figure, Section
from convscope.report.documented import Pictured
from convscope.report.image_grid import Tile, image_grid
from convscope.report.json_values import json_dict
from convscope.report.printable import few
from convscope.report.short_repr import image_label
from convscope.report.svg import Drawing
from convscope.report.table import Cell, Column, Row, Table
from convscope.report.units import percent, shape

_NAMED = 6


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FeatureVisualization(Pictured):
    """Pictures that gradient ascent made for channels of a layer.

    Args:
        network: its name.
        data: the name of the images that they are compared with.
        layer: whose channels.
        channels: by number, K.
        pictures: one for each, uint8 (K, H, W, C).
        reached: the largest value of each channel in its picture, (K,).
        largest: the largest value in the data set, (K,); NaN where it is not known.
        growth: the mean of each channel's map before each step, (steps done, K).
        steps: how many were allowed.
        interrupted: whether it was stopped before its end.
        patches: the image regions of the data set with the largest values of these channels.
        image_name: an image that is looked at; "" where there is none.
        own: the largest value of each channel on it, (K,); None where there is none.
    """

    network: str
    data: str
    layer: str
    channels: tuple[int, ...]
    pictures: Rgb
    reached: Floats
    largest: Floats
    growth: Floats
    steps: int
    interrupted: bool
    patches: LayerPatches
    image_name: str = ""
    own: Floats | None = None

    @property
    def shares(self) -> Floats:
        """What each picture reaches as a share of the data set's largest value; NaN where that is not above 0."""
        found = np.full(len(self.reached), np.nan)
        return np.asarray(np.divide(self.reached, self.largest, out=found, where=self.largest > 0), np.float64)

    @property
    def unexplained(self) -> tuple[int, ...]:
        """The channels whose pictures reach less than the best image of the data set."""
        below = self.reached < self.largest
        return tuple(channel for channel, less in zip(self.channels, below, strict=True) if less)

    def headline(self) -> str:
        """Return the layer, and how many pictures exceed the data set's largest value."""
        above = len(self.channels) - len(self.unexplained)
        return f"{self.network}, {self.layer}: {above} of {len(self.channels)} pictures exceed the best image"

    def arrays(self) -> dict[str, Array]:
        """Return the pictures, the values reached, the data set's largest and the growth, by name."""
        return {"pictures": self.pictures, "reached": self.reached, "largest": self.largest, "growth": self.growth}

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON's types.

        Keys:
            network: its name.
            data: the images that are compared with.
            layer: whose channels.
            size: height and width of the pictures.
            channels: by number.
            reached: the largest value of each channel in its picture.
            largest: the largest in the data set.
            shares: reached as a share of it; "nan" where that is not above 0.
            unexplained: channels whose pictures reach less than the best image.
            image: the image that is looked at; "" where there is none.
            own: the largest value of each channel on it; None where there is none.
            steps: how many were done.
            allowed: how many were allowed.
            interrupted: whether it was stopped before its end.
        """
        return json_dict(
            {
                "network": self.network,
                "data": self.data,
                "layer": self.layer,
                "size": self.pictures.shape[1:3],
                "channels": self.channels,
                "reached": self.reached,
                "largest": self.largest,
                "shares": self.shares,
                "unexplained": self.unexplained,
                "image": self.image_name,
                "own": self.own,
                "steps": len(self.growth),
                "allowed": self.steps,
                "interrupted": self.interrupted,
            }
        )

    def figure(self) -> Drawing:
        """Draw the pictures, each with what it reaches."""
        tiles = [
            Tile(picture, f"channel {channel}", f"reaches {number_text(float(value))}, data {number_text(float(best))}",
                 description=f"reaches {number_text(float(value))}", photograph=True)
            for picture, channel, value, best in zip(self.pictures, self.channels, self.reached, self.largest,
                                                     strict=True)
        ]  # fmt: skip
        made = f"{shape(self.pictures.shape[1:3])} pixels, {len(self.growth)} steps"
        return image_grid(
            tiles,
            title=f"{self.layer}: pictures that excite its channels",
            subtitle=f"{made}; the channel's largest value, and that on {self.data}",
            columns=4,
            tile_width=176,
        )

    def remarks(self) -> Iterator[str]:
        """Yield a sentence on what to know before the pictures are believed."""
        if self.interrupted:
            yield f"interrupted after {len(self.growth)} of {self.steps} steps"
        if self.unexplained:
            named = few([str(channel) for channel in self.unexplained], _NAMED)
            yield f"pictures that reach less than the best image of {self.data} explain nothing: channels {named}"

    def table(self) -> Table:
        """Return the channels with what their pictures reach."""
        columns = [Column("channel", numeric=True), Column("reached", numeric=True),
                   Column("largest in the data", numeric=True), Column("share", numeric=True)]  # fmt: skip
        if self.own is not None:
            columns.append(Column(f"on {image_label(self.image_name)}", numeric=True))
        rows = []
        for place, channel in enumerate(self.channels):
            value, best, share = self.reached[place], self.largest[place], self.shares[place]
            shown = "?" if np.isnan(share) else percent(float(share))
            cells: list[Cell] = [(str(channel), channel), (number_text(float(value)), float(value)),
                                 (number_text(float(best)), float(best)), (shown, float(share))]  # fmt: skip
            if self.own is not None:
                cells.append((number_text(float(self.own[place])), float(self.own[place])))
            rows.append(Row.of(cells))
        return Table(tuple(columns), tuple(rows))

    def document(self) -> Document:
        """Return what is shown: remarks, the values, the pictures, and the top patches beside them."""
        blocks: tuple[Block, ...] = (
            *(Callout("warning", remark) for remark in self.remarks()),
            self.table(),
            Figure(self.figure),
            Section("What excites them in the data", self.patches.document().blocks, page_only=True),
        )
        return Document(f"Feature visualization of {self.layer} in {self.network}", blocks)
