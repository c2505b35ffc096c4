"""Where the cost is: parameters and multiply-adds by module, in parts small enough to say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from convscope.graph.summary import Layer
from convscope.report import units
from convscope.report.charts import bar_chart
from convscope.report.svg import Drawing

LARGE = 0.8
"""A part with this share of the cost says nothing of where it is: the parts of it are shown."""
_BARS = 12


def cost_drawings(layers: Sequence[Layer], batch: int) -> Iterator[Drawing]:
    """Yield the parameters and the multiply-adds of one sample as bars, each where it has more than one part."""
    costs: tuple[tuple[str, Callable[[Layer], int]], ...] = (
        ("Parameters by module", lambda layer: layer.parameters),
        ("MACs by module", lambda layer: (layer.macs or 0) // batch),
    )
    for what, cost_of in costs:
        parts = cost_parts([(layer.name, cost_of(layer)) for layer in layers])
        if len(parts) > 1:
            total = sum(cost for _, cost in parts)
            labels = [f"{units.count(cost)}, {units.percent(cost / total)}" for _, cost in parts]
            yield bar_chart([(name, float(cost)) for name, cost in parts], title=what, labels=labels)


def cost_parts(costs: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return the outermost modules' costs, in the network's order; of a module that holds nearly all, its parts' costs.

    What is too much to show is summed: the cheapest as "the others", or neighbours where those are nearly all.

    Args:
        costs: layers' names and costs.

    >>> cost_parts([("stem", 10), ("body.0", 400), ("body.1.conv", 300), ("body.1.fc", 200), ("head", 90)])
    [('stem', 10), ('body.0', 400), ('body.1', 500), ('head', 90)]
    """
    present = [(name, cost) for name, cost in costs if cost]
    total = sum(cost for _, cost in present)
    parts = list(_parts(present, LARGE * total, 1))
    if len(parts) <= _BARS:
        return parts
    threshold = sorted((cost for _, cost in parts), reverse=True)[_BARS - 1]
    shown = [(name, cost) for name, cost in parts if cost >= threshold][:_BARS]
    rest = total - sum(cost for _, cost in shown)
    return [*shown, ("the others", rest)] if rest < LARGE * total else list(_neighbours(parts, total))


def _parts(costs: Sequence[tuple[str, int]], large: float, depth: int) -> Iterator[tuple[str, int]]:
    by_module: dict[str, list[tuple[str, int]]] = {}
    for name, cost in costs:
        by_module.setdefault(".".join(name.split(".")[:depth]), []).append((name, cost))
    for module, inside in by_module.items():
        cost = sum(cost for _, cost in inside)
        if cost >= large and len(inside) > 1:
            yield from _parts(inside, large, depth + 1)
        else:
            yield module, cost


def _neighbours(parts: Sequence[tuple[str, int]], total: int) -> Iterator[tuple[str, int]]:
    """Yield runs of neighbours of about the same cost."""
    ends: dict[int, int] = {}
    before = 0
    for index, (_, cost) in enumerate(parts):
        ends[index] = before * _BARS // total
        before += cost
    for _, run in groupby(range(len(parts)), key=ends.__getitem__):
        first, *more = run
        last = more[-1] if more else first
        name = parts[first][0] if first == last else f"{parts[first][0]} to {parts[last][0]}"
        yield name, sum(cost for _, cost in parts[first : last + 1])
