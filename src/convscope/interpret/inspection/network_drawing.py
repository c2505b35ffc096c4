"""The network as a drawing: boxes as high as their maps and as wide as their channels, branches side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2, sqrt

from convscope.graph.records import Graph
from convscope.graph.summary import Layer
from convscope.interpret.inspection.network_layout import DiagramLayout, Edge, Spot, lay_out
from convscope.interpret.inspection.network_units import Family, Unit, network_units
from convscope.report import units as ink
from convscope.report.svg import Colour, Drawing, Element, element, group, line, paint, rectangle, text, text_width

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
_GAP = 16.0
_LABEL = 9.5
_LABEL_LINE = 11.0
_ROW_GAP = 26.0
_PAGE = 960.0


def network_drawing(graph: Graph, layers: Sequence[Layer]) -> Drawing:
    """Draw a network from left to right, in as many rows as it takes."""
    units = network_units(graph, layers)
    largest = max((max(unit.shape[1:]) for unit in units if len(unit.shape) > 1), default=1)
    layout = lay_out(units, width_of=lambda unit: _column_width(unit, largest), room=_PAGE - 70)
    page = _Page(layout, largest)
    parts: list[Element | None] = [_legend(units), *page.elements()]
    folded = sum(unit.family == "block" for unit in units)
    description = (
        f"{ink.plural(len(units), 'unit')} from left to right, {folded} of them folded blocks. A box is as high as its "
        "map (square root) and as wide as its channels (logarithm); normalisations and activations belong to the box "
        "before them."
    )
    title = f"{graph.name}: the network"
    return Drawing.of(page.width, page.height, parts, title=title, description=description)


def _size(unit: Unit, largest: int) -> tuple[float, float]:
    """Width and height of a unit's box."""
    if unit.family == "join":
        return _JOIN, _JOIN
    if len(unit.shape) > 1:
        width = 5 + 3 * log2(max(1, unit.shape[0]) + 1)
        return width, 8 + (_TALLEST - 8) * sqrt(max(unit.shape[1:]) / largest)
    features = unit.shape[0] if unit.shape else 1
    return 9.0, 14 + 5 * log2(features + 1)


def _column_width(unit: Unit, largest: int) -> float:
    """Return the width of a unit's column: its box with a gap, and its labels."""
    labels = 0.0 if unit.family == "join" else max(text_width(label, _LABEL) for label in unit.labels)
    return max(_size(unit, largest)[0] + _GAP, labels + 5)


