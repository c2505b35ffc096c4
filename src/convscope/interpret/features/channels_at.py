"""All channels at one position: the units of a layer that look at one region of the image, each for something else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convscope.arrays import Array, Floats
from convscope.errors import GeometryError
from convscope.interpret.features.cell_boxes import CellBox, CellBoxes, cropped, near_image
from convscope.interpret.features.observed import first_axis_notes, first_observed, sample_maps
from convscope.interpret.subject import Subject
from convscope.report.charts import PlotBox
from convscope.report.colour_maps import ColourScale, largest_cells, number_text, range_text
from convscope.report.document import Block, Callout, Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.image_grid import Tile, grid_text, image_grid
from convscope.report.json_values import json_dict
from convscope.report.short_repr import image_label
from convscope.report.svg import Drawing, below
from convscope.report.table import Column, Row, Table
from convscope.report.units import percent, plural, shape

_TRIED = 256  # positions that are looked at for one without padding
LISTED = 10  # channels in the table
_WIDE = 240.0


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ChannelsAt(Pictured):
    """The values of all channels of a layer at one position.

    Args:
        network: its name.
        image_name: the image's.
        layer: the layer or operation.
        position: of the cells, one number for each axis of positions.
        sizes: of the map along these axes.
        values: of each channel, (C,).
        ranks: for each channel the share of its map's positions where it is smaller, (C,).
        box: what these cells read of the image; None where the network has no input with positions.
        picture: the image as the network sees it, uint8 (H, W, C); None where the input is no picture.
        notes: remarks.
    """

    network: str
    image_name: str
    layer: str
    position: tuple[int, ...]
    sizes: tuple[int, ...]
    values: Floats
    ranks: Floats
    box: CellBox | None
    picture: Array | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def active(self) -> int:
        """How many channels are above 0."""
        return int((self.values > 0).sum())

    @property
    def strongest(self) -> tuple[int, ...]:
        """The channels of largest absolute value, the largest first."""
        return tuple(place[0] for _, place in largest_cells(self.values, LISTED))

    def headline(self) -> str:
        """Return the layer, the position, and how many channels are active."""
        where = f" at {self._where()}" if self.position else ""
        return f"{self.layer} of {self.network}{where}: {self.active:,} of {len(self.values):,} channels above 0"

    def arrays(self) -> dict[str, Array]:
        """Return the numbers that are kept beside a picture: the values of all channels, and their ranks."""
        return {"values": self.values, "ranks": self.ranks}

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON's types.

        Keys:
            network: its name.
            image: the image's name.
            layer: the layer or operation.
            position: of the cells.
            map: the sizes of the map.
            values: of each channel.
            ranks: for each channel the share of its map's positions where it is smaller.
            active: how many channels are above 0.
            strongest: the channels of largest absolute value.
            box: first and last position that the cells read, along each axis of the image; outside of it in padding.
            box_exact: whether that is their receptive field.
            notes: remarks.
        """
        return json_dict({
            "network": self.network,
            "image": self.image_name,
            "layer": self.layer,
            "position": self.position,
            "map": self.sizes,
            "values": self.values,
            "ranks": self.ranks,
            "active": self.active,
            "strongest": self.strongest,
            "box": None if self.box is None else self.box.spans,
            "box_exact": self.box is not None and self.box.exact,
            "notes": self.notes,
        })  # fmt: skip

    def figure(self) -> Drawing:
        """Draw the image with the region that the cells read, the region itself, and all channels as bars."""
        title = f"{self.network}: all {len(self.values):,} channels of {self.layer} at {self._where()}"
        bars = image_grid(
            [Tile(self.values, f"channels 0 to {len(self.values) - 1}")],
            title="the activation of each channel there", scale=ColourScale.of(self.values), unit="activation",
            tile_width=2 * _WIDE + 12,
        )  # fmt: skip
        regions = self._regions()
        if not regions:
            return below(bars, title=title)
        seen = "" if self.box is None else f"they read {self.box.text()} of {self._image()}"
        return below(image_grid(regions, title=title, subtitle=seen, tile_width=_WIDE), bars, title=title)

    def document(self) -> Document:
        """Return what is shown: the region, the values, and the strongest channels."""
        facts = [
            Fact("layer", self.layer),
            Fact("position", self._where(), list(self.position)),
            Fact("channels", f"{len(self.values):,}", len(self.values)),
            Fact("above 0", percent(self.active / len(self.values)), self.active),
            Fact("range", range_text(self.values)),
        ]
        if self.box is not None:
            facts.append(Fact("reads", self.box.size_text, None, f"{self.box.text()} of {self._image()}"))
        columns = (Column("channel", numeric=True), Column("value", numeric=True),
                   Column("its map is smaller at", numeric=True))  # fmt: skip
        rows = tuple(
            Row((str(one), number_text(self.values[one]), percent(float(self.ranks[one]))),
                values=(one, float(self.values[one]), float(self.ranks[one])))
            for one in self.strongest
        )  # fmt: skip
        blocks: list[Block] = [
            *(Callout("note", note) for note in self.notes),
            Facts(tuple(facts)),
            Figure(self.figure, "Each bar is one channel; orange is above 0, blue below.",
                   grid_text([Tile(self.values, "channels")])),
            Table(columns, rows, "Strongest channels here"),
        ]  # fmt: skip
        return Document(f"Channels of {self.layer} of {self.network} at {self._where()}", tuple(blocks))

    def _image(self) -> str:
        return image_label(self.image_name)

    def _where(self) -> str:
        return f"({', '.join(map(str, self.position))}) of {shape(self.sizes)}" if self.position else "no position"

    def _regions(self) -> list[Tile]:
        if self.picture is None or self.box is None or len(self.box.spans) != 2:
            return []
        (top, bottom), (left, right) = self.box.spans
        high, wide = self.picture.shape[:2]
        frame = PlotBox(max(0, top), max(0, left), min(high, bottom + 1), min(wide, right + 1), self.box.size_text)
        outside = top < 0 or left < 0 or bottom >= high or right >= wide
        drawn = near_image(self.box, (high, wide))
        large = max(last - first for first, last in drawn.spans) >= _WIDE / 4  # smaller crops keep their pixels' edges
        cut = " and cut off" if drawn != self.box else ""
        note = f"{self.box.size_text}{f', padding hatched{cut}' if outside else ''}"
        return [
            Tile(self.picture, "the image", "framed: what the cells read", boxes=(frame,), photograph=True),
            Tile(cropped(self.picture, drawn, least=int(_WIDE)), "what the cells read", note, photograph=large),
        ]


