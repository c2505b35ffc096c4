"""The maps of a layer's channels on one image, ranked, as a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convscope.arrays import Array, Floats
from convscope.interpret.features.map_choices import ChannelRanking, ScaleOf
from convscope.interpret.features.observed import (
    middle_plane,
)
from convscope.report.colour_maps import ColourScale, is_constant, number_text, range_text
from convscope.report.document import Block, Callout, Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.image_grid import Tile, grid_text, image_grid
from convscope.report.json_values import json_dict
from convscope.report.short_repr import image_label
from convscope.report.svg import Drawing
from convscope.report.units import plural, shape

PAGE = 24  # maps on a page
_MEASURES: Mapping[ChannelRanking, str] = {
    "order": "by number",
    "energy": "by energy, the mean square over positions",
    "contribution": "by contribution: the fall of the score of {} when the channel is replaced by {}",
    "gradient": "by gradient × activation for {}, summed over positions",
}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FeatureMaps(Pictured):
    """The maps of a layer's channels on one image, ranked.

    Args:
        network: its name.
        image_name: the image's.
        layer: the layer or operation.
        maps: of all channels, (C, *S); of a vector (C,) alone.
        ranking: by which measure channels are ordered.
        measures: of each channel, (C,).
        at_zero: of a contribution by the mean, the fall of the score when the channel is 0 instead, (C,); else None.
        means_of: the images over which the mean was taken; "" where there is none.
        target: the class whose score the ranking is about; "" for the others.
        order: all channels, the first in rank first.
        page: which part of them is drawn, from 1.
        per_page: how many are drawn at once.
        scale: whether each map, the layer or the whole network has one colour scale.
        network_range: least and largest value of all layers looked at, for the network's scale.
        picture: the image as the network sees it, uint8 (H, W, C); None where the input is no picture.
        notes: remarks.
    """

    network: str
    image_name: str
    layer: str
    maps: Floats
    ranking: ChannelRanking
    measures: Floats
    order: tuple[int, ...]
    page: int = 1
    per_page: int = PAGE
    at_zero: Floats | None = None
    means_of: str = ""
    target: str = ""
    scale: ScaleOf = "layer"
    network_range: tuple[float, float] | None = None
    picture: Array | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def pages(self) -> int:
        """How many pages all channels fill; the picture of a vector shows them all."""
        return max(1, -(-len(self.order) // self.per_page))

    @property
    def shown(self) -> tuple[int, ...]:
        """The channels of this page, in their order."""
        return self.order[(self.page - 1) * self.per_page : self.page * self.per_page]

    @property
    def is_vector(self) -> bool:
        """Whether the layer has no positions: its units are then drawn as bars."""
        return self.maps.ndim == 1

    def headline(self) -> str:
        """Return the layer, its maps and the ranking."""
        ranked = "" if self.ranking == "order" else f", by {self.ranking}{f' to {self.target}' if self.target else ''}"
        return f"{self.layer} of {self.network} on {self._image()}: {shape(self.maps.shape)}{ranked}"

    def arrays(self) -> dict[str, Array]:
        """Return the numbers that are kept beside a picture: all maps, their measures and the order."""
        at_zero = {} if self.at_zero is None else {"measures_at_zero": self.at_zero}
        return {"maps": self.maps, "measures": self.measures, **at_zero, "order": np.array(self.order, np.int64)}

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON's types, without those of the maps, which `arrays` has.

        Keys:
            network: its name.
            image: the image's name.
            layer: the layer or operation.
            shape: channels, then positions.
            ranking: by which measure channels are ordered.
            target: the class whose score the ranking is about; "" where it is about none.
            means_of: the images whose mean replaces a channel for its contribution; "" where 0 does, or nothing.
            channels: those of this page, each with channel, measure, measure_at_zero (of a contribution by the mean,
                else None), least and largest value, constant, not_finite.
            page: which page.
            pages: of how many.
            scale: whether each map, the layer or the network has one colour scale.
            notes: remarks.
        """
        return json_dict({
            "network": self.network,
            "image": self.image_name,
            "layer": self.layer,
            "shape": self.maps.shape,
            "ranking": self.ranking,
            "target": self.target,
            "means_of": self.means_of,
            "channels": [self._channel(channel) for channel in self.shown],
            "page": self.page,
            "pages": self.pages,
            "scale": self.scale,
            "notes": self.notes,
        })  # fmt: skip

    def figure(self) -> Drawing:
        """Draw this page's maps on the chosen scale, the image before them; the units of a vector as bars."""
        return image_grid(self._tiles(), **self._settings())

    def document(self) -> Document:
        """Return what is shown: the layer's numbers, and the maps."""
        facts = [
            Fact("layer", self.layer),
            Fact("maps", shape(self.maps.shape), list(self.maps.shape)),
            Fact("range", range_text(self.maps)),
            Fact("ranked", self._ranked()),
        ]
        silent = sum(is_constant(one) for one in self.maps) if not self.is_vector else 0
        if silent:
            facts.append(Fact("constant", f"{silent:,} of {len(self.maps):,} maps", silent))
        if self.pages > 1 and not self.is_vector:
            facts.append(Fact("page", f"{self.page} of {self.pages}", self.page))
        caption = "" if self.is_vector else "A larger value is lighter on a scale from 0, orange on one around 0."
        blocks: list[Block] = [Callout("note", note) for note in self.notes]
        text = grid_text(self._tiles(), subtitle=self._settings()["subtitle"])
        blocks += [Facts(tuple(facts)), Figure(self.figure, caption, text)]
        return Document(f"Feature maps of {self.layer} of {self.network}", tuple(blocks))

    def _channel(self, channel: int) -> dict[str, Any]:
        values = np.atleast_1d(self.maps[channel])
        finite = values[np.isfinite(values)]
        return {
            "channel": channel,
            "measure": float(self.measures[channel]),
            "measure_at_zero": None if self.at_zero is None else float(self.at_zero[channel]),
            "least": float(finite.min()) if finite.size else None,
            "largest": float(finite.max()) if finite.size else None,
            "constant": is_constant(values),
            "not_finite": int(values.size - finite.size),
        }

    def _ranked(self) -> str:
        level = f"its mean over {self.means_of}" if self.means_of else "0"
        return _MEASURES[self.ranking].format(self.target, level)

    def _image(self) -> str:
        return image_label(self.image_name)

    def _settings(self) -> dict[str, Any]:
        first = f"channels of {self.layer}, {shape(self.maps.shape)}"
        if self.is_vector:
            return {"title": f"{self.network}: {first}", "subtitle": f"{plural(len(self.maps), 'unit')}, "
                    f"{range_text(self.maps)}", "scale": ColourScale.of(self.maps),
                    "unit": "activation", "tile_width": 480}  # fmt: skip
        paged = f", page {self.page} of {self.pages}" if self.pages > 1 else ""
        which = f"{len(self.shown)} of {plural(len(self.order), 'channel')}{paged}"
        return {
            "title": f"{self.network}: {first}",
            "subtitle": f"{which}, {self._ranked()}; {self._image()}",
            "scale": self._scale(),
            "unit": {"layer": "activation, one scale for the layer", "network": "activation, one scale for the network",
                     "map": ""}[self.scale],
            "columns": 5,
        }  # fmt: skip

    def _scale(self) -> ColourScale | None:
        if self.scale == "map":
            return None
        if self.scale == "network" and self.network_range is not None:
            return ColourScale.of(np.array(self.network_range))
        return ColourScale.of(self.maps)

    def _tiles(self) -> list[Tile]:
        if self.is_vector:
            return [Tile(self.maps, f"units 0 to {len(self.maps) - 1}")]
        tiles = [] if self.picture is None else [Tile(self.picture, "the image", "network's input", photograph=True)]
        # On scales of their own, maps without a negative value still begin at 0, and the others go around it.
        own = self.scale == "map"
        for channel in self.shown:
            plane = middle_plane(self.maps[channel])
            tiles.append(Tile(plane, f"channel {channel}", self._note(channel), ColourScale.of(plane) if own else None))
        return tiles

    def _note(self, channel: int) -> str:
        """Return the measure of a channel, as it is written below its map."""
        if self.ranking == "order":
            return ""
        measure = self.measures[channel]
        if self.ranking == "energy":
            return f"energy {number_text(measure)}"
        if self.at_zero is None:
            return f"score {_signed(measure)}"
        return f"by mean {_signed(measure)}\nby zero {_signed(self.at_zero[channel])}"


def _signed(number: float) -> str:
    text = number_text(number)
    return text if text.startswith("-") else f"+{text}"
