"""The effective fields of a network's layers, as a record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from convscope.files.checked import Json
from convscope.interpret.effective_field.field_pictures import field_pictures, sizes_chart
from convscope.interpret.effective_field.layer_field import MEASUREMENTS, LayerField
from convscope.report.document import Block, Document, Figure, Paragraph
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.svg import Drawing
from convscope.report.table import Cell, Column, Row, Table
from convscope.report.units import plural


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class EffectiveFields(Pictured):
    """The fields of some layers, each measured in four ways.

    `print(fields)` shows the sizes, `fields.figure()` draws the maps, `fields.sizes_figure()` the sizes by layer.

    Args:
        network: its name.
        image_shape: rows and columns of the image.
        layers: the layers, in the order in which they ran.
        draws: of the initial weights.
        images: how many the gradients after training are averaged over; 0 where they were not measured.
        object_side: side of what is to be recognised, in pixels; None where it is not known.
        notes: remarks, such as what the gradients depend on.
    """

    network: str
    image_shape: tuple[int, int]
    layers: tuple[LayerField, ...]
    draws: int
    images: int
    object_side: float | None = None
    notes: tuple[str, ...] = ()

    def layer(self, name: str) -> LayerField:
        """Return the field of a layer that was measured; raises KeyError for others."""
        return {each.name: each for each in self.layers}[name]

    def headline(self) -> str:
        """Return the network, and the sizes at the last layer."""
        last = self.layers[-1]
        return f"{self.network}: {plural(len(self.layers), 'layer')}; {last.headline()}"

    def to_dict(self) -> dict[str, Json]:
        """Return the sizes as JSON's types.

        Keys:
            network: its name.
            image_shape: rows and columns.
            draws: of the initial weights.
            images: of the gradients after training.
            object_side: side of what is to be recognised, in pixels; None where it is not known.
            layers: of each the name, the cell, the field's ends, and by measurement half (side of the centred square
                with 50 % of the mass), most (95 %) and of_peak (root of the pixels above 4.55 % of the largest).
            notes: remarks.
        """
        return json_dict({
            "network": self.network,
            "image_shape": self.image_shape,
            "draws": self.draws,
            "images": self.images,
            "object_side": self.object_side,
            "layers": [layer.to_dict() for layer in self.layers],
            "notes": self.notes,
        })  # fmt: skip

    def figure(self) -> Drawing:
        """Draw each layer's field as it is measured in each way, all in shares of the largest pixel."""
        return field_pictures(self.layers, network=self.network, object_side=self.object_side)

    def sizes_figure(self) -> Drawing:
        """Draw the sizes over the layers, with the object's and the image's."""
        return sizes_chart(
            self.layers, network=self.network, image_side=max(self.image_shape), object_side=self.object_side
        )

    def document(self) -> Document:
        """Return what is shown: the sizes, the maps and the remarks."""
        caption = (
            "Each map in shares of its largest pixel. Inner orange square: 50 % of the mass; outer: 95 %."
            + " Blue square: the object." * bool(self.object_side)
        )
        names = ", ".join(f"{place} {layer.name}" for place, layer in enumerate(self.layers, 1))
        blocks: tuple[Block, ...] = (
            self.table(),
            Figure(self.sizes_figure, f"Layers: {names}."),
            Figure(self.figure, caption),
            *map(Paragraph, self.notes),
        )
        return Document(f"Effective fields of {self.network}", blocks)

    def table(self) -> Table:
        """Return the sizes by layer: of each measurement the sides with 50 % and 95 % of the mass, and by 4.55 %."""
        measured = list(dict.fromkeys(kind for layer in self.layers for kind in layer.effective))
        columns = [Column("layer"), Column("field", numeric=True, note="theoretical, without borders")]
        note = "side with 50 % of the mass / with 95 % / root of the pixels above 4.55 % of the largest"
        columns += [Column(MEASUREMENTS[kind], numeric=True, note=note) for kind in measured]
        if self.object_side is not None:
            columns.append(
                Column("holds the object", note=f"whether 95 % of the mass spans {self.object_side:g} pixels")
            )
        rows = [Row.of([layer.name, (str(layer.side), layer.side), *self._cells(layer)]) for layer in self.layers]
        return Table(tuple(columns), tuple(rows), title="Sizes in pixels: 50 % / 95 % / 4.55 %")

    def _cells(self, layer: LayerField) -> Iterator[Cell]:
        for found in layer.effective.values():
            extent = found.extent
            yield extent.shown, [extent.half, extent.most, extent.of_peak]
        if self.object_side is not None:
            yield _holds(layer, self.object_side)


def _holds(layer: LayerField, side: float) -> str:
    """Return which of a layer's sizes reaches an object's side."""
    if layer.side < side:
        return "no"
    most = list(layer.effective.values())[-1].extent.most
    return "yes" if most is not None and most >= side else "in theory only"
