"""A look at a network with one image, as a record: what it predicts, computes, and what its score depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, TypeAlias

import numpy as np

from convscope.arrays import Array
from convscope.interpret.attribution.checks.record import AttributionChecks
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.behaviour.image_robustness import ImageRobustness
from convscope.interpret.behaviour.visualization_record import FeatureVisualization
from convscope.interpret.effective_field.record import EffectiveFields
from convscope.interpret.equivariance.record import Equivariance
from convscope.interpret.features.channels_at import ChannelsAt
from convscope.interpret.features.feature_maps_record import FeatureMaps
from convscope.interpret.features.filters import LayerFilters
from convscope.interpret.interrupts import interrupted_text
from convscope.interpret.look.overview import CHECKS_LEGEND, overview_figure, overview_table
from convscope.interpret.look.page import attribution_section, part_section
from convscope.interpret.look.saved import Savable
from convscope.report.document import (
    Block,
    Callout,
    Columns,
    Document,
    Figure,
    Paragraph,
    Section,
    dated_footer,
    sentence,
)
from convscope.report.documented import Documented, Pictured
from convscope.report.json_values import json_dict
from convscope.report.short_repr import image_label
from convscope.report.svg import Drawing
from convscope.report.table import Table
from convscope.report.units import percent
from convscope.runs.predictions import Prediction

LookPart: TypeAlias = (
    Prediction | LayerFilters | FeatureMaps | ChannelsAt | Attribution | AttributionChecks | ImageRobustness
    | Equivariance | FeatureVisualization | EffectiveFields
)  # fmt: skip
"""A part of a look, as it is handed on when it is ready."""

_SUBTITLE = 90  # characters of the remarks in a picture
_READING = (
    "Coloured where the class's score depends on the image, grey where it does not: orange or yellow is evidence for "
    "the class, blue against it. Read a map together with its checks."
)
_READING_OF_NUMBERS = "Above 0 is evidence for the class, below 0 against it. Read a map together with its checks."


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Look(Pictured, Savable):
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
        channels: all channels of that layer at one position.
        attributions: which parts of the image the class's score depends on, one for each method.
        checks: of the attributions, in their order; empty where they were left out.
        robustness: the smallest distortions that change the prediction, where they were asked for.
        equivariance: how far each layer's map is from moving with the image, where it was asked for.
        visualization: pictures that excite channels, where they were asked for.
        fields: the layers' effective fields, where they were asked for.
        left_out: what this network has no picture of, a sentence each.
        missing: the names of the parts that were asked for, and were not ready when Ctrl-C ended it.
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
    channels: ChannelsAt | None = None
    attributions: tuple[Attribution, ...] = ()
    checks: tuple[AttributionChecks, ...] = ()
    robustness: ImageRobustness | None = None
    equivariance: Equivariance | None = None
    visualization: FeatureVisualization | None = None
    fields: EffectiveFields | None = None
    left_out: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
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
            case ChannelsAt():
                return replace(self, channels=part)
            case ImageRobustness():
                return replace(self, robustness=part)
            case Equivariance():
                return replace(self, equivariance=part)
            case FeatureVisualization():
                return replace(self, visualization=part)
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
        return f"{self.network} on {image_label(self.image_name)}: {self.class_name} ({percent(share)})"

    def figure(self) -> Drawing:
        """Draw the image, and each attribution over it with its checks' verdict."""
        drawn = overview_figure(self.checked, self.picture, title=self.headline(), subtitle=self._subtitle())
        return drawn if drawn is not None else (self.maps or self.prediction).figure()

    def table(self) -> Table:
        """Return the attributions, a row each, with what their checks found."""
        return overview_table(self.checked)

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
        if self.channels is not None:
            found[f"channels {self.channels.layer}"] = self.channels
        if self.visualization is not None:
            found[f"visualization {self.visualization.layer}"] = self.visualization
        others = {"robustness": self.robustness, "equivariance": self.equivariance, "effective fields": self.fields}
        found |= {name: part for name, part in others.items() if part is not None}
        return found

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
            channels: as `ChannelsAt.to_dict`; None without them.
            attributions: each as `Attribution.to_dict`.
            checks: each as `AttributionChecks.to_dict`, in the order of the attributions; empty without them.
            robustness: as `ImageRobustness.to_dict`; None unless it was asked for.
            equivariance: as `Equivariance.to_dict`; None unless it was asked for.
            visualization: as `FeatureVisualization.to_dict`; None unless it was asked for.
            fields: as `EffectiveFields.to_dict`; None unless they were asked for.
            left_out: what this network has no picture of, a sentence each.
            missing: the names of the parts that were asked for, and were not ready when Ctrl-C ended it.
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
            "channels": None if self.channels is None else self.channels.to_dict(),
            "attributions": [found.to_dict() for found in self.attributions],
            "checks": [found.to_dict() for found in self.checks],
            "robustness": None if self.robustness is None else self.robustness.to_dict(),
            "equivariance": None if self.equivariance is None else self.equivariance.to_dict(),
            "visualization": None if self.visualization is None else self.visualization.to_dict(),
            "fields": None if self.fields is None else self.fields.to_dict(),
            "left_out": self.left_out,
            "missing": self.missing,
            "notes": self.notes,
            "interrupted": self.interrupted,
        })  # fmt: skip

    def _subtitle(self) -> str:
        """Return the remarks as far as they fit below the title of the picture; the page has all of them."""
        remarks = ["interrupted"] if self.interrupted else []
        for note in self.notes:
            if sum(map(len, remarks)) + len(note) <= _SUBTITLE:
                remarks.append(note)
        return "; ".join(remarks)


