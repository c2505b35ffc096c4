"""Feature maps: what each channel of a layer computes of one image, the most active or most decisive channels first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch

from convscope.arrays import Array, Floats
from convscope.errors import GeometryError, did_you_mean
from convscope.interpret.features.channel_means import ChannelMeans
from convscope.interpret.features.contribution import contributions, gradient_times_activation
from convscope.interpret.features.observed import (
    checked_channels,
    first_observed,
    middle_plane,
    observed_layers,
    sample_maps,
)
from convscope.interpret.subject import Subject
from convscope.report.colour_maps import ColourScale, is_constant, number_text, range_text
from convscope.report.document import Block, Callout, Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.image_grid import Tile, grid_text, image_grid
from convscope.report.json_values import json_dict
from convscope.report.progress import Progress, no_progress
from convscope.report.short_repr import image_label
from convscope.report.svg import Drawing
from convscope.report.units import plural, shape

ChannelRanking = Literal["order", "energy", "contribution", "gradient"]
ScaleOf = Literal["map", "layer", "network"]

PAGE = 24  # maps on a page
_MEASURES: Mapping[ChannelRanking, str] = {
    "order": "by number",
    "energy": "by energy, the mean square over positions",
    "contribution": "by contribution: the fall of the score of {} when the channel is {}",
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
        """How many pages all channels fill."""
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
        if self.pages > 1:
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
        return f"mean {_signed(measure)}, zero {_signed(self.at_zero[channel])}"


def feature_maps(
    subject: Subject,
    layer: str = "",
    *,
    ranking: ChannelRanking = "energy",
    target: int | str | None = None,
    means: ChannelMeans | None = None,
    channels: Sequence[int] = (),
    page: int = 1,
    per_page: int = PAGE,
    scale: ScaleOf = "layer",
    progress: Progress = no_progress,
) -> FeatureMaps:
    """Return the maps of a layer's channels on an image, ranked.

    Args:
        subject: the network and the image.
        layer: a layer or operation by name; the first layer with weights, after its activation, unless given.
        ranking: "energy" (mean square), "contribution" (by how much the class's score falls when the channel is at
            its mean over a data set, or 0 where none is given), "gradient" (gradient times activation, summed), or
            "order" (by number). The measures of a class's score may be negative; channels are ranked by their absolute
            value.
        target: the class of the score, by number or name; the predicted one unless given.
        means: of the layer's channels, for their contributions; 0 replaces a channel unless given.
        channels: only these, in this order.
        page: which part of the channels is drawn, from 1.
        per_page: how many are drawn at once.
        scale: what has one colour scale: each "map", the "layer", or the "network", of which all layers are computed.
        progress: of the contributions.

    Raises:
        CaptureError: there is no such layer; the message has the nearest names. Or it has no channels.
        GeometryError: no such class, channel, page, ranking or scale.

    >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU())
    >>> image = Subject(network=network, name="small", image_name="noise", tensor=torch.randn(1, 1, 12, 12))
    >>> found = feature_maps(image, "1", channels=(5, 2))
    >>> found.maps.shape, found.shown
    ((8, 10, 10), (5, 2))
    """
    _require_one_of("ranking", ranking, get_args(ChannelRanking))
    _require_one_of("scale", scale, get_args(ScaleOf))
    run = subject.replay
    layer = layer or first_observed(run.names)
    value = run.find(layer)
    maps = sample_maps(run, value, of=layer)
    if maps[0].size == 1:
        maps = maps.reshape(len(maps))
    by_score = ranking in ("contribution", "gradient")
    number = subject.target(target) if by_score or target is not None else 0
    at_zero = None
    if ranking == "contribution":
        measures = contributions(subject, value, number, progress=progress)
        if means is not None:
            at_zero = measures
            measures = contributions(subject, value, number, levels=means.values, progress=progress)
    elif ranking == "gradient":
        measures = gradient_times_activation(subject, value, number)
    else:
        measures = np.array([float(np.mean(np.square(one))) for one in maps])
    strength = np.where(np.isnan(measures), np.inf, np.abs(measures))
    order = np.arange(len(maps)) if ranking == "order" else np.argsort(-strength, kind="stable")
    chosen = checked_channels(channels, len(maps), layer) or tuple(int(channel) for channel in order)
    _require_page(len(chosen), layer, page, per_page)
    return FeatureMaps(
        network=subject.name,
        image_name=subject.image_name,
        layer=layer,
        maps=maps,
        ranking=ranking,
        measures=measures,
        at_zero=at_zero,
        means_of="" if means is None or at_zero is None else means.data,
        order=chosen,
        page=page,
        per_page=per_page,
        target=subject.class_name(number) if by_score else "",
        scale=scale,
        network_range=_network_range(subject) if scale == "network" else None,
        picture=subject.pixels,
        notes=(*subject.notes, *_notes(layer, maps)),
    )


def require_page(subject: Subject, layer: str, *, page: int, per_page: int) -> None:
    """Raise, before any map is ranked, where a layer has no such page of feature maps.

    Args:
        subject: the network and the image.
        layer: as of `feature_maps`.
        page: from 1.
        per_page: how many maps a page has.

    Raises:
        CaptureError: there is no such layer, or it has no channels.
        GeometryError: there is no such page.
    """
    layer = layer or first_observed(subject.replay.names)
    _require_page(len(sample_maps(subject.replay, subject.replay.find(layer), of=layer)), layer, page, per_page)


def _require_page(count: int, layer: str, page: int, per_page: int) -> None:
    pages = max(1, -(-count // max(1, per_page)))
    if not 1 <= page <= pages or per_page < 1:
        raise GeometryError(
            f"there is no page {page} of feature maps: the {plural(count, 'channel')} of {layer} fill "
            f"{plural(pages, 'page')} of {per_page}"
        )


def _network_range(subject: Subject) -> tuple[float, float]:
    ends: list[float] = []
    for found in observed_layers(subject.replay.names):
        values = subject.replay.tensor(found.value).detach()
        least, largest = values.aminmax()
        if not bool(torch.isfinite(least) & torch.isfinite(largest)):  # NaN is both
            finite = values[values.isfinite()]
            if not finite.numel():
                continue
            least, largest = finite.aminmax()
        ends += [float(least), float(largest)]
    return min(ends, default=0.0), max(ends, default=0.0)


def _notes(layer: str, maps: Floats) -> list[str]:
    notes = []
    missing = int(maps.size - np.isfinite(maps).sum())
    if missing:
        notes.append(f"{missing:,} of {maps.size:,} values of {layer} are not finite: they are hatched")
    if maps.ndim > 3:
        notes.append(f"{layer} has maps of {shape(maps.shape[1:])}: of each the middle slice is drawn")
    return notes


def _signed(number: float) -> str:
    text = number_text(number)
    return text if text.startswith("-") else f"+{text}"


def _require_one_of(name: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        raise GeometryError(f"{name} {given!r} is none of {', '.join(known)}.{did_you_mean(given, known)}")
