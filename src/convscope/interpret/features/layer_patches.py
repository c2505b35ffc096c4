"""The top patches of one layer's channels: crops of the images that excite each of them most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convscope.arrays import Array, Rgb
from convscope.data.records import Labels, Pixels
from convscope.interpret.features.cell_boxes import CellBox, CellBoxes, cropped, near_image
from convscope.interpret.features.patch_search import LayerMaxima
from convscope.report.colour_maps import number_text
from convscope.report.document import Block, Callout, Document, Figure
from convscope.report.documented import Pictured
from convscope.report.image_grid import Tile, grid_text, image_grid
from convscope.report.json_values import json_dict
from convscope.report.short_repr import ShortRepr
from convscope.report.svg import Drawing
from convscope.report.units import plural

CHANNELS = 8  # drawn at once
_TILE = 84  # width of a crop


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SearchedImages(ShortRepr):
    """The images that were searched, and the network that they excite.

    Args:
        network: its name.
        data: the name of the images.
        names: of each image.
        searched: how many of them were gone through: all, unless the search was interrupted.
        boxes: what the cells of each layer read.
        read: gives the pixels (H, W, C) of a row, of which crops are drawn.
        labels: of the images.
        classes: the names of the labels; empty where they are not known.
    """

    network: str
    data: str
    names: Sequence[str]
    searched: int
    boxes: CellBoxes
    read: Callable[[int], Pixels]
    labels: Labels
    classes: tuple[str, ...] = field(default=())

    def headline(self) -> str:
        """Return the network, the data, and how many images were searched."""
        return f"{self.network} on {self.data}, {self.searched:,} of {plural(len(self.names), 'image')}"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LayerPatches(Pictured):
    """The patches of some channels of one layer.

    Args:
        of: the images.
        maxima: those of the layer.
        channels: in their order.
        page: which part of the channels is drawn, from 1.
        per_page: how many are drawn at once.
    """

    of: SearchedImages
    maxima: LayerMaxima
    channels: tuple[int, ...]
    page: int = 1
    per_page: int = CHANNELS

    @property
    def shown(self) -> tuple[int, ...]:
        """The channels of this page."""
        return self.channels[(self.page - 1) * self.per_page : self.page * self.per_page]

    @property
    def pages(self) -> int:
        """How many pages all channels fill."""
        return max(1, -(-len(self.channels) // self.per_page))

    def headline(self) -> str:
        """Return the layer and its channels."""
        layer = self.maxima.layer
        return f"{layer.name} of {self.of.network}: top patches of {plural(len(self.channels), 'channel')}"

    def arrays(self) -> dict[str, Array]:
        """Return what is kept beside a picture, of the channels of this page."""
        chosen = list(self.shown)
        found = {"channels": np.array(chosen, np.int64), "rows": self.maxima.rows[chosen]}
        return found | {"places": self.maxima.places[chosen], "values": self.maxima.values[chosen]}

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON's types.

        Keys:
            network: its name.
            data: the name of the images.
            layer: the layer.
            channels: those of this page, each with channel and patches: image, row, place, value, and box, the first
                and last row and column that the cell reads.
            page: which page.
            pages: of how many.
        """
        channels = [
            {
                "channel": channel,
                "patches": [
                    {
                        "image": self.of.names[row],
                        "row": row,
                        "place": place,
                        "value": value,
                        "box": None if box is None else box.spans,
                    }
                    for row, place, value, box in self._patches(channel)
                ],
            }
            for channel in self.shown
        ]
        return json_dict({
            "network": self.of.network,
            "data": self.of.data,
            "layer": self.maxima.layer.name,
            "channels": channels,
            "page": self.page,
            "pages": self.pages,
        })  # fmt: skip

    def figure(self) -> Drawing:
        """Draw for each channel the crops of its images, the largest value first; padding is hatched."""
        return image_grid(list(self._tiles()), **self._settings())

    def document(self) -> Document:
        """Return what is shown: the patches."""
        layer = self.maxima.layer
        notes: list[Block] = []
        box = self._box(layer.channels - 1, tuple(size // 2 for size in layer.positions))
        if box is not None and not box.exact:
            notes.append(Callout("note", f"the receptive field of {layer.name} is not known exactly"))
        caption = (
            "Each crop is what the cell with the channel's largest value reads of an image; padding is hatched, and "
            "cut off from a quarter of the image's side on."
        )
        text = grid_text(list(self._tiles()), subtitle=self._settings()["subtitle"])
        figure = Figure(self.figure, caption, text)
        return Document(f"Top patches of {layer.name} of {self.of.network}", (*notes, figure))

    def _settings(self) -> dict[str, Any]:
        layer = self.maxima.layer
        paged = f", page {self.page} of {self.pages}" if self.pages > 1 else ""
        return {
            "title": f"{self.of.network}: top patches of {layer.name}",
            "subtitle": f"{len(self.shown)} of {plural(len(self.channels), 'channel')}{paged}; one patch of an image, "
                        f"the largest activations among {self.of.searched:,} images first",
            "columns": self.maxima.rows.shape[1],
            "tile_width": _TILE,
        }  # fmt: skip

    def _patches(self, channel: int) -> Iterator[tuple[int, tuple[int, ...], float, CellBox | None]]:
        found = self.maxima
        for row, place, value in zip(found.rows[channel], found.places[channel], found.values[channel], strict=True):
            if row >= 0:
                where = tuple(int(one) for one in place)
                yield int(row), where, float(value), self._box(channel, where)

    def _tiles(self) -> Iterator[Tile]:
        classes, labels = self.of.classes, self.of.labels
        for channel in self.shown:
            patches = list(self._patches(channel))
            if not patches:
                yield Tile(np.zeros((1, 1, 3), np.uint8), "no image", group=f"channel {channel}")
            for row, place, value, box in patches:
                label = int(labels[row])
                named = classes[label] if 0 <= label < len(classes) else ""
                where = "" if box is None else f" {box.text()}"
                yield Tile(
                    self._crop(row, box), number_text(value), named, group=f"channel {channel}",
                    description=f"{self.of.names[row]}{where}, cell {place}",
                    photograph=box is None or max(last - first for first, last in box.spans) >= _TILE // 2,
                )  # fmt: skip

    def _box(self, channel: int, place: tuple[int, ...]) -> CellBox | None:
        return self.of.boxes.box(self.maxima.layer.value, place, channel)

    def _crop(self, row: int, box: CellBox | None) -> Rgb:
        pixels = self.of.read(row)
        whole = CellBox(tuple((0, size - 1) for size in pixels.shape[:2]), False)
        drawn = near_image(box, pixels.shape[:2]) if box is not None and len(box.spans) == 2 else whole
        return cropped(pixels, drawn, least=_TILE)
