"""The positions of a drawing's units: ranks from left to right, lanes for branches, rows where a line is full.

A unit's rank is the longest way to it. Branches get lanes of their own; the longest branch stays on the main lane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, count

from convscope.interpret.inspection.network_units import Unit


@dataclass(slots=True, eq=False)
class Spot:
    """The position of a unit: its rank, its lane (0 is the main one), and the row of the page."""

    unit: Unit
    rank: int
    lane: int = 0
    row: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """A connection; `over` if it is routed around units in between."""

    source: Spot
    target: Spot
    over: bool


@dataclass(frozen=True, slots=True, eq=False)
class DiagramLayout:
    """Spots by the units' indices, the edges, and the first rank of each row."""

    spots: dict[int, Spot]
    edges: tuple[Edge, ...]
    row_starts: tuple[int, ...]

    @property
    def ranks(self) -> int:
        """Number of ranks."""
        return max((spot.rank for spot in self.spots.values()), default=0) + 1


def lay_out(units: Sequence[Unit], *, width_of: Callable[[Unit], float], room: float) -> DiagramLayout:
    """Ranks, lanes and rows of the units.

    Args:
        units: in the order in which they ran.
        width_of: how wide a unit's column must be.
        room: how wide a row may be.
    """
    spots = {unit.index: Spot(unit, 0) for unit in units}
    for unit in units:
        spots[unit.index].rank = max((spots[b.index].rank + 1 for b in unit.before), default=0)
    # An input that is read late stands right before its reader.
    after: dict[int, list[Unit]] = {unit.index: [] for unit in units}
    for unit in units:
        for before in unit.before:
            after[before.index].append(unit)
    for unit in units:
        if not unit.before and after[unit.index]:
            spots[unit.index].rank = min(spots[a.index].rank for a in after[unit.index]) - 1
    _assign_lanes(units, spots, after)
    taken = {(spot.rank, spot.lane) for spot in spots.values()}
    edges = tuple(
        Edge(spots[b.index], spots[u.index], _blocked(spots[b.index], spots[u.index], taken))
        for u in units
        for b in u.before
    )
    starts = _row_starts(edges, _widths(spots, width_of), room)
    for spot in spots.values():
        spot.row = sum(start <= spot.rank for start in starts) - 1
    return DiagramLayout(spots, edges, starts)


def _assign_lanes(units: Sequence[Unit], spots: dict[int, Spot], after: dict[int, list[Unit]]) -> None:
    height: dict[int, int] = {}
    for unit in reversed(units):
        height[unit.index] = max((height[a.index] + 1 for a in after[unit.index]), default=0)
    busy: dict[int, list[tuple[int, int]]] = {}
    continued: set[int] = set()
    for unit in sorted(units, key=lambda u: (spots[u.index].rank, -height[u.index], u.index)):
        spot = spots[unit.index]
        last = max([spots[a.index].rank - 1 for a in after[unit.index]] + [spot.rank])
        heirs = sorted(
            (spots[b.index] for b in unit.before if b.index not in continued), key=lambda s: (abs(s.lane), -s.rank)
        )
        for heir in heirs:
            if _free(busy.get(heir.lane, []), heir.rank + 1, spot.rank, owner=heir.rank):
                spot.lane = heir.lane
                continued.add(heir.unit.index)
                busy[heir.lane] = [_cut(span, heir.rank) for span in busy[heir.lane]]
                break
        else:
            first = min([spots[b.index].rank + 1 for b in unit.before] + [spot.rank])
            spot.lane = next(n for n in _lane_order() if _free(busy.get(n, []), first, last))
        busy.setdefault(spot.lane, []).append((spot.rank, last if spot.lane else spot.rank))


def _lane_order() -> chain[int]:
    return chain([0], chain.from_iterable((n, -n) for n in count(1)))


def _free(spans: Sequence[tuple[int, int]], first: int, last: int, *, owner: int | None = None) -> bool:
    return all(stop < first or start > last or start == owner for start, stop in spans)


def _cut(span: tuple[int, int], start: int) -> tuple[int, int]:
    return (start, start) if span[0] == start else span


def _blocked(source: Spot, target: Spot, taken: set[tuple[int, int]]) -> bool:
    """Return whether a unit is in between on the source's lane; the last step changes lanes."""
    between = range(source.rank + 1, target.rank)
    return any((rank, source.lane) in taken for rank in between) and any(
        (rank, target.lane) in taken for rank in between
    )


def _widths(spots: dict[int, Spot], width_of: Callable[[Unit], float]) -> list[float]:
    """Return the width of each rank's column."""
    widths = [0.0] * (max((spot.rank for spot in spots.values()), default=0) + 1)
    for spot in spots.values():
        widths[spot.rank] = max(widths[spot.rank], width_of(spot.unit))
    return widths


def _row_starts(edges: Sequence[Edge], widths: Sequence[float], room: float) -> tuple[int, ...]:
    """Return a row may end where one connection alone leads on; rows are filled as far as there is room."""
    crossing = [0] * (len(widths) + 1)
    for edge in edges:
        for rank in range(edge.source.rank + 1, edge.target.rank + 1):
            crossing[rank] += 1
    starts = [0]
    cut: int | None = None
    filled = since_cut = 0.0
    for rank, width in enumerate(widths):
        if crossing[rank] == 1 and filled > room / 4:  # a row of one or two units is worse than a long one
            cut, since_cut = rank, 0.0
        filled, since_cut = filled + width, since_cut + width
        if filled > room and cut is not None and cut > starts[-1]:
            starts.append(cut)
            filled = since_cut
    return tuple(starts)
