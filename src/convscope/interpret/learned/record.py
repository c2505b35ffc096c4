"""What a network learned, as a record: the parts that were asked for, and which images they are of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from convscope.interpret.behaviour.confusion_record import ConfusedClasses
from convscope.interpret.behaviour.knock_out_record import KnockOut
from convscope.interpret.behaviour.reliability import Reliability
from convscope.interpret.behaviour.robustness_profile import RobustnessProfile
from convscope.interpret.behaviour.similarity_record import LayerSimilarity
from convscope.interpret.behaviour.visualization_record import FeatureVisualization
from convscope.interpret.effective_field.productivity import UnproductiveLayers
from convscope.interpret.equivariance.prediction_consistency import PredictionConsistency
from convscope.interpret.equivariance.record import Equivariance
from convscope.interpret.features.filters import LayerFilters
from convscope.interpret.features.top_patches import TopPatches
from convscope.interpret.health.layer_health import NetworkHealth
from convscope.interpret.interrupts import interrupted_text
from convscope.interpret.learned.explained_images import ExplainedImages
from convscope.interpret.learned.page import part_section, shown_layers
from convscope.interpret.learned.parts import PARTS, LearnedPart
from convscope.interpret.learned.training_norms import TrainingNorms
from convscope.interpret.look.saved import Savable
from convscope.report.document import Block, Callout, Document, Fact, Facts, Section, dated_footer, sentence
from convscope.report.documented import Documented
from convscope.report.json_values import json_dict
from convscope.report.table import Column, Row, Table


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Learned(Savable):
    """What a network learned, measured over a data set: each part is None where it was not measured.

    `print(found)` shows the numbers, `found.to_html()` is a page of the pictures, `found.save(folder)` writes them.

    Args:
        network: its name.
        source: the run directory with its architecture, or the model's name.
        data: the name of the images with their split, such as "digits, test".
        images: how many there are; each part says how many of them it went through.
        filters: the weights of the first layer.
        examples: what the prediction depends on, for some right and some wrong images.
        patches: the image regions that excite each channel most.
        confusions: which classes are confused, and what separates them.
        calibration: how often predictions of each confidence are right.
        health: dead and saturated units, effective rank.
        norms: of outputs and gradients by layer over the training.
        consistency: how often two crops of an image have the same prediction.
        robustness: which distortion the network is weakest against.
        knock_out: which channels of a layer matter, and for which classes.
        probes: which layers can add no context, with a linear probe of each.
        equivariance: which layers keep a map from moving with the image.
        similarity: linear CKA of all layers.
        visualization: pictures that excite channels.
        not_asked: the names of the parts that were not asked for.
        missing: the names of the parts that were asked for, and were not ready when Ctrl-C ended it.
        left_out: the parts that this network or its data does not have, a sentence each.
        notes: remarks, such as that there are no test images.
        interrupted: whether Ctrl-C ended it before every part was there.
    """

    network: str
    source: str
    data: str
    images: int
    filters: LayerFilters | None = None
    examples: ExplainedImages | None = None
    patches: TopPatches | None = None
    confusions: ConfusedClasses | None = None
    calibration: Reliability | None = None
    health: NetworkHealth | None = None
    norms: TrainingNorms | None = None
    consistency: PredictionConsistency | None = None
    robustness: RobustnessProfile | None = None
    knock_out: KnockOut | None = None
    probes: UnproductiveLayers | None = None
    equivariance: Equivariance | None = None
    similarity: LayerSimilarity | None = None
    visualization: FeatureVisualization | None = None
    not_asked: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def parts(self) -> Mapping[str, Documented]:
        """The parts that there are, by name, in their order."""
        found = {name: getattr(self, part.attribute) for name, part in PARTS.items()}
        return {name: part for name, part in found.items() if part is not None}

    def with_part(self, part: LearnedPart, found: Documented | str) -> Learned:
        """Return the record with one part more; a text says why it is left out."""
        if isinstance(found, str):
            return replace(self, left_out=(*self.left_out, found))
        changes: dict[str, Any] = {part.attribute: found}
        return replace(self, **changes)

    def headline(self) -> str:
        """Return the network, the data, and what was measured."""
        return f"{self.network} on {self.data}: {', '.join(self.parts) or 'nothing measured'}"

    def table(self) -> Table:
        """Return a line on each part."""
        rows = (Row.of([PARTS[name].title, self._short(part.headline())]) for name, part in self.parts.items())
        return Table((Column("part"), Column("found")), tuple(rows))

    def document(self) -> Document:
        """Return the page: what each part found in a line, then the parts."""
        sections: list[Block] = [part_section(PARTS[name].title, part) for name, part in self.parts.items()]
        return Document(
            f"{self.network}: what it learned",
            tuple(sections),
            lead=f"{self.source}, measured on {self.images:,} images of {self.data}, or on as many of them as each "
            "part says.",
            summary=(*self._remarks(), Section("In short", (self.table(),))),
            footer=dated_footer(),
        )

    def facts(self) -> Facts:
        """Return the network and the images, as they are printed before the first part."""
        return Facts((
            Fact("network", self.network), Fact("images", f"{self.images:,} of {self.data}", self.images),
        ))  # fmt: skip

    def results(self) -> dict[str, Documented]:
        """Return the parts by the names of their files; of the top patches some layers as well."""
        found: dict[str, Documented] = dict(self.parts)
        if self.patches is not None:
            for name in shown_layers(self.patches):
                found[f"patches {name}"] = self.patches.of_layer(name)
        return found

    def to_dict(self) -> Mapping[str, Any]:
        """Return the numbers as JSON's types; those of pictures are in the arrays that `save` writes.

        Keys:
            network: its name.
            source: the run directory with its architecture, or the model's name.
            data: the name of the images with their split.
            images: how many there are.
            filters: as `LayerFilters.to_dict`; None where it was not measured, like all parts below.
            examples: as `ExplainedImages.to_dict`.
            patches: as `TopPatches.to_dict`.
            confusions: as `ConfusedClasses.to_dict`.
            calibration: as `Reliability.to_dict`.
            health: as `NetworkHealth.to_dict`.
            norms: as `TrainingNorms.to_dict`.
            consistency: as `PredictionConsistency.to_dict`.
            robustness: as `RobustnessProfile.to_dict`.
            knock_out: as `KnockOut.to_dict`.
            probes: as `UnproductiveLayers.to_dict`.
            equivariance: as `Equivariance.to_dict`.
            similarity: as `LayerSimilarity.to_dict`.
            visualization: as `FeatureVisualization.to_dict`.
            not_asked: the names of the parts that were not asked for.
            missing: the names of those that were asked for, and were not ready when Ctrl-C ended it.
            left_out: what this network or its data does not have, a sentence each.
            notes: remarks.
            interrupted: whether Ctrl-C ended it before every part was there.
        """
        parts = {part.attribute: getattr(self, part.attribute) for part in PARTS.values()}
        return json_dict({
            "network": self.network,
            "source": self.source,
            "data": self.data,
            "images": self.images,
            **{name: None if part is None else part.to_dict() for name, part in parts.items()},
            "not_asked": self.not_asked,
            "missing": self.missing,
            "left_out": self.left_out,
            "notes": self.notes,
            "interrupted": self.interrupted,
        })  # fmt: skip

    def _short(self, headline: str) -> str:
        """Return a headline without the network and the data that it begins with, which the page names already."""
        named, colon, rest = headline.partition(": ")
        of_this = named == self.network or named.startswith(f"{self.network} on ")
        return rest if colon and of_this else headline

    def _remarks(self) -> Iterator[Callout]:
        yield from (Callout("note", sentence(note)) for note in self.notes)
        yield from (Callout("note", sentence(text)) for text in self.left_out)
        if self.interrupted:
            yield Callout("warning", interrupted_text(self.missing))
