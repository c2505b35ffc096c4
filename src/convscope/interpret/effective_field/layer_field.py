"""One layer's field, measured in up to four ways, as a part of `EffectiveFields`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from convscope.arrays import Booleans, Floats
from convscope.files.checked import Json
from convscope.interpret.effective_field.field_extent import FieldExtent, field_extent
from convscope.interpret.effective_field.mapped_layers import MappedLayer
from convscope.report.json_values import json_dict
from convscope.report.short_repr import ShortRepr
from convscope.report.units import shape as sizes_text

Measurement = Literal["theoretical", "paths", "initial", "trained"]
MEASUREMENTS: dict[Measurement, str] = {
    "theoretical": "theoretical",
    "paths": "path counts",
    "initial": "initial gradient",
    "trained": "trained gradient",
}


@dataclass(frozen=True, slots=True, eq=False)
class FieldMass:
    """How much each pixel of the image counts for a layer's middle cell.

    Args:
        mass: (H, W), not negative, with a sum of 1; all 0 where nothing counts.
        extent: the sides of the centred squares that hold 50 % and 95 % of it, and the size by 4.55 % of the largest.
    """

    mass: Floats
    extent: FieldExtent

    @classmethod
    def of(cls, weights: Floats, centre: tuple[float, float]) -> FieldMass:
        """Return the mass of weights that are not negative, of any sum."""
        largest = float(weights.max(initial=0.0))
        scaled = weights / largest if 0 < largest < np.inf else np.zeros_like(weights)
        total = scaled.sum()
        return cls(scaled / total if total else scaled, field_extent(scaled, centre))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class LayerField(ShortRepr):
    """The field of the cell in the middle of a layer's map, all its channels together.

    Args:
        layer: the layer's name, its cell, and where the field's ends are.
        mask: the pixels that the cell depends on, (H, W).
        measured: how much each of them counts, by the way it was measured; "theoretical" counts each the same.
    """

    layer: MappedLayer
    mask: Booleans
    measured: dict[Measurement, FieldMass]

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.layer.name

    @property
    def side(self) -> int:
        """The longer side of the theoretical field, in pixels, as if the image had no borders."""
        return self.layer.side

    def headline(self) -> str:
        """Return the layer, the field's size, and the side that holds 95 % of each measurement."""
        sides = [f"{MEASUREMENTS[kind]} {found.extent.most}" for kind, found in self.effective.items()]
        return f"{self.name}: field {self.side}, 95 % within " + ", ".join(sides)

    @property
    def effective(self) -> dict[Measurement, FieldMass]:
        """The measurements other than the theoretical one."""
        return {kind: found for kind, found in self.measured.items() if kind != "theoretical"}

    @property
    def title(self) -> str:
        """The layer with its map and the size of its field."""
        rows, columns = (last - first + 1 for first, last in self.layer.endless or self.layer.spans)
        return f"{self.name}, {sizes_text(self.layer.shape[1:])}, field {sizes_text((rows, columns))}"

    def to_dict(self) -> dict[str, Json]:
        """Return the sizes as JSON's types; the maps are arrays and stay in `measured`."""
        return json_dict({
            "layer": self.name,
            "shape": self.layer.shape[1:],
            "cell": self.layer.cell,
            "spans": self.layer.spans,
            "spans_without_borders": self.layer.endless,
            "side": self.side,
            "pixels_read": int(self.mask.sum()),
            "sizes": {
                kind: {"half": found.extent.half, "most": found.extent.most, "of_peak": found.extent.of_peak}
                for kind, found in self.measured.items()
            },
        })  # fmt: skip
