"""A look at a network with one image, as a record: what it predicts, what it computes, and what its answer rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from convscope.arrays import Array
from convscope.errors import RunError
from convscope.interpret.attribution.checks.record import AttributionChecks
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.effective_field.record import EffectiveFields
from convscope.interpret.features.feature_maps import FeatureMaps
from convscope.interpret.features.filters import LayerFilters
from convscope.interpret.look.page import attribution_section, part_section
from convscope.interpret.look.saved import save_results
from convscope.interpret.look.verdict import verdict
from convscope.report.document import Block, Callout, Columns, Document, Figure, Section, dated_footer, sentence
from convscope.report.documented import Documented, Pictured
from convscope.report.image_grid import Tile, image_grid
from convscope.report.json_values import json_dict
from convscope.report.short_repr import short_path
from convscope.report.svg import Drawing
from convscope.report.table import Cell, Column, Row, Table
from convscope.report.units import percent
from convscope.runs.atomic_files import write_file
from convscope.runs.predictions import Prediction

LookPart: TypeAlias = Prediction | LayerFilters | FeatureMaps | Attribution | AttributionChecks | EffectiveFields
"""A part of a look, as it is handed on when it is ready."""

PAGE_NAME = "look.html"
_TILE = 168.0
_READING = (
    "Coloured where the class's score depends on the image, grey where it does not: orange or yellow speaks for the "
    "class, blue against it. A map is worth what its checks say."
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Look(Pictured):
    """What a network makes of one image: pictures, each attribution with its checks.

    `print(look)` shows the numbers, `look.to_html()` is a page of the pictures, `look.save(folder)` writes them.

    Args:
        network: its name.
        image_name: the image's path, or "the input".
        target: the class that is explained.
        class_name: its name.
        prediction: the probabilities of the classes.
        picture: the image as the network sees it, uint8 (H, W, C); None where the input is no picture.
        maps: feature maps of a layer.
        filters: the filters of a layer.
        attributions: which parts of the image the class's score depends on, one for each method.
        checks: of the attributions, in their order; empty where they were left out.
        fields: the layers' effective fields, where they were asked for.
        left_out: what this network has no picture of, a sentence each.
        notes: remarks, such as that the weights are random.
        interrupted: whether Ctrl-C ended it before every part was there.
    """

    network: str
    image_name: str
    target: int
    class_name: str
    prediction: Prediction
    picture: Array | None = None
    maps: FeatureMaps | None = None
    filters: LayerFilters | None = None
    attributions: tuple[Attribution, ...] = ()
    checks: tuple[AttributionChecks, ...] = ()
    fields: EffectiveFields | None = None
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    def with_part(self, part: LookPart | str) -> Look:
        """Return the look with one part more; a text says what is left out."""
        match part:
            case Prediction():
                return replace(self, prediction=part)
            case LayerFilters():
                return replace(self, filters=part)
            case FeatureMaps():
                return replace(self, maps=part)
            case Attribution():
                return replace(self, attributions=(*self.attributions, part))
            case AttributionChecks():
                return replace(self, checks=(*self.checks, part))
            case EffectiveFields():
                return replace(self, fields=part)
            case str():
                return replace(self, left_out=(*self.left_out, part))

    @property
    def checked(self) -> tuple[tuple[Attribution, AttributionChecks | None], ...]:
        """Each attribution with its checks; None where it has none."""
        return tuple(zip_longest(self.attributions, self.checks[: len(self.attributions)]))

    @property
    def strongest_cell(self) -> tuple[str, int, tuple[int, ...]] | None:
        """The layer, the channel and the position of the largest value of the first feature map; None without maps."""
        if self.maps is None or not self.maps.shown:
            return None
        channel = self.maps.shown[0]
        strength = np.nan_to_num(np.abs(np.asarray(self.maps.maps[channel], np.float64)), nan=-1.0)
        place = np.unravel_index(int(strength.argmax()), strength.shape)
        return self.maps.layer, channel, tuple(int(at) for at in place)

    def headline(self) -> str:
        """Return the network, the image, and the class that is explained with its probability."""
        share = float(self.prediction.shares[self.target])
        return f"{self.network} on {short_path(self.image_name)}: {self.class_name} ({percent(share)})"

    def figure(self) -> Drawing:
        """Draw the image, and each attribution over it with its checks' verdict."""
        tiles = [] if self.picture is None else [Tile(self.picture, "the image", "network's input")]
        tiles += [_over_image(found, checks) for found, checks in self.checked]
        if len(tiles) < 2:
            return (self.maps or self.prediction).figure()
        return image_grid(tiles, title=self.headline(), subtitle=self._subtitle(), columns=3, tile_width=_TILE)

    def table(self) -> Table:
        """Return the attributions, a row each, with what their checks found."""
        columns = (
            Column("attribution"),
            Column("checks"),
            Column(
                "random weights", numeric=True, note="rank correlation with the map of random weights; above 0.5 fails"
            ),
            Column("deletion", numeric=True, note="area below random order's; above 0 is better than random"),
            Column("insertion", numeric=True, note="area above random order's; above 0 is better than random"),
        )
        rows = [Row.of([found.title, verdict(found, checks), *_figures(checks)]) for found, checks in self.checked]
        return Table(columns, tuple(rows))

    def document(self) -> Document:
        """Return the page: attributions with their checks, feature maps, filters, fields."""
        return _look_document(self)

    def results(self) -> dict[str, Documented]:
        """Return the parts that are there, by the names of their files."""
        found: dict[str, Documented] = {"overview": self, "prediction": self.prediction}
        for attribution, checks in self.checked:
            found[f"attribution {attribution.method}"] = attribution
            if checks is not None:
                found[f"checks {attribution.method}"] = checks
        if self.maps is not None:
            found[f"feature maps {self.maps.layer}"] = self.maps
        if self.filters is not None:
            found[f"filters {self.filters.layer}"] = self.filters
        if self.fields is not None:
            found["effective fields"] = self.fields
        return found

    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """Write every picture as SVG and PNG, the arrays as .npy and .npz, and the page, into a folder that is made.

        Raises:
            RunError: one of these files is there already, or can't be written.

        Returns:
            The files.
        """
        folder = Path(folder)
        page = folder / PAGE_NAME
        if page.exists():
            raise RunError(f"{page} is there already: choose another folder")
        files = save_results(folder, self.results())
        write_file(page, self.to_html())
        return (*files, page)

    def to_dict(self) -> Mapping[str, Any]:
        """Return the numbers as JSON's types; those of pictures are in the arrays that `save` writes.

        Keys:
            network: its name.
            image: the image's path, or "the input".
            target: the class that is explained, by number.
            class_name: the same by name.
            prediction: as `Prediction.to_dict`.
            maps: as `FeatureMaps.to_dict`; None without them.
            filters: as `LayerFilters.to_dict`; None without them.
            attributions: each as `Attribution.to_dict`.
            checks: each as `AttributionChecks.to_dict`, in the order of the attributions; empty without them.
            fields: as `EffectiveFields.to_dict`; None unless they were asked for.
            left_out: what this network has no picture of, a sentence each.
            notes: remarks.
            interrupted: whether Ctrl-C ended it before every part was there.
        """
        return json_dict({
            "network": self.network,
            "image": self.image_name,
            "target": self.target,
            "class_name": self.class_name,
            "prediction": self.prediction.to_dict(),
            "maps": None if self.maps is None else self.maps.to_dict(),
            "filters": None if self.filters is None else self.filters.to_dict(),
            "attributions": [found.to_dict() for found in self.attributions],
            "checks": [found.to_dict() for found in self.checks],
            "fields": None if self.fields is None else self.fields.to_dict(),
            "left_out": self.left_out,
            "notes": self.notes,
            "interrupted": self.interrupted,
        })  # fmt: skip

    def _subtitle(self) -> str:
        return "; ".join((*self.notes, "interrupted") if self.interrupted else self.notes)


