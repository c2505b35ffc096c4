"""Top patches: which images of a data set excite a channel most, each cropped to what the most excited cell reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from convscope.arrays import Array
from convscope.data.batches import Batches
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet, Pixels
from convscope.errors import CaptureError, DataError, GeometryError, did_you_mean
from convscope.interpret.features.cell_boxes import CellBoxes
from convscope.interpret.features.layer_patches import CHANNELS, LayerPatches, SearchedImages
from convscope.interpret.features.observed import checked_channels
from convscope.interpret.features.patch_search import KEPT, LayerMaxima, search_maxima
from convscope.interpret.replay.on_images import first_input, images_at_once
from convscope.interpret.replay.replays import Replays
from convscope.report.colour_maps import number_text
from convscope.report.document import Block, Callout, Document, Fact, Facts, Section
from convscope.report.documented import Documented
from convscope.report.json_values import json_dict
from convscope.report.progress import Progress, no_progress
from convscope.report.table import Column, Row, Table
from convscope.report.units import plural, shape
from convscope.scoring.answer import evaluation_batch

_OF_EACH = 3  # channels that a page of all layers draws of each


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TopPatches(Documented):
    """For each channel of each layer, the images of a data set with its largest values.

    Args:
        images: those that were searched, and the network.
        maxima: of each layer.
    """

    images: SearchedImages
    maxima: tuple[LayerMaxima, ...]

    @property
    def searched(self) -> int:
        """How many images were gone through."""
        return self.images.searched

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers."""
        return tuple(found.layer.name for found in self.maxima)

    def of_layer(
        self, layer: str, channels: Sequence[int] = (), *, page: int = 1, per_page: int = CHANNELS
    ) -> LayerPatches:
        """Return the patches of some channels of a layer.

        Args:
            layer: one of `layers`, or the layer with weights whose output it is.
            channels: these, in this order; all by number unless given.
            page: which part of the channels is drawn, from 1.
            per_page: how many channels are drawn at once.

        Raises:
            CaptureError: no such layer was searched.
            GeometryError: no such channel or page.
        """
        found = next((one for one in self.maxima if layer in (one.layer.name, one.layer.layer)), None)
        if found is None:
            known = did_you_mean(layer, self.layers) or f" Searched: {', '.join(self.layers[:6])}"
            raise CaptureError(f"no patches of {layer!r} were searched.{known}")
        chosen = checked_channels(channels, found.layer.channels, layer) or tuple(range(found.layer.channels))
        pages = max(1, -(-len(chosen) // max(1, per_page)))
        if not 1 <= page <= pages or per_page < 1:
            raise GeometryError(f"page {page} of {per_page} channels each: there are {plural(pages, 'page')}, from 1")
        return LayerPatches(of=self.images, maxima=found, channels=chosen, page=page, per_page=per_page)

    def headline(self) -> str:
        """Return the network, the data, and how much was searched."""
        layers = plural(len(self.maxima), "layer")
        return f"{self.images.network} on {self.images.data}: {layers}, {plural(self.searched, 'image')}"

    def arrays(self) -> dict[str, Array]:
        """Return what is kept of each layer, under "LAYER/rows", "LAYER/places" and "LAYER/values"."""
        return {
            f"{found.layer.name}/{name}": values
            for found in self.maxima
            for name, values in (("rows", found.rows), ("places", found.places), ("values", found.values))
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON's types.

        Keys:
            network: its name.
            data: the name of the images.
            images: how many there are.
            searched: how many were gone through.
            layers: each with name, layer (the one with weights), channels, map, rows, places, values: for each channel
                the images with its largest values, the largest first; -1 and "nan" where there were fewer images.
        """
        return json_dict({
            "network": self.images.network,
            "data": self.images.data,
            "images": len(self.images.names),
            "searched": self.searched,
            "layers": [
                {
                    "name": found.layer.name,
                    "layer": found.layer.layer,
                    "channels": found.layer.channels,
                    "map": found.layer.positions,
                    "rows": found.rows,
                    "places": found.places,
                    "values": found.values,
                }
                for found in self.maxima
            ],
        })  # fmt: skip

    def document(self) -> Document:
        """Return what is shown: a table of the layers, and of each the first channels' patches."""
        facts = [
            Fact("network", self.images.network),
            Fact("images", f"{self.searched:,} of {self.images.data}", self.searched),
            Fact("layers", str(len(self.maxima)), len(self.maxima)),
        ]
        columns = [Column("layer"), Column("channels", numeric=True), Column("map", numeric=True),
                   Column("a cell reads", numeric=True), Column("largest value", numeric=True)]  # fmt: skip
        rows = []
        for found in self.maxima:
            box = self.images.boxes.box(found.layer.value, tuple(size // 2 for size in found.layer.positions))
            best = found.values[np.isfinite(found.values)].max(initial=-np.inf)
            rows.append(Row((
                found.layer.name, f"{found.layer.channels:,}", shape(found.layer.positions) or "none",
                "?" if box is None else box.size_text, number_text(float(best)) if np.isfinite(best) else "none",
            )))  # fmt: skip
        blocks: list[Block] = [*(Callout("note", note) for note in self._notes()), Facts(tuple(facts))]
        blocks.append(Table(tuple(columns), tuple(rows)))
        sections = [
            Section(name, self.of_layer(name, per_page=_OF_EACH).document().blocks, page_only=True)
            for name in self.layers
        ]
        return Document(f"Top patches of {self.images.network} on {self.images.data}", (*blocks, *sections))

    def _notes(self) -> Iterator[str]:
        if self.searched < len(self.images.names):
            yield f"interrupted: {self.searched:,} of {plural(len(self.images.names), 'image')} searched"
        missing = sum(found.not_finite for found in self.maxima)
        if missing:
            yield f"{plural(missing, 'map')} without a finite number left out"


def top_patches(
    replays: Replays,
    images: ImageSet,
    normalization: Normalization,
    *,
    layers: Sequence[str] = (),
    kept: int = KEPT,
    batch_size: int | None = None,
    data: str = "the images",
    classes: Sequence[str] = (),
    progress: Progress = no_progress,
) -> TopPatches:
    """Return for each channel of each layer the images that excite it most, in one forward pass over all images.

    Of an image at most one patch is among those of a channel: where the channel is largest. Equal values are in the
    order of the images. An interrupt returns what was found until then.

    Args:
        replays: the network.
        images: as the network was trained on them, uint8 (N, H, W, C).
        normalization: of their pixels.
        layers: by name; the outputs of all layers with weights and of all sums of branches, after their activations,
            unless given.
        kept: how many images of each channel.
        batch_size: images in a forward pass; by the size of an image unless given.
        data: the name of the images.
        classes: the names of their labels.
        progress: called after each batch.

    Raises:
        DataError: there are no images.
        CaptureError: there is no such layer, or the network does not run on the images.

    >>> import torch
    >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU())
    >>> pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    >>> given = ImageSet(pixels, np.zeros(20, np.int64), [str(row) for row in range(20)])
    >>> found = top_patches(Replays(network), given, Normalization.default(1))
    >>> found.layers, found.maxima[0].rows.shape
    (('1',), (4, 9))
    """
    if not len(images):
        raise DataError(f"{data} has no images to search")
    if kept < 1:
        raise GeometryError(f"{kept} patches of a channel: ask for at least 1")
    size = images_at_once(replays, images, normalization, batch_size or evaluation_batch(images.images.shape[1:]))
    batches = Batches(images, batch_size=size, normalization=normalization)
    maxima, searched = search_maxima(
        replays, ((pixels, rows) for pixels, _, rows in batches), layers=layers, kept=kept, total=len(images),
        progress=progress,
    )  # fmt: skip
    graph, names = replays.graph_on(first_input(replays, images, normalization))
    searched_images = SearchedImages(
        network=graph.name, data=data, names=images.names, searched=searched, boxes=CellBoxes(names),
        read=partial(_pixels_of, images), labels=images.labels, classes=tuple(classes),
    )  # fmt: skip
    return TopPatches(images=searched_images, maxima=maxima)


def _pixels_of(images: ImageSet, row: int) -> Pixels:
    return np.asarray(images.images[row])
