"""The coordinates of a drawing: columns, lines one below the other, and the corners of every connection.

Vertical stretches of connections lie between the columns, horizontal ones on the middle of a line or in tracks above
it, so nothing runs through a box, and no label lies over another.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from convscope.interpret.inspection.network_layout import DiagramLayout, Edge, Spot

Point = tuple[float, float]
_Lane = tuple[int, int, int]  # row, level, lane

LEGEND_HEIGHT = 30.0
NAME_HEIGHT = 20.0  # of the modules' names over a line
MARGIN = 7.0  # on both sides of a column, for vertical stretches
_TRACK = 7.0
_SPACE = 8.0  # between what lies one below the other
_ONWARD = 18.0  # how far a row's last connection goes on, and the next row's first comes from


@dataclass(frozen=True, slots=True)
class Extent:
    """What a unit takes around its middle: its box, and what stands over and under that.

    Args:
        width: of the box.
        height: of the box.
        column: the width of the box or of its labels.
        above: over the box.
        below: under the box, for labels.
    """

    width: float
    height: float
    column: float
    above: float
    below: float


class Places:
    """Coordinates of everything."""

    def __init__(self, layout: DiagramLayout, extents: Mapping[int, Extent]) -> None:
        self.layout = layout
        self.extents = extents
        self.by_rank: list[list[Spot]] = [[] for _ in range(layout.ranks)]
        for spot in layout.spots.values():
            self.by_rank[spot.rank].append(spot)
        self.left, self.right = self._columns()
        self._lines: dict[_Lane, list[Spot]] = defaultdict(list)
        for spot in layout.spots.values():
            self._lines[spot.row, *spot.line].append(spot)
        crossing = Counter(edge.source for edge in layout.edges if edge.source.row != edge.target.row)
        self._leading_on = {source for source, times in crossing.items() if times > 1}  # to several of the next row
        self._track_of = self._tracks()
        self._above = self._heights()
        self._y, self.height = self._stacked()
        self.width = max(self.right, default=0.0) + _ONWARD

    def extent(self, spot: Spot) -> Extent:
        """Return what a unit takes."""
        return self.extents[spot.unit.index]

    def centre(self, spot: Spot) -> Point:
        """Return the middle of a unit's box."""
        return (self.left[spot.rank] + self.right[spot.rank]) / 2, self._y[spot.row, *spot.line]

    def top(self, row: int, level: int, ranks: Sequence[int]) -> float:
        """Return the height over everything of one level at these ranks of a row."""
        lines = [line for line in self._y if line[:2] == (row, level)]
        return min(self._y[line] - self._above[line][n] for line in lines for n in ranks if n in self._above[line])

    def _columns(self) -> tuple[list[float], list[float]]:
        """Return the edges of each rank's column; every row begins at the left again."""
        left: list[float] = []
        right: list[float] = []
        x = 0.0
        for rank, spots in enumerate(self.by_rank):
            if rank in self.layout.row_starts:
                x = _ONWARD if rank else 0.0
            left.append(x)
            x += max((self.extent(s).column for s in spots), default=0.0) + 2 * MARGIN
            right.append(x)
        return left, right

    def _tracks(self) -> dict[int, tuple[int, float]]:
        """Return, by source, the track of the connections that lead over a line, and the height of the boxes below."""
        spans: dict[_Lane, dict[int, tuple[int, int]]] = defaultdict(dict)
        for edge in self.layout.edges:
            if edge.route == "over":
                line, index = (edge.source.row, *edge.source.line), edge.source.unit.index
                start, stop = spans[line].get(index, (edge.source.rank, edge.source.rank))
                spans[line][index] = (start, max(stop, edge.target.rank))
        found: dict[int, tuple[int, float]] = {}
        for line, by_source in spans.items():
            for together in _overlapping(by_source):
                first, last = min(s for _, (s, _) in together), max(s for _, (_, s) in together)
                boxes = [s for s in self._lines[line] if first <= s.rank <= last]
                tallest = max(self.extent(s).height / 2 + self.extent(s).above for s in boxes)
                tracks: list[list[tuple[int, int]]] = []
                for index, span in sorted(together, key=lambda item: (item[1][1] - item[1][0], item[1])):
                    free = (n for n, track in enumerate(tracks) if not any(_meet(span, other) for other in track))
                    number = next(free, len(tracks))
                    tracks[number:] = tracks[number:] or [[]]
                    tracks[number].append(span)
                    found[index] = (number, tallest)
        return found

    def _over(self, source: Spot) -> float:
        """Return how far over its line a source's track lies."""
        track, tallest = self._track_of[source.unit.index]
        return tallest + 9 + _TRACK * track

    def _heights(self) -> dict[_Lane, dict[int, float]]:
        """Return how much room each line needs above its middle, by rank."""
        above: dict[_Lane, dict[int, float]] = defaultdict(dict)

        def need(line: _Lane, ranks: range, height: float) -> None:
            for rank in ranks:
                above[line][rank] = max(above[line].get(rank, 0.0), height)

        for line, spots in self._lines.items():
            for spot in spots:
                extent = self.extent(spot)
                need(line, range(spot.rank, spot.rank + 1), extent.height / 2 + extent.above)
        for edge in self.layout.edges:
            between = range(edge.source.rank, edge.target.rank + 1)
            if edge.route == "over":
                need((edge.source.row, *edge.source.line), between, self._over(edge.source))
            elif edge.source.row == edge.target.row:
                end = edge.target if edge.route == "target" else edge.source
                need((end.row, *end.line), between[1:-1], 2.0)
            elif edge.route == "target" or edge.source.line == edge.target.line:
                start = self.layout.row_starts[edge.target.row]
                need((edge.target.row, *edge.target.line), range(start, edge.target.rank), 2.0)
        for by_rank in above.values():
            for rank in by_rank:
                by_rank[rank] += NAME_HEIGHT
        return dict(above)

    def _stacked(self) -> tuple[dict[_Lane, float], float]:
        """Return the height of each line, as close below what is over it as that allows, and that of the whole."""
        places: dict[_Lane, float] = {}
        floor = [LEGEND_HEIGHT] * self.layout.ranks
        starts = [*self.layout.row_starts, self.layout.ranks]
        for row, (start, stop) in enumerate(pairwise(starts)):
            floor[start:stop] = [max(floor)] * (stop - start)
            level_y: dict[int, float] = {}
            for line in sorted(key for key in self._above if key[0] == row):
                above = self._above[line]
                y = max(floor[rank] + height for rank, height in above.items())
                y = max(y, level_y.get(line[1] - 1, y - 40) + 40)
                if line[2] == 0:
                    level_y[line[1]] = y
                places[line] = y
                for rank in above:
                    floor[rank] = y + _SPACE
                for spot in self._lines[line]:
                    extent = self.extent(spot)
                    floor[spot.rank] = y + extent.height / 2 + extent.below + _SPACE
            floor[start:stop] = [max(floor)] * (stop - start)
        return places, max(floor)

    def corners(self, edge: Edge) -> list[list[Point]]:
        """Return the corners of a connection; two stretches of it where it leads from one row to the next."""
        source, target = edge.source, edge.target
        (x1, y1), (x2, y2) = self.centre(source), self.centre(target)
        start, end = x1 + self.extent(source).width / 2, x2 - self.extent(target).width / 2
        leaving, arriving = self.right[source.rank] - 3, self.left[target.rank] + 3
        if source.row != target.row:
            return [[(start, y1), (leaving + _ONWARD, y1)], self._into_the_row(edge, end)]
        if edge.route == "level":
            return [self._to_the_next_level(source, target, leaving)]
        if edge.route == "over":
            over = y1 - self._over(source)
            up = [(start, y1), (leaving, y1), (leaving, over)]
            if source.line == target.line:
                return [[*up, (x2, over), (x2, y2 - self.extent(target).height / 2)]]
            return [[*up, (arriving, over), (arriving, y2), (end, y2)]]
        if y1 == y2:
            return [[(start, y1), (end, y2)]]
        turn = arriving if edge.route == "own" else leaving
        return [[(start, y1), (turn, y1), (turn, y2), (end, y2)]]

    def _into_the_row(self, edge: Edge, end: float) -> list[Point]:
        """Return the corners of a connection from an earlier row: along its source's line, and from there as usual."""
        source, target = edge.source, edge.target
        y2 = self.centre(target)[1]
        y1 = self._y.get((target.row, *source.line), y2)
        first, arriving = self.left[self.layout.row_starts[target.row]], self.left[target.rank] + 3
        if y1 == y2:
            begin = first if source in self._leading_on else arriving
            return [(max(0.0, begin - _ONWARD + 3), y2), (end, y2)]
        turn = arriving if edge.route == "own" else first - 3
        return [(first - _ONWARD + 3, y1), (turn, y1), (turn, y2), (end, y2)]

    def _to_the_next_level(self, source: Spot, target: Spot, leaving: float) -> list[Point]:
        (x1, y1), (x2, y2) = self.centre(source), self.centre(target)
        upper, lower = (source, target) if y1 < y2 else (target, source)
        between = [s for s in self.by_rank[source.rank] if upper.line < s.line < lower.line]
        if between:
            start, end = x1 + self.extent(source).width / 2, x2 + self.extent(target).width / 2
            return [(start, y1), (leaving, y1), (leaving, y2), (end, y2)]
        under = self.extent(upper)
        ends = [min(y1, y2) + under.height / 2 + under.below + 2, max(y1, y2) - self.extent(lower).height / 2]
        return [(x1, y) for y in (ends if y1 < y2 else reversed(ends))]


def _meet(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _overlapping(spans: dict[int, tuple[int, int]]) -> list[list[tuple[int, tuple[int, int]]]]:
    """Return the spans in groups that overlap, one after another."""
    groups: list[list[tuple[int, tuple[int, int]]]] = []
    reached = -1
    for item in sorted(spans.items(), key=lambda item: item[1]):
        if not groups or item[1][0] >= reached:
            groups.append([])
        groups[-1].append(item)
        reached = max(reached, item[1][1])
    return groups