def channels_at(subject: Subject, layer: str = "", at: tuple[int, ...] | None = None) -> ChannelsAt:
    """Return the values of all channels of a layer at one position, with the region of the image that they read.

    Args:
        subject: the network and the image.
        layer: a layer or operation by name; the first layer with weights, after its activation, unless given.
        at: the position, (row, column) of a map; unless given the one with the largest sum of squares over channels
            among those whose receptive fields lie within the image.

    Raises:
        CaptureError: there is no such layer; the message has the nearest names. Or it has no channels.
        GeometryError: the position is outside of the map, or the layer has none.

    >>> import torch
    >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.MaxPool2d(2))
    >>> image = Subject(network=network, name="small", image_name="noise", tensor=torch.randn(1, 1, 12, 12))
    >>> found = channels_at(image, "1", (0, 2))
    >>> found.values.shape, found.box.spans
    ((8,), ((-1, 2), (3, 6)))
    """
    run = subject.replay
    layer = layer or first_observed(run.names)
    value = run.find(layer)
    maps = sample_maps(run, value, of=layer)
    sizes = maps.shape[1:]
    boxes = CellBoxes(run.names)
    place = _strongest(maps, boxes, value) if at is None else _checked_place(at, sizes, layer)
    spread = maps.reshape(len(maps), -1)
    values = spread[:, int(np.ravel_multi_index(place, sizes)) if sizes else 0]
    with np.errstate(invalid="ignore"):
        ranks = (spread < values[:, None]).mean(axis=1)
    box = boxes.box(value, place)
    missing = int((~np.isfinite(values)).sum())
    notes = [*subject.notes, *first_axis_notes(run, value, of=layer)]
    if missing:
        notes.append(f"{plural(missing, 'channel')} of {len(values):,} not finite here")
    if box is not None and not box.exact:
        notes.append(f"the receptive field of {layer} is not known exactly: the box may be larger")
    return ChannelsAt(
        network=subject.name, image_name=subject.image_name, layer=layer, position=place, sizes=sizes, values=values,
        ranks=ranks, box=box, picture=subject.pixels, notes=tuple(notes),
    )  # fmt: skip


def _strongest(maps: Floats, boxes: CellBoxes, value: int) -> tuple[int, ...]:
    """Return the position of largest energy, that of a cell which reads no padding where one of the first does."""
    sizes = maps.shape[1:]
    energy = np.nan_to_num(np.square(maps).sum(axis=0), nan=-1.0).reshape(-1)
    order = [tuple(int(i) for i in np.unravel_index(at, sizes)) for at in np.argsort(-energy, kind="stable")[:_TRIED]]
    for place in order if sizes else []:
        box = boxes.box(value, place)
        if box is None or all(
            first >= 0 and last < size for (first, last), size in zip(box.spans, boxes.image_size, strict=True)
        ):
            return place
    return order[0] if sizes else ()


def _checked_place(at: tuple[int, ...], sizes: tuple[int, ...], layer: str) -> tuple[int, ...]:
    if len(at) != len(sizes):
        if not sizes:
            raise GeometryError(f"{layer} has no map, only units: leave the position out")
        last = ",".join(str(size - 1) for size in sizes)
        raise GeometryError(
            f"{layer}'s map is {shape(sizes)}: a position is {plural(len(sizes), 'number')} of at most {last}, "
            f"got {','.join(map(str, at)) or 'none'}"
        )
    if any(not 0 <= place < size for place, size in zip(at, sizes, strict=True)):
        last = ",".join(str(size - 1) for size in sizes)
        where = ",".join(map(str, at))
        raise GeometryError(f"{layer}'s map is {shape(sizes)}: {where} is outside; the last cell is {last}")
    return tuple(at)