def _figures(checks: AttributionChecks | None) -> tuple[Cell, Cell, Cell]:
    random = None if checks is None or checks.randomization is None else checks.randomization.all_random
    found = None if checks is None else checks.perturbation
    if found is None:
        return _figure(random, ".2f"), "", ""
    return _figure(random, ".2f"), _figure(found.deletion_gain, "+.2f"), _figure(found.insertion_gain, "+.2f")


def _figure(number: float | None, form: str) -> Cell:
    return "" if number is None else (format(round(number, 2) + 0.0, form), number)


def _over_image(found: Attribution, checks: AttributionChecks | None) -> Tile:
    tiles = found.tiles()
    shown = next((tile for tile in tiles if tile.is_picture and tile.title != "image"), tiles[0])
    # A map that could not be laid over an image has the colours of its own scale.
    own = None if shown.is_picture else found.scale
    return replace(shown, title=found.title, note=verdict(found, checks), scale=own)


def _look_document(look: Look) -> Document:
    """Return what is shown of a look."""
    remarks: list[Block] = [Callout("note", sentence(note)) for note in look.notes]
    remarks += [Callout("note", sentence(text)) for text in look.left_out]
    if look.interrupted:
        remarks.append(Callout("warning", "Interrupted: the parts that were ready are shown."))
    blocks: list[Block] = [*remarks]
    if look.attributions:
        summary = (look.table(),) if look.checks else ()
        blocks.append(Section("What the answer rests on", (Figure(look.figure, _READING), *summary)))
    blocks.append(Section("Prediction", _prediction(look)))
    blocks += [attribution_section(found, checks) for found, checks in look.checked]
    if look.maps is not None:
        blocks.append(part_section(f"Feature maps of {look.maps.layer}", look.maps, said=look.notes))
    if look.filters is not None:
        blocks.append(part_section(f"Filters of {look.filters.layer}", look.filters, said=look.notes))
    if look.fields is not None:
        blocks.append(part_section("Effective fields", look.fields, said=look.notes))
    return Document(
        look.headline(),
        tuple(blocks),
        lead=f"Explained: the score of {look.class_name}. Beside each picture is the check that says whether to "
        "believe it.",
        footer=dated_footer(),
    )


def _prediction(look: Look) -> tuple[Block, ...]:
    found = look.prediction
    return (Columns((Figure(found.figure), *found.document().blocks)),)
