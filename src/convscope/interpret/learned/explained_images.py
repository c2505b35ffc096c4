"""Which parts of some images a network's answers depend on: of images that it has right, and of images it has wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convscope.arrays import Array, Rgb
from convscope.interpret.attribution.overlay import overlaid
from convscope.interpret.attribution.record import Attribution
from convscope.report.colour_maps import ColourScale
from convscope.report.document import Block, Callout, Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.image_grid import Tile, image_grid
from convscope.report.json_values import json_dict
from convscope.report.short_repr import ShortRepr, short_path
from convscope.report.svg import Drawing
from convscope.report.table import Cell, Column, Row, Table
from convscope.report.units import percent, plural

_GROUPS = {True: "right", False: "wrong", None: "images"}
_YES_NO = {True: "yes", False: "no", None: "?"}
_COLUMNS, _TILE = 8, 100.0  # pictures in a row: each image twice, as it is and under its map


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ExplainedImage(ShortRepr):
    """An image with the map of the class that it is predicted as.

    Args:
        name: the image's.
        row: in the data set.
        labels: the names of its true classes: one, or in a multi-label data set any number.
        predicted: the class with the highest score, by number.
        probability: of that class.
        right: whether the prediction is right; of several labels an image, whether all of them are. None where the
            image is not labelled with the network's classes.
        pixels: as the network sees them, uint8 (H, W, C).
        attribution: of the predicted class.
    """

    name: str
    row: int
    labels: tuple[str, ...]
    predicted: int
    probability: float
    right: bool | None
    pixels: Rgb
    attribution: Attribution

    def headline(self) -> str:
        """Return the image, and what it is predicted as."""
        return f"{short_path(self.name)}: {self.attribution.class_name} ({percent(self.probability)})"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ExplainedImages(Pictured):
    """Some images that a network has right and some that it has wrong, each with a map of what its answer depends on.

    They are evenly spaced among the right and among the wrong ones: none was chosen for its map.

    Args:
        network: its name.
        data: the name of the images.
        right: how many images of all that were predicted are right; None where they have no labels of the network's.
        predicted: how many were predicted.
        images: those that are shown, the right ones first.
        stopped: whether some are missing, since the time for them was over.
    """

    network: str
    data: str
    right: int | None
    predicted: int
    images: tuple[ExplainedImage, ...]
    stopped: bool = field(default=False)

    @property
    def method(self) -> str:
        """The title of the method."""
        return self.images[0].attribution.title

    @property
    def layer(self) -> str:
        """The layer whose map it is; "" for a map on the input itself."""
        return self.images[0].attribution.layer

    @property
    def scale(self) -> ColourScale:
        """The colours of all maps, as shares of each one's largest value: attributions of two classes don't compare."""
        signed = self.images[0].attribution.signed
        return ColourScale("diverging" if signed else "sequential", -1.0 if signed else 0.0, 1.0)

    def headline(self) -> str:
        """Return the network, its right predictions, and what is shown."""
        where = f"{self.method}, {self.images[0].attribution.where()}"
        right = "" if self.right is None else f"{self.right:,} of {plural(self.predicted, 'image')} right; "
        return f"{self.network}: {right}{where}"

    def arrays(self) -> dict[str, Array]:
        """Return the maps of all images, (N, H, W), as "maps", and their rows in the data set as "rows"."""
        maps = np.stack([image.attribution.map for image in self.images])
        return {"maps": maps, "rows": np.array([image.row for image in self.images])}

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON's types; `arrays` has the maps.

        Keys:
            network: its name.
            data: the name of the images.
            right: how many images are right; None where they have no labels of the network's.
            predicted: how many were predicted.
            method: the title of the method.
            layer: whose map it is; "" for a map on the input itself.
            images: of each name, row, labels, predicted, class_name, probability, right, has_evidence.
            stopped: whether some are missing, since the time for them was over.
        """
        images = [
            {
                "name": image.name,
                "row": image.row,
                "labels": image.labels,
                "predicted": image.predicted,
                "class_name": image.attribution.class_name,
                "probability": image.probability,
                "right": image.right,
                "has_evidence": image.attribution.has_evidence,
            }
            for image in self.images
        ]
        return json_dict({
            "network": self.network,
            "data": self.data,
            "right": self.right,
            "predicted": self.predicted,
            "method": self.method,
            "layer": self.layer,
            "images": images,
            "stopped": self.stopped,
        })  # fmt: skip

    def figure(self) -> Drawing:
        """Draw each image, and beside it the same under its map, on one scale."""
        return image_grid(list(self._tiles()), **self._settings())

    def table(self) -> Table:
        """Return the images: what they are, and what they are predicted as."""
        columns = (Column("image"), Column("true"), Column("predicted"), Column("probability", numeric=True),
                   Column("right"))  # fmt: skip
        rows = []
        for image in self.images:
            cells: list[Cell] = [
                short_path(image.name), ", ".join(image.labels) or "–", image.attribution.class_name,
                (percent(image.probability), image.probability), _YES_NO[image.right],
            ]  # fmt: skip
            rows.append(Row.of(cells))
        return Table(columns, tuple(rows))

    def document(self) -> Document:
        """Return what is shown: the images under their maps, on a page the pictures, in a terminal a table."""
        right = []
        if self.right is not None:
            share = percent(self.right / self.predicted)
            right.append(Fact("right", f"{self.right:,} of {self.predicted:,} ({share})", self.right))
        facts = Facts((*right, Fact("map", f"{self.method}, {self.images[0].attribution.where()}")))
        figure = Figure(self.figure, self._caption())  # in a terminal the table says the same
        blocks: list[Block] = [*(Callout("note", remark) for remark in self.remarks()), facts]
        return Document(f"Right and wrong images of {self.data}, {self.network}", (*blocks, figure, self.table()))

    def remarks(self) -> Iterator[str]:
        """Yield a sentence on what to know before the pictures are read."""
        if all(image.right for image in self.images):
            yield "none of the images is wrong" if self.right == self.predicted else "no wrong image is shown"
        if self.method != "Grad-CAM":
            yield f"no layer has a map for Grad-CAM, so this is: {self.method}, {self.images[0].attribution.where()}"
        if self.stopped:
            yield "fewer images than usual, as the time for them was over"

    def _caption(self) -> str:
        return (
            "Each image, and beside it in colour what the score of the predicted class depends on. Images are evenly "
            "spaced among the right and the wrong ones. These maps are not checked: a look at one image checks them."
        )

    def _settings(self) -> dict[str, Any]:
        return {
            "title": f"{self.network}: {self.method} of the predicted class, {self.images[0].attribution.where()}",
            "bars": ((self.scale, "share of the map's largest value, which is said above it"),),
            "columns": _COLUMNS,
            "tile_width": _TILE,
        }

    def _tiles(self) -> Iterator[Tile]:
        scale = self.scale
        for image in self.images:
            found = image.attribution
            largest = float(np.abs(found.map).max(initial=0.0))
            group = _GROUPS[image.right]
            labels = ", ".join(image.labels) or ("none" if image.right is not None else "unknown")
            note = f"{percent(image.probability, decimals=0)}, max {largest:.2g}"
            note = note if found.has_evidence else "no positive evidence"
            yield Tile(image.pixels, f"true: {labels}", short_path(image.name, longest=16), group=group,
                       description=f"{image.name}: {labels}", photograph=True)  # fmt: skip
            over = overlaid(image.pixels, found.map / (largest or 1.0), scale)
            yield Tile(over, f"as: {found.class_name}", note, group=group,
                       description=f"{found.title} of {found.class_name} in {image.name}", photograph=True)  # fmt: skip
