"""Several networks on one image, side by side: what each predicts, computes and depends on, on one scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from convscope.arrays import Array, Floats
from convscope.errors import ArgumentError
from convscope.interpret.attribution.checks.rank_correlation import rank_correlation
from convscope.interpret.attribution.overlay import overlaid
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.behaviour.similarity_record import LayerSimilarity
from convscope.interpret.features.feature_maps_record import FeatureMaps
from convscope.interpret.features.observed import middle_plane
from convscope.interpret.interrupts import interrupted_text
from convscope.interpret.look.saved import Savable
from convscope.report.colour_maps import ColourScale, ScaleKind, number_text
from convscope.report.document import Block, Callout, Document, Figure, Section, dated_footer, sentence
from convscope.report.documented import Documented, Pictured
from convscope.report.image_grid import Tile, grid_text, image_grid
from convscope.report.json_values import json_dict
from convscope.report.printable import few
from convscope.report.short_repr import ShortRepr, image_label
from convscope.report.svg import Drawing
from convscope.report.table import Cell, Column, Row, Table
from convscope.report.units import percent, shape
from convscope.runs.predictions import Prediction

Pairing = Literal["number", "correlation", "rank"]
_PAIRED: Mapping[Pairing, str] = {
    "number": "below one another: channels of the same number",
    "correlation": "below each channel of the first network: the one whose map here correlates most with it (r)",
    "rank": "the maps are of different sizes: each network's own channels, in its own order",
}
_TILE, _MAP_TILE = 168.0, 88.0


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ComparedNetwork(ShortRepr):
    """One of the networks that are compared.

    Args:
        name: which tells it from the others.
        target: the class that is explained, by number.
        class_name: its name.
        prediction: the probabilities of the classes.
        maps: the layer's feature maps; None where it has none.
        channels: those that are drawn, in the order of the first network's.
        correlations: of each of them with the first network's channel at its place; NaN where it is not known.
        attributions: one for each method, in the comparison's order; None for one that the network has no map of.
    """

    name: str
    target: int
    class_name: str
    prediction: Prediction
    maps: FeatureMaps | None
    channels: tuple[int, ...]
    correlations: Floats
    attributions: tuple[Attribution | None, ...]

    @property
    def share(self) -> float:
        """The probability of the class that is explained."""
        return float(self.prediction.shares[self.target])

    def headline(self) -> str:
        """Return the network and what it predicts."""
        return f"{self.name}: {self.prediction.label}"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LookComparison(Pictured, Savable):
    """What several networks make of one image, with one scale for what is compared.

    Args:
        image_name: the image's path, or "the input".
        methods: of attribution, by name.
        networks: the first is the one that the others are compared with.
        pairing: which channels stand below one another: those of the same "number", for states of one run; by
            "correlation" of their maps on this image; or each network's own by "rank".
        picture: the image as the first network sees it, uint8 (H, W, C); None where the input is no picture.
        similarities: linear CKA of the layers of the first network with those of each other.
        left_out: what could not be compared, a sentence each.
        missing: the names of what was asked for, and was not ready when Ctrl-C ended it.
        notes: remarks.
        interrupted: whether Ctrl-C ended it before everything was there.
    """

    image_name: str
    methods: tuple[str, ...]
    networks: tuple[ComparedNetwork, ...]
    pairing: Pairing
    picture: Array | None = None
    similarities: tuple[LayerSimilarity, ...] = ()
    left_out: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    interrupted: bool = False

    def rank_correlations(self, method: str) -> tuple[float | None, ...]:
        """Return Spearman's correlation of each network's map by a method with the first one's; None if unknown.

        Raises:
            ArgumentError: the networks were not compared by this method.
        """
        if method not in self.methods:
            raise ArgumentError(f"no maps of {method!r} were compared, only of {', '.join(self.methods) or 'none'}")
        place = self.methods.index(method)
        first, *_ = maps = [network.attributions[place] for network in self.networks]
        return tuple(
            None if one is None or first is None or one.map.shape != first.map.shape
            else rank_correlation(first.map, one.map)
            for one in maps
        )  # fmt: skip

    def headline(self) -> str:
        """Return the image and what each network predicts."""
        found = few([f"{one.name} {one.prediction.label}" for one in self.networks], 4)
        return f"{image_label(self.image_name)}: {found}"

    def arrays(self) -> dict[str, Array]:
        """Return the maps of each network's drawn channels, by its name."""
        return {
            f"{one.name}/maps": np.asarray(one.maps.maps)[list(one.channels)]
            for one in self.networks if one.maps is not None
        }  # fmt: skip

    def table(self) -> Table:
        """Return the networks, a row each: prediction, probability, correlation of their maps with the first one's."""
        explained = self.networks[0].class_name
        columns = [
            Column("network"), Column("predicted"), Column("probability", numeric=True),
            Column(f"of {explained}", numeric=True, note="the probability of the class that is explained"),
            *(Column(f"{method}, correlation with first", numeric=True, note="rank correlation of the maps")
              for method in self.methods),
        ]  # fmt: skip
        alike = [self.rank_correlations(method) for method in self.methods]
        rows = []
        for place, one in enumerate(self.networks):
            top = one.prediction.top[0]
            cells: list[Cell] = [one.name, top.name, (percent(top.probability), top.probability),
                                 (percent(one.share), one.share)]  # fmt: skip
            cells += [("?" if each[place] is None else f"{each[place]:.2f}", each[place]) for each in alike]
            rows.append(Row.of(cells))
        return Table(tuple(columns), tuple(rows))

    def figure(self) -> Drawing:
        """Draw the maps of each network's channels, a row each, on one scale; without maps the first attribution."""
        tiles = self._map_tiles()
        if not tiles:
            known = next((method for method in self.methods if self._named(method)), None)
            return self.networks[0].prediction.figure() if known is None else self.attribution_figure(known)
        layers = {one.maps.layer for one in self.networks if one.maps is not None}
        return image_grid(
            tiles,
            title=f"Feature maps of {few(sorted(layers), 3)} on {image_label(self.image_name)}",
            subtitle=_PAIRED[self.pairing],
            scale=self._map_scale(),
            unit="activation, one scale for all networks",
            columns=8,
            tile_width=_MAP_TILE,
        )

    def attribution_figure(self, method: str) -> Drawing:
        """Draw one method's maps of all networks over the image, on one scale."""
        tiles, scale = self._attribution_tiles(method)
        first = next(found for found in self._attributions(method) if found is not None)
        return image_grid(
            tiles,
            title=f"{first.title}: {first.class_name}",
            subtitle=self._layers(method),
            scale=scale,
            bars=[(scale, "attribution, one scale for all networks")],
            columns=4,
            tile_width=_TILE,
        )

    def document(self) -> Document:
        """Return the page: predictions, attributions side by side, feature maps row by row, similarity of layers."""
        blocks: list[Block] = [Callout("note", sentence(text)) for text in (*self.notes, *self.left_out)]
        if self.interrupted:
            blocks.append(Callout("warning", interrupted_text(self.missing)))
        blocks.append(Section("Predictions", (self.table(),)))
        for method in self.methods:
            known = [found for found in self._attributions(method) if found is not None]
            if known:
                text = "\n".join(f"{name}: {found.in_words()}" for name, found in self._named(method))
                signs = "Orange: evidence for the class, blue: against it." if known[0].signed else (
                    "Lighter: more evidence for the class.")  # fmt: skip
                figure = Figure(lambda method=method: self.attribution_figure(method), signs, text)  # type: ignore[misc]
                blocks.append(Section(known[0].title, (figure,)))
        if tiles := self._map_tiles():
            caption = "One colour is one number in all networks."
            blocks.append(Section("Feature maps", (Figure(self.figure, caption, grid_text(tiles)),)))
        for found in self.similarities:
            blocks.append(Section(f"Similarity of layers: {found.first} and {found.second}", found.document().blocks))
        return Document(
            f"{few([one.name for one in self.networks], 4)} on {image_label(self.image_name)}",
            tuple(blocks),
            lead=f"Explained: the score of {self.networks[0].class_name}. What is compared has one scale.",
            footer=dated_footer(),
        )

    def results(self) -> dict[str, Documented]:
        """Return the parts that are there, by the names of their files."""
        found: dict[str, Documented] = {"comparison": self}
        for place, one in enumerate(self.networks, start=1):
            for method, attribution in zip(self.methods, one.attributions, strict=True):
                if attribution is not None:
                    found[f"{place} {one.name} {method}"] = attribution
            if one.maps is not None:
                found[f"{place} {one.name} feature maps {one.maps.layer}"] = one.maps
        return found | {f"similarity {n}": found for n, found in enumerate(self.similarities, start=2)}

    def to_dict(self) -> Mapping[str, Any]:
        """Return the numbers as JSON's types; those of pictures are in the arrays that `save` writes.

        Keys:
            image: the image's path, or "the input".
            pairing: which channels stand below one another: "number", "correlation" or "rank".
            networks: each with name, target, class_name, prediction, maps, channels, correlations (with the first
                network's channels), attributions and rank_correlations (with the first network's), by method.
            similarities: each as `LayerSimilarity.to_dict`.
            left_out: what could not be compared, a sentence each.
            missing: the names of what was asked for, and was not ready when Ctrl-C ended it.
            notes: remarks.
            interrupted: whether Ctrl-C ended it before everything was there.
        """
        alike = {method: self.rank_correlations(method) for method in self.methods}
        return json_dict({
            "image": self.image_name,
            "pairing": self.pairing,
            "networks": [
                {
                    "name": one.name,
                    "target": one.target,
                    "class_name": one.class_name,
                    "prediction": one.prediction.to_dict(),
                    "maps": None if one.maps is None else one.maps.to_dict(),
                    "channels": one.channels,
                    "correlations": one.correlations,
                    "attributions": {
                        method: None if found is None else found.to_dict()
                        for method, found in zip(self.methods, one.attributions, strict=True)
                    },
                    "rank_correlations": {method: alike[method][place] for method in self.methods},
                }
                for place, one in enumerate(self.networks)
            ],
            "similarities": [found.to_dict() for found in self.similarities],
            "left_out": self.left_out,
            "missing": self.missing,
            "notes": self.notes,
            "interrupted": self.interrupted,
        })  # fmt: skip

    def _attributions(self, method: str) -> list[Attribution | None]:
        return [one.attributions[self.methods.index(method)] for one in self.networks]

    def _named(self, method: str) -> list[tuple[str, Attribution]]:
        of_all = zip(self.networks, self._attributions(method), strict=True)
        return [(one.name, found) for one, found in of_all if found is not None]

    def _layers(self, method: str) -> str:
        where = dict.fromkeys(f"{found.where()}, {shape(found.cells.shape)}" for _, found in self._named(method))
        return few(list(where), 3)

    def _attribution_tiles(self, method: str) -> tuple[list[Tile], ColourScale]:
        named = self._named(method)
        scales = [found.scale for _, found in named]
        kind: ScaleKind = "diverging" if any(found.signed for _, found in named) else "sequential"
        scale = ColourScale.of(np.array([end for each in scales for end in (each.low, each.high)]), kind=kind)
        tiles = [] if self.picture is None else [Tile(self.picture, "the image", photograph=True)]
        shares = {one.name: f"{one.class_name} {percent(one.share)}" for one in self.networks}
        largest = {name: number_text(float(np.nanmax(np.abs(found.map)))) for name, found in named}
        for name, found in named:
            over = found.pixels is not None and found.pixels.shape[:2] == found.map.shape
            values = overlaid(found.pixels, found.map, scale) if over and found.pixels is not None else (
                middle_plane(found.map))  # fmt: skip
            tiles.append(Tile(values, name, f"{shares[name]}, to {largest[name]}", description=found.headline()))
        return tiles, scale

    def _map_scale(self) -> ColourScale:
        drawn = [np.asarray(one.maps.maps)[list(one.channels)] for one in self.networks if one.maps is not None]
        return ColourScale.of(*drawn)

    def _map_tiles(self) -> list[Tile]:
        tiles = []
        for one in self.networks:
            if one.maps is None:
                continue
            if one.maps.is_vector:
                tiles.append(Tile(one.maps.maps[list(one.channels)], "units", group=one.name))
                continue
            for channel, alike in zip(one.channels, one.correlations, strict=True):
                correlated = self.pairing != "rank" and one is not self.networks[0] and np.isfinite(alike)
                note = f"r = {alike:.2f}" if correlated else ""
                tiles.append(Tile(middle_plane(one.maps.maps[channel]), f"channel {channel}", note, group=one.name))
        return tiles