def _look_document(look: Look) -> Document:
    """Return what is shown of a look."""
    remarks: list[Block] = [Callout("note", sentence(note)) for note in look.notes]
    remarks += [Callout("note", sentence(text)) for text in look.left_out]
    if look.interrupted:
        remarks.append(Callout("warning", interrupted_text(look.missing)))
    blocks: list[Block] = [*remarks]
    if look.attributions:
        summary = (look.table(), Paragraph(CHECKS_LEGEND)) if look.checks else ()
        blocks.append(
            Section(
                "What the score depends on",
                (Figure(look.figure, _READING_OF_NUMBERS if look.picture is None else _READING), *summary),
            )
        )
    blocks.append(Section("Prediction", _prediction(look)))
    blocks += [attribution_section(found, checks) for found, checks in look.checked]
    parts: tuple[tuple[str, Documented | None], ...] = (
        ("Smallest distortions that change the prediction", look.robustness),
        (f"Feature maps of {look.maps.layer}" if look.maps else "", look.maps),
        (f"All channels of {look.channels.layer} at one position" if look.channels else "", look.channels),
        (f"Pictures that excite channels of {look.visualization.layer}" if look.visualization else "",
         look.visualization),
        (f"Filters of {look.filters.layer}" if look.filters else "", look.filters),
        ("Equivariance to shifts", look.equivariance),
        ("Effective fields", look.fields),
    )  # fmt: skip
    blocks += [part_section(title, part, said=look.notes) for title, part in parts if part is not None]
    checked = " Its checks are beside each attribution." if look.checks else ""
    lead = f"Explained: the score of {look.class_name}.{checked}"
    return Document(look.headline(), tuple(blocks), lead=lead, footer=dated_footer())


def _prediction(look: Look) -> tuple[Block, ...]:
    """Return the bars, with the table beside them where several labels are predicted; a terminal has the table."""
    *facts, table = look.prediction.document().blocks
    bars = replace(look.prediction, image=image_label(look.image_name)).figure
    if look.prediction.multi_label or not isinstance(table, Table):
        return (*facts, Columns((Figure(bars), table)))
    return (*facts, Figure(bars, "", table))
