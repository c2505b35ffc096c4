"""The positions of a drawing's units: ranks from left to right, lanes for branches, rows where a line is full.

A unit's rank is the longest way to it. Branches get lanes of their own; the longest branch stays on the main lane. A
network that makes its maps smaller and then larger again, in several steps or to join earlier ones, has a level for
each size, one below the other, so that an encoder and its decoder are the two sides of a U and what links them lies
across it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, count
from math import log2
from typing import Literal

from convscope.interpret.inspection.unit import Unit

Route = Literal["own", "target", "over", "level"]


@dataclass(slots=True, eq=False)
class Spot:
    """The position of a unit: its rank, its level, its lane there (0 is the main one), and the row of the page."""

    unit: Unit
    rank: int
    level: int = 0
    lane: int = 0
    row: int = 0

    @property
    def line(self) -> tuple[int, int]:
        """The level and the lane, from the top down."""
        return self.level, self.lane


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """A connection.

    Args:
        source: where it starts.
        target: where it ends.
        route: along the source's own lane, along the target's, over the units that are in between on both, or straight
            to the next level.
    """

    source: Spot
    target: Spot
    route: Route


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

    @property
    def levels(self) -> int:
        """Number of levels: 1 unless maps become larger again."""
        return max((spot.level for spot in self.spots.values()), default=0) + 1


def lay_out(units: Sequence[Unit], *, width_of: Callable[[Unit], float], room: float) -> DiagramLayout:
    """Ranks, levels, lanes and rows of the units.

    Args:
        units: in the order in which they ran.
        width_of: how wide a unit's column must be.
        room: how wide a row may be.
    """
    after: dict[int, list[Unit]] = {unit.index: [] for unit in units}
    for unit in units:
        for before in unit.before:
            after[before.index].append(unit)
    levels = _levels(units, after)
    spots = {unit.index: Spot(unit, 0, levels[unit.index]) for unit in units}
    _assign_ranks(units, spots, after)
    _assign_lanes(units, spots, after)
    edges = _routed(units, spots)
    starts = (0,) if any(levels.values()) else _row_starts(edges, _widths(spots, width_of), room)
    rows = iter((*starts[1:], -1))
    row, following = 0, next(rows)
    for spot in sorted(spots.values(), key=lambda s: s.rank):
        while spot.rank >= following >= 0:
            row, following = row + 1, next(rows)
        spot.row = row
    return DiagramLayout(spots, edges, starts)


def _levels(units: Sequence[Unit], after: dict[int, list[Unit]]) -> dict[int, int]:
    """Return the level of each unit, from 0; one for all unless maps become larger after they became smaller.

    One enlargement at the end, as of a segmentation without bridges, is no decoder.
    """
    halvings: dict[int, int] = {}
    climbed: set[int] = set()  # to these levels
    decoded: set[int] = set()  # units after an enlargement
    bridged = False
    for unit in units:
        spatial = [before for before in unit.before if before.side]
        if not spatial or unit.side is None:
            halvings[unit.index] = halvings[unit.before[-1].index] if unit.before else 0
            continue
        # A gate's single value has no size of its own; what is cropped to join a smaller map does not halve it.
        steps = [
            (halvings[before.index], round(log2(before.side / unit.side)) if min(before.side, unit.side) > 1 else 0)
            for before in spatial
            if before.side and (before.side > 1 or unit.side == 1 or len(spatial) == 1)
        ] or [(halvings[spatial[0].index], 0)]
        halvings[unit.index] = min(level + step for level, step in steps)
        grows = unit.enlarges and all(step < 0 < level for level, step in steps)
        after_growth = sum(before.index in decoded for before in unit.before)
        bridged = bridged or 0 < after_growth < len(spatial)
        if grows:
            climbed.add(halvings[unit.index])
        if grows or after_growth:
            decoded.add(unit.index)
    if len(climbed) < 2 and not bridged:
        return dict.fromkeys(halvings, 0)
    for unit in units:
        if not unit.before and after[unit.index] and unit.index:  # an input that is read late
            halvings[unit.index] = min(halvings[reader.index] for reader in after[unit.index])
    order = {halved: level for level, halved in enumerate(sorted(set(halvings.values())))}
    return {index: order[halved] for index, halved in halvings.items()}


def _assign_ranks(units: Sequence[Unit], spots: dict[int, Spot], after: dict[int, list[Unit]]) -> None:
    taken: set[tuple[int, int]] = set()
    for unit in units:
        spot = spots[unit.index]
        spot.rank = max((spots[b.index].rank + 1 for b in unit.before), default=0)
        # What leads to the next level stands right under its source, or over it.
        if len(unit.before) == 1 and abs(spots[unit.before[0].index].level - spot.level) == 1:
            spot.rank -= (spot.rank - 1, spot.level) not in taken
        taken.add((spot.rank, spot.level))
    for unit in units:  # an input that is read late stands right before its reader
        if not unit.before and after[unit.index]:
            spots[unit.index].rank = max(0, min(spots[a.index].rank for a in after[unit.index]) - 1)


def _assign_lanes(units: Sequence[Unit], spots: dict[int, Spot], after: dict[int, list[Unit]]) -> None:
    height: dict[int, int] = {}
    for unit in reversed(units):
        height[unit.index] = max((height[a.index] + 1 for a in after[unit.index]), default=0)
    # By level and lane: which unit holds each rank, by being there or for its way to its last reader.
    held: defaultdict[tuple[int, int], dict[int, int]] = defaultdict(dict)
    continued: set[int] = set()
    for unit in sorted(units, key=lambda u: (spots[u.index].rank, -height[u.index], u.index)):
        spot = spots[unit.index]
        last = max([spots[a.index].rank - 1 for a in after[unit.index]] + [spot.rank])
        before = [spots[b.index] for b in unit.before]
        heirs = [s for s in before if s.unit.index not in continued and s.level == spot.level]
        for heir in sorted(heirs, key=lambda s: (abs(s.lane), -s.rank)):
            holders = held[heir.line]
            if _free(holders, heir.rank + 1, spot.rank, owner=heir.unit.index):
                spot.lane = heir.lane
                continued.add(heir.unit.index)
                for rank in range(heir.rank + 1, spot.rank + 1):
                    holders.pop(rank, None)
                rank = spot.rank + 1
                while holders.get(rank) == heir.unit.index:
                    del holders[rank]
                    rank += 1
                break
        else:
            first = min([s.rank + 1 for s in before] + [spot.rank])
            spot.lane = next(n for n in _lane_order() if _free(held[spot.level, n], first, last))
        holders = held[spot.line]
        for rank in range(spot.rank, (last if spot.lane else spot.rank) + 1):
            holders[rank] = unit.index


def _lane_order() -> chain[int]:
    return chain([0], chain.from_iterable((n, -n) for n in count(1)))


def _free(holders: dict[int, int], first: int, last: int, *, owner: int = -1) -> bool:
    return all(holders.get(rank, owner) == owner for rank in range(first, last + 1))


def _routed(units: Sequence[Unit], spots: dict[int, Spot]) -> tuple[Edge, ...]:
    """Return the edges with the way each takes; those from one source, or to one target, may share it."""
    held: dict[tuple[tuple[int, int], int], object] = {(s.line, s.rank): None for s in spots.values()}

    def takes(line: tuple[int, int], between: range, owner: tuple[str, int]) -> bool:
        if any(held.get((line, rank), owner) != owner for rank in between):
            return False
        held.update({(line, rank): owner for rank in between})
        return True

    def route(source: Spot, target: Spot) -> Route:
        between = range(source.rank + 1, target.rank)
        if source.rank == target.rank:
            return "level"
        if takes(source.line, between, ("from", source.unit.index)):
            return "own"
        return "target" if takes(target.line, between, ("to", target.unit.index)) else "over"

    pairs = [(spots[b.index], spots[u.index]) for u in units for b in u.before]
    shortest = sorted(range(len(pairs)), key=lambda i: pairs[i][1].rank - pairs[i][0].rank)
    routes = {i: route(*pairs[i]) for i in shortest}
    return tuple(Edge(*pair, routes[i]) for i, pair in enumerate(pairs))


def _widths(spots: dict[int, Spot], width_of: Callable[[Unit], float]) -> list[float]:
    """Return the width of each rank's column."""
    widths = [0.0] * (max((spot.rank for spot in spots.values()), default=0) + 1)
    for spot in spots.values():
        widths[spot.rank] = max(widths[spot.rank], width_of(spot.unit))
    return widths