class _Page:
    """Coordinates of everything."""

    def __init__(self, layout: DiagramLayout, largest: int) -> None:
        self.layout = layout
        self.largest = largest
        self.sizes = {index: _size(spot.unit, largest) for index, spot in layout.spots.items()}
        self.by_rank: list[list[Spot]] = [[] for _ in range(layout.ranks)]
        for spot in layout.spots.values():
            self.by_rank[spot.rank].append(spot)
        self.x = self._columns()
        self.offsets = self._lanes()
        self.y_of_row, self.height = self._rows()
        self.width = max(_PAGE, max(self.x, default=0.0) + 40)

    def _columns(self) -> list[float]:
        """Centre of each rank; every row begins at the left again."""
        centres: list[float] = []
        x = 0.0
        for rank, spots in enumerate(self.by_rank):
            if rank in self.layout.row_starts:
                x = 26.0 if rank else 10.0
            width = max((_column_width(s.unit, self.largest) for s in spots), default=_GAP)
            centres.append(x + width / 2)
            x += width
        return centres

    def _lanes(self) -> dict[tuple[int, int], float]:
        """Return the distance of each lane of each row from the main one, so that boxes and labels do not overlap."""
        offsets: dict[tuple[int, int], float] = {}
        for row in range(len(self.layout.row_starts)):
            spots = [s for s in self.layout.spots.values() if s.row == row]
            offsets[row, 0] = 0.0
            lanes = sorted({s.lane for s in spots})
            shared = {s.rank for s in spots if s.lane}  # ranks at which branches run side by side
            half = {lane: self._half(spots, lane, shared) for lane in lanes}
            for sign in (1, -1):
                at = 0.0
                previous = half.get(0, 0.0)
                for lane in sorted((n for n in lanes if n * sign > 0), key=abs):
                    at += previous + half[lane] + 2.4 * _LABEL_LINE + 4
                    offsets[row, lane] = sign * at
                    previous = half[lane]
        return offsets

    def _half(self, spots: Sequence[Spot], lane: int, shared: set[int]) -> float:
        return max((self.sizes[s.unit.index][1] / 2 for s in spots if s.lane == lane and s.rank in shared), default=0.0)

    def _rows(self) -> tuple[list[float], float]:
        """Return the main lane's height in each row, and the height of the whole."""
        y, places = 30.0, []
        for row in range(len(self.layout.row_starts)):
            spots = [s for s in self.layout.spots.values() if s.row == row]
            tops = [self.offsets[row, s.lane] - self.sizes[s.unit.index][1] / 2 for s in spots]
            bottoms = [self.offsets[row, s.lane] + self.sizes[s.unit.index][1] / 2 for s in spots]
            arcs = 16.0 + 7 * max(
                (self._level(e) for e in self.layout.edges if e.over and e.target.row == row), default=0
            )
            y += arcs + _ROW_GAP - min(tops)
            places.append(y)
            y += max(bottoms) + 2.4 * _LABEL_LINE
        return places, y + 10

    def _level(self, edge: Edge) -> int:
        """Return how many shorter detours lie under this one."""
        inside = [
            other
            for other in self.layout.edges
            if other.over
            and other is not edge
            and edge.source.rank <= other.source.rank
            and other.target.rank <= edge.target.rank
            and other.target.rank - other.source.rank < edge.target.rank - edge.source.rank
        ]
        return min(6, max((self._level(other) + 1 for other in inside), default=0))

    def centre(self, spot: Spot) -> tuple[float, float]:
        return self.x[spot.rank], self.y_of_row[spot.row] + self.offsets[spot.row, spot.lane]

    def elements(self) -> list[Element]:
        """Draw the connections first, and the boxes over them."""
        drawn = [self._edge(edge) for edge in self.layout.edges]
        drawn += [self._box(spot) for spot in self.layout.spots.values()]
        return drawn + self._groups()

    def _edge(self, edge: Edge) -> Element:
        x1, y1 = self.centre(edge.source)
        x2, y2 = self.centre(edge.target)
        x1 += self.sizes[edge.source.unit.index][0] / 2
        wide, high = self.sizes[edge.target.unit.index]
        if edge.source.row != edge.target.row:
            onward, arriving = x1 + 18, x2 - wide / 2
            return group(
                _path(f"M{x1:.1f} {y1:.1f}H{onward:.1f}", arrow=(onward, y1)),
                _path(f"M{arriving - 18:.1f} {y2:.1f}H{arriving:.1f}"),
            )
        if edge.over:
            between = [s for r in range(edge.source.rank + 1, edge.target.rank) for s in self.by_rank[r]]
            top = min(self.centre(s)[1] - self.sizes[s.unit.index][1] / 2 for s in between)
            y, turn = top - 9 - 7 * self._level(edge), x1 + 5
            return _path(
                f"M{x1:.1f} {y1:.1f}H{turn - 3:.1f}Q{turn:.1f} {y1:.1f} {turn:.1f} {y1 - 4:.1f}V{y + 5:.1f}"
                f"Q{turn:.1f} {y:.1f} {turn + 5:.1f} {y:.1f}H{x2 - 5:.1f}Q{x2:.1f} {y:.1f} {x2:.1f} {y + 5:.1f}"
                f"V{y2 - high / 2:.1f}"
            )
        x2 -= wide / 2
        if y1 == y2:
            return _path(f"M{x1:.1f} {y1:.1f}H{x2:.1f}")
        # Along whichever lane is free, and across where it is not.
        taken = {(s.rank, s.lane) for s in self.layout.spots.values()}
        own = all((r, edge.source.lane) not in taken for r in range(edge.source.rank + 1, edge.target.rank))
        bend = max(x1, x2 - 22) if own else x1
        reach = min(22.0, x2 - x1)
        return _path(
            f"M{x1:.1f} {y1:.1f}H{bend:.1f}C{bend + reach / 2:.1f} {y1:.1f} {bend + reach / 2:.1f} {y2:.1f} "
            f"{bend + reach:.1f} {y2:.1f}H{x2:.1f}"
        )

    def _box(self, spot: Spot) -> Element:
        unit = spot.unit
        x, y = self.centre(spot)
        wide, high = self.sizes[unit.index]
        colour = _COLOURS[unit.family]
        tip = element("title", {}, unit.tip)
        if unit.family == "join":
            circle = element("circle", {"cx": x, "cy": y, "r": _JOIN / 2} | paint("paper", colour, width=1.5), tip)
            size = 13 if len(unit.labels[0]) == 1 else 7
            return group(circle, text(x, y + size * 0.34, unit.labels[0], size=size, anchor="middle", colour=colour))
        parts: list[Element] = []
        for back in (4, 2) if unit.family == "block" else ():
            parts.append(
                rectangle(x - wide / 2 + back, y - high / 2 - back, wide, high, fill="paper", stroke=colour, radius=2)
            )
        filled = paint(colour, colour, width=1) | {"fill-opacity": 0.22}
        ground = rectangle(x - wide / 2, y - high / 2, wide, high, fill="paper", radius=2)
        box = {"x": x - wide / 2, "y": y - high / 2, "width": wide, "height": high, "rx": 2}
        parts += [ground, element("rect", box | filled, tip)]
        for i, label in enumerate(unit.labels):
            at = y + high / 2 + (i + 1) * _LABEL_LINE
            parts.append(
                text(x, at, label, size=_LABEL, anchor="middle", colour="ink" if i == 0 else "muted", halo=True)
            )
        return group(*parts)

    def _groups(self) -> list[Element]:
        """Return the outermost modules' names over what belongs to them."""
        found: list[Element] = []
        for row, start in enumerate(self.layout.row_starts):
            stop = ([*self.layout.row_starts, self.layout.ranks])[row + 1]
            spots = [s for r in range(start, stop) for s in self.by_rank[r]]
            arcs = [e for e in self.layout.edges if e.over and e.target.row == row]
            top = min(self.centre(s)[1] - self.sizes[s.unit.index][1] / 2 for s in spots)
            top -= 16 + (7 * max(map(self._level, arcs)) if arcs else -6)
            spans: dict[str, list[float]] = {}
            for spot in spots:
                if spot.unit.group:
                    spans.setdefault(spot.unit.group, []).append(self.x[spot.rank])
            end = 0.0
            for name, xs in spans.items():
                left, right = min(xs) - 12, max(xs) + 12
                if left < end or right - left < text_width(name, 10) * 0.75:
                    continue
                found += [
                    line(left, top, right, top, colour="faint", width=2),
                    text(left, top - 5, name, size=10, colour="muted"),
                ]
                end = max(right, left + text_width(name, 10))
        return found


def _path(data: str, *, arrow: tuple[float, float] | None = None) -> Element:
    path = element("path", {"d": data} | paint("none", "muted", width=1.2))
    if arrow is None:
        return path
    x, y = arrow
    head = element("path", {"d": f"M{x:.1f} {y:.1f}l-6 -3.5v7z"} | paint("muted"))
    return group(path, head)


def _legend(units: Sequence[Unit]) -> Element:
    parts: list[Element] = []
    x = 0.0
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
    return group(*parts)
