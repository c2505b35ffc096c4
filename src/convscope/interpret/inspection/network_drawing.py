"""The network as a drawing: boxes as high as their maps and as wide as their channels, branches side by side.

An encoder and its decoder are drawn as a U, with a level for each size of map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import hypot, log2, sqrt

from convscope.graph.records import Graph
from convscope.graph.summary import Layer
from convscope.interpret.inspection.network_layout import DiagramLayout, Edge, Spot, lay_out
from convscope.interpret.inspection.network_places import MARGIN, NAME_HEIGHT, Extent, Places, Point
from convscope.interpret.inspection.network_units import network_units
from convscope.interpret.inspection.unit import Family, Unit
from convscope.report import units as ink
from convscope.report.svg import (
    Attribute,
    Colour,
    Drawing,
    Element,
    element,
    group,
    line,
    paint,
    rectangle,
    text,
    text_width,
)

_COLOURS: Mapping[Family, Colour] = {
    "input": "grey", "convolution": "blue", "pooling": "orange", "linear": "violet", "join": "green",
    "resize": "sky", "block": "blue", "other": "grey",
}  # fmt: skip
_NAMES: Mapping[Family, str] = {
    "convolution": "convolution", "pooling": "pooling", "linear": "fully connected", "join": "sum or concatenation",
    "resize": "upsampling", "block": "repeated or folded block", "other": "other",
}  # fmt: skip

_TALLEST = 104.0  # the largest map
_JOIN = 16.0
_LABEL = 10.5
_LABEL_LINE = 12.0
_ROW = 890.0  # a row of the page
_CORNER = 5.0
_U_LIMIT = 48  # units of a U


def network_drawing(graph: Graph, layers: Sequence[Layer]) -> Drawing:
    """Draw a network from left to right, in as many rows as it takes; one with a decoder as a U."""
    units, places = placed_units(graph, layers)
    layout = places.layout
    legend, legend_width = _legend(units)
    parts: list[Element | None] = [legend]
    parts += [_edge(edge, places) for edge in layout.edges]  # under the boxes
    parts += [_box(spot, places) for spot in layout.spots.values()]
    parts += _groups(places)
    folded = sum(unit.family == "block" for unit in units)
    description = (
        f"{ink.plural(len(units), 'unit')} from left to right, {folded} of them folded blocks"
        + f", on {layout.levels} levels by the size of their maps" * (layout.levels > 1)
        + ". A box is as high as its map (square root) and as wide as its channels (logarithm); normalisations and "
        "activations belong to the box before them."
    )
    width = max(places.width, legend_width)
    return Drawing.of(width, places.height, parts, title=f"{graph.name}: the network", description=description)


def placed_units(graph: Graph, layers: Sequence[Layer]) -> tuple[list[Unit], Places]:
    """Return a network's units and their coordinates; a U has fewer units, as its levels can't be cut into rows."""
    units = network_units(graph, layers)
    places = network_places(units)
    if places.layout.levels > 1 and len(units) > _U_LIMIT:
        units = network_units(graph, layers, limit=_U_LIMIT)
        places = network_places(units)
    return units, places


def network_places(units: Sequence[Unit]) -> Places:
    """Return the coordinates of a network's units and connections."""
    largest = max((unit.side or 1 for unit in units), default=1)
    extents = {unit.index: _extent(unit, largest) for unit in units}
    layout = lay_out(units, width_of=lambda unit: extents[unit.index].column + 2 * MARGIN, room=_ROW)
    return Places(layout, extents)


def _extent(unit: Unit, largest: float) -> Extent:
    """Return the size of a unit's box, and the room for what stands around it."""
    if unit.family == "join":
        width = max(_JOIN, text_width(unit.labels[0], _LABEL) + 8)
        return Extent(width, _JOIN, width, 0.0, 0.0)
    if unit.side is not None:
        width, height = 5 + 3 * log2(max(1, unit.shape[0]) + 1), 8 + (_TALLEST - 8) * sqrt(unit.side / largest)
    else:
        width, height = 9.0, 14 + 5 * log2(max(1, unit.shape[0] if unit.shape else 1) + 1)
    column = max(width, *(text_width(label, _LABEL) for label in unit.labels))
    above = 4.0 + 5 * unit.skips if unit.family == "block" else 0.0
    return Extent(
        width, height, column + (8 if unit.family == "block" else 0), above, 2 + len(unit.labels) * _LABEL_LINE
    )


def _edge(edge: Edge, places: Places) -> Element:
    stretches = places.corners(edge)
    paths = [element("path", {"d": _rounded(corners)} | paint("none", "muted", width=1.2)) for corners in stretches]
    if len(stretches) == 1:
        return paths[0]
    x, y = stretches[0][-1]  # the reader goes on in the next row
    return group(*paths, element("path", {"d": f"M{x:.1f} {y:.1f}l-6 -3.5v7z"} | paint("muted")))


