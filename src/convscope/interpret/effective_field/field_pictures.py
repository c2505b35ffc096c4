"""Effective fields as pictures: the maps of each layer side by side, and the sizes over the layers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from convscope.interpret.effective_field.layer_field import MEASUREMENTS, FieldMass, LayerField
from convscope.report.charts import Curve, PlotBox, line_chart
from convscope.report.colour_maps import ColourScale
from convscope.report.image_grid import Tile, image_grid
from convscope.report.svg import Drawing

# A picture's side: a multiple of the field's longer side, and a least number of pixels.
_MARGIN, _LEAST = 1.15, 11


def field_pictures(layers: Sequence[LayerField], *, network: str, object_side: float | None) -> Drawing:
    """Draw the maps of each layer in a row, cut out around its field, all in shares of the largest pixel."""
    tiles = [tile for layer in layers for tile in _tiles(layer, object_side)]
    objects = f"; blue: an object of {object_side:g} pixels" if object_side else ""
    return image_grid(
        tiles,
        title=f"Fields of the middle cell, {network}",
        subtitle=f"sizes for 50 % / 95 % / 4.55 % of the peak; orange squares: 50 %, 95 % of the mass{objects}",
        scale=ColourScale("sequential", 0.0, 1.0),
        unit="share of the largest pixel",
        columns=max(len(layer.measured) for layer in layers),
        tile_width=150,
    )


def sizes_chart(layers: Sequence[LayerField], *, network: str, image_side: int, object_side: float | None) -> Drawing:
    """Draw over the layers the theoretical size, and the sides that hold 95 % of each measurement's mass."""
    places = list(range(1, len(layers) + 1))
    curves = [Curve("theoretical", places, [float(layer.side) for layer in layers])]
    for kind in dict.fromkeys(kind for layer in layers for kind in layer.effective):
        sides = [layer.measured[kind].extent.most if kind in layer.measured else None for layer in layers]
        curves.append(Curve(f"95 %: {MEASUREMENTS[kind]}", places, sides))
    level = [places[0], places[-1]]
    curves.append(Curve(f"image, {image_side}", level, [float(image_side)] * 2))
    if object_side is not None:
        curves.append(Curve(f"object, {object_side:g}", level, [object_side] * 2))
    names = ", ".join(f"{place} {layer.name}" for place, layer in zip(places, layers, strict=True))
    drawn = line_chart(curves, title=f"Sizes of fields, {network}", x_label="layer measured", y_label="side in pixels")
    return Drawing(drawn.width, drawn.height, drawn.title, f"{drawn.description}. Layers: {names}", drawn.children)


def _tiles(layer: LayerField, object_side: float | None) -> Iterator[Tile]:
    rows, columns = _window(layer, object_side)
    for kind, found in layer.measured.items():
        largest = found.mass.max()
        shares = found.mass / largest if largest else found.mass
        extent = found.extent
        if kind == "theoretical":
            note = f"{int(layer.mask.sum()):,} pixels are read"
        elif extent.half is None:
            note = "the gradient is 0"
        else:
            note = f"{extent.shown} pixels"
        boxes = tuple(_boxes(layer, found, object_side, (rows, columns), framed=kind != "theoretical"))
        yield Tile(shares[rows, columns], MEASUREMENTS[kind], note, boxes=boxes, group=layer.title)


def _window(layer: LayerField, object_side: float | None) -> tuple[slice, slice]:
    """Return the rows and columns around a layer's field that are shown, the same for all its measurements."""
    half = math.ceil(max(_LEAST, layer.side * _MARGIN, (object_side or 0) * _MARGIN) / 2)
    around = []
    for centre, size in zip(layer.layer.centre, layer.mask.shape, strict=True):
        first = max(0, math.floor(centre) - half)
        around.append(slice(first, min(size, math.ceil(centre) + half + 1)))
    return around[0], around[1]


def _boxes(
    layer: LayerField, found: FieldMass, object_side: float | None, window: tuple[slice, slice], *, framed: bool
) -> Iterator[PlotBox]:
    """Yield the squares of a measurement, in the rows and columns of the part that is shown."""
    sides = [(found.extent.most, "95 % of the mass"), (found.extent.half, "50 % of the mass")] if framed else []
    for side, label in sides:
        if side is not None:
            yield _square(layer, side, window, label)
    if object_side is not None:
        yield _square(layer, max(1, round(object_side)), window, "the object", blue=True)


def _square(layer: LayerField, side: int, window: tuple[slice, slice], label: str, *, blue: bool = False) -> PlotBox:
    ends = []
    for centre, shown in zip(layer.layer.centre, window, strict=True):
        first = centre + 0.5 - side / 2 - shown.start
        ends.append((int(np.floor(max(0.0, first))), int(np.ceil(min(first + side, shown.stop - shown.start)))))
    (top, bottom), (left, right) = ends
    return PlotBox(top, left, bottom, right, label, "sky" if blue else "orange")