def _row_starts(edges: Iterable[Edge], widths: Sequence[float], room: float) -> tuple[int, ...]:
    """Return the first rank of each row: rows end where one value alone leads on, and are filled about evenly."""
    cuts = _cuts(edges, len(widths))
    before = list(accumulate(widths, initial=0.0))
    # By cut: the least cost of the rows before it, and where the last of them starts.
    best: dict[int, tuple[float, int]] = {0: (0.0, 0)}
    for stop in (*cuts, len(widths)):
        found: tuple[float, int] | None = None
        for start in reversed([0, *cuts][: bisect_left(cuts, stop) + 1]):
            filled = (before[stop] - before[start]) / room
            own = (1 - filled) ** 2 if filled <= 1 else 1 + 4 * (filled - 1)
            if found is not None and filled > 1 and own > found[0]:
                break  # and longer ones cost more
            cost = best[start][0] + own + (filled < 0.25)  # a row of one or two units is worse than a long one
            if found is None or cost < found[0]:
                found = cost, start
        best[stop] = found or best[0]
    starts = [best[len(widths)][1]]
    while starts[0]:
        starts.insert(0, best[starts[0]][1])
    return tuple(starts)


def _cuts(edges: Iterable[Edge], ranks: int) -> list[int]:
    """Return the ranks before which a row may end: all connections across come from one unit, one along its line."""
    across: list[list[Edge]] = [[] for _ in range(ranks)]
    for edge in edges:
        for rank in range(edge.source.rank + 1, edge.target.rank + 1):
            across[rank].append(edge)

    def leads_on(together: list[Edge]) -> bool:
        if len(together) == 1:
            return True
        sources = {edge.source for edge in together}
        straight = any(edge.source.line == edge.target.line for edge in together)
        return len(sources) == 1 and straight and all(edge.route in ("own", "target") for edge in together)

    return [rank for rank in range(1, ranks) if across[rank] and leads_on(across[rank])]