def _rounded(corners: Sequence[Point]) -> str:
    """Return the path through the corners, each rounded as far as its sides are long."""
    (x, y), *_ = corners
    written = [f"M{x:.1f} {y:.1f}"]
    for (before, here), (_, after) in pairwise(pairwise(corners)):
        sides = [hypot(end[0] - here[0], end[1] - here[1]) for end in (before, after)]
        radius = min(_CORNER, *(side / 2 for side in sides))
        if radius < 0.1:
            continue
        (ax, ay), (bx, by) = (
            (here[0] + (end[0] - here[0]) * radius / side, here[1] + (end[1] - here[1]) * radius / side)
            for end, side in zip((before, after), sides, strict=True)
        )
        written.append(f"L{ax:.1f} {ay:.1f}Q{here[0]:.1f} {here[1]:.1f} {bx:.1f} {by:.1f}")
    x, y = corners[-1]
    return "".join([*written, f"L{x:.1f} {y:.1f}"])


def _box(spot: Spot, places: Places) -> Element:
    unit = spot.unit
    x, y = places.centre(spot)
    extent = places.extent(spot)
    wide, high = extent.width, extent.height
    colour = _COLOURS[unit.family]
    tip = element("title", {}, unit.tip)
    left, top = x - wide / 2, y - high / 2
    filled = paint(colour, colour, width=1) | {"fill-opacity": 0.22}
    if unit.family == "join":
        pill: dict[str, Attribute] = {"x": left, "y": top, "width": wide, "height": high, "rx": _JOIN / 2}
        label = unit.labels[0]
        size = 13.0 if len(label) == 1 else _LABEL
        pill |= paint("paper", colour, width=1.5)
        return group(
            element("rect", pill, tip), text(x, y + size * 0.34, label, size=size, anchor="middle", colour=colour)
        )
    parts: list[Element] = []
    if unit.family == "block":
        parts += [rectangle(left + n, top - n, wide, high, fill="paper", stroke=colour, radius=2) for n in (4, 2)]
        for n in range(unit.skips):  # bows, each over the one before
            half, rise = (wide / 2) * (n + 1) / unit.skips, 5.0 * (n + 1)
            bow = f"M{x + 4 - half:.1f} {top - 4:.1f}q{half:.1f} {-2 * rise:.1f} {2 * half:.1f} 0"
            parts.append(element("path", {"d": bow} | paint("none", "muted", width=1.2)))
    box = {"x": left, "y": top, "width": wide, "height": high, "rx": 2}
    parts += [rectangle(left, top, wide, high, fill="paper", radius=2), element("rect", box | filled, tip)]
    for i, label in enumerate(unit.labels):
        at = y + high / 2 + (i + 1) * _LABEL_LINE
        parts.append(text(x, at, label, size=_LABEL, anchor="middle", colour="muted" if i else "ink", halo=True))
    return group(*parts)


def _groups(places: Places) -> list[Element]:
    """Return the outermost modules' names over what belongs to them, where there is room."""
    spans: dict[tuple[int, int], dict[str, list[int]]] = {}
    for spot in places.layout.spots.values():
        if spot.unit.group:
            spans.setdefault((spot.row, spot.level), {}).setdefault(spot.unit.group, []).append(spot.rank)
    found: list[Element] = []
    one_unit = places.layout.levels > 1  # whose label says it, and the way from another level leads there
    from_above = _from_above(places.layout)
    for (row, level), by_name in spans.items():
        end = 0.0
        for name, ranks in sorted(by_name.items(), key=lambda item: min(item[1])):
            left, right = places.left[min(ranks)] + MARGIN, places.right[max(ranks)] - MARGIN
            for rank in {min(ranks), max(ranks)}.intersection(from_above.get(level, ())):
                middle = (places.left[rank] + places.right[rank]) / 2
                left, right = (middle + 5, right) if rank == min(ranks) else (left, middle - 5)
            if left < end or right - left < text_width(name, _LABEL) - 1 or (one_unit and len(ranks) == 1):
                continue
            across = range(min(ranks), max(ranks) + 1)
            top = places.top(row, level, across) + NAME_HEIGHT - 5
            label = text(left, top - 4, name, size=_LABEL, colour="muted", halo=True)
            found += [line(left, top, right, top, colour="faint", width=2), label]
            end = right + MARGIN
    return found


def _from_above(layout: DiagramLayout) -> dict[int, set[int]]:
    """Return, by level, the ranks at which a connection comes down, or leads up, in the middle of a column."""
    found: dict[int, set[int]] = {}
    for edge in layout.edges:
        if edge.route == "level":
            lower = max(edge.source.level, edge.target.level)
            found.setdefault(lower, set()).add(edge.source.rank)
    return found


def _legend(units: Sequence[Unit]) -> tuple[Element, float]:
    parts: list[Element] = []
    x = 1.0  # the swatch's stroke
    for family, name in _NAMES.items():
        if any(unit.family == family for unit in units):
            colour = _COLOURS[family]
            if family == "block":
                parts.append(rectangle(x + 3, 2, 12, 12, fill="paper", stroke=colour, radius=2))
            parts.append(rectangle(x, 5, 12, 12, fill="paper", radius=2))
            swatch = {"x": x, "y": 5, "width": 12, "height": 12, "rx": 6 if family == "join" else 2}
            parts.append(element("rect", swatch | paint(colour, colour, width=1) | {"fill-opacity": 0.22}))
            parts.append(text(x + 19, 15, name, size=11, colour="muted"))
            x += 19 + text_width(name, 11) + 20
    return group(*parts), x
