"""Repeated iterations of a drawing, as of a recurrent update: the first is written out, the others are one unit.

Iterations have the same units, call the same modules, and read the same values, or those of the iteration before.
"""

from __future__ import annotations

from collections.abc import Sequence

from convscope.interpret.inspection.unit import Unit, numbered

_ITERATIONS = 3  # alike in a row, from which on they are drawn as the first and one unit for the others


def without_iterations(units: Sequence[Unit]) -> list[Unit]:
    """Return the units, those of repeated iterations after the first as one."""
    kept = list(units)
    modules = [unit.module for unit in kept if unit.module]
    at = 0 if len(set(modules)) < len(modules) else len(kept)
    while at < len(kept):
        last = kept[at]
        again = next((n for n in range(at + 1, len(kept)) if last.module and kept[n].module == last.module), None)
        if again is None or not _again(kept[at], kept[again], again - at):
            at += 1
            continue
        start, stop = _run(kept, at, again - at)
        period = again - at
        times = (stop - start) // period
        if times < _ITERATIONS:
            at += 1
            continue
        # The first iteration of a loop is often another one, as it starts the state; so they are counted from its end.
        second = stop - (times - 1) * period
        kept = numbered([*kept[:second], _together(kept, second, stop, times - 1), *kept[stop:]])
        at = second + 1
    return kept


def _again(one: Unit, other: Unit, period: int) -> bool:
    """Return whether a unit repeats another one, `period` places later."""
    alike = (one.family, one.labels, one.shape, one.module, one.group) == (
        other.family, other.labels, other.shape, other.module, other.group,
    )  # fmt: skip
    reads = zip(one.before, other.before, strict=False)
    return (
        alike and len(one.before) == len(other.before) and all(b.index in (a.index, a.index + period) for a, b in reads)
    )


def _run(units: Sequence[Unit], at: int, period: int) -> tuple[int, int]:
    """Return the first unit of a run in which each is the one a period before it, and the place after its last."""
    start, stop = at, at + period + 1
    while start and _again(units[start - 1], units[start - 1 + period], period):
        start -= 1
    while stop < len(units) and _again(units[stop - period], units[stop], period):
        stop += 1
    return start, stop


def _together(units: Sequence[Unit], start: int, stop: int, times: int) -> Unit:
    """Return one unit for those from start to stop, and let what reads them read it."""
    inside = units[start:stop]
    last = inside[-1]
    reads = {before.index: before for unit in inside for before in unit.before if before.index < start}
    labels = (f"{times} iterations", "as before", *map(str, last.shape[:1]))
    first, until = (unit.tip.partition(": ")[0] for unit in (inside[0], last))
    tip = f"{first} to {until}: {times} iterations of {len(inside) // times} units, like those before"
    found = Unit(start, "block", labels, tip, last.shape, last.side, times)
    found.group, found.enlarges, found.before = last.group, any(unit.enlarges for unit in inside), list(reads.values())
    found.name, found.outputs = inside[0].name, [value for unit in inside for value in unit.outputs]
    for unit in units[stop:]:
        outer = {before.index: before for before in (found if b in inside else b for b in unit.before)}
        unit.before = list(outer.values())
    return found
