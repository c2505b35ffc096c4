"""One number of a run worked out, as the page animates it: its terms in groups, its steps, where each operand is.

Of a convolution over hundreds of channels, the three that add the most come first, the rest in pages. The sum after
each term is part of the answer: the page adds nothing up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.interpret.explanation.record import Explanation
from convscope.interpret.explanation.worked import Coordinates, Operands, sizes_of
from convscope.studio.compute.field import position_of
from convscope.studio.compute.formula import formula_of
from convscope.studio.compute.image_run import ImageRun
from convscope.studio.compute.opened_model import OpenedModel, drawn_shape, key_of, value_of
from convscope.studio.protocol import Packet, StudioError

FIRST_GROUPS, MORE_GROUPS = 3, 16  # channels on the first page, and on each later one
FIRST_TERMS, MORE_TERMS = 27, 144  # terms of a row, likewise
SUMS = frozenset({"products", "sum", "mean"})  # kinds whose terms are added up


@dataclass(frozen=True)
class TermGroup:
    """Terms that belong together: a channel's window, or a part of a row."""

    title: str
    operands: Operands
    places: Sequence[Coordinates]
    total: float
    channel: int | None = None
    shape: tuple[int, ...] = ()


def cell_packet(run: ImageRun, name: str, channel: int, at: Sequence[int], *, page: int = 0) -> Packet:
    """Return how one number was made, as JSON.

    Args:
        run: the network and the image.
        name: the value's key.
        channel: of the number.
        at: its row and column.
        page: of the terms: the first has those that add the most.

    Raises:
        CaptureError: there is no such value, or its numbers are complex.
        GeometryError: the cell is outside of it.
        StudioError: of kind "range": no such page.
    """
    opened = run.opened
    value = value_of(opened, name)
    position = position_of(opened, value, channel, at)
    record: dict[str, Any] = {
        "value": key_of(opened, value),
        "c": channel,
        "at": _place(opened, value, position)["at"],
        "name": opened.names.of_value(value),
        "page": page,
        "pages": 1,
    }
    if opened.graph.values[value].producer is None:
        number = float(run.lens.numbers(value)[position])
        return Packet(record | {
            "number": number, "kind": "input", "operation": "input",
            "formula": {"mathml": "", "text": "a number of the input"},
            "adds": False, "groups": [], "steps": [_step("result", number, number)], "bias": None, "sum": number,
            "operands": [], "placement": None, "check": {"network": number, "ours": number, "difference": 0.0},
            "following": [], "winner": None,
        })  # fmt: skip
    with run.lock:
        found = run.lens.number(value, position)
    groups = list(_groups(found))
    starts = _pages(groups)
    if not 0 <= page < len(starts) - 1:
        raise StudioError(f"there is no page {page}: the terms fill {len(starts) - 1}, 0 to {len(starts) - 2}", "range")
    sums = np.cumsum([0.0, *(group.total for group in groups)])
    shown = range(starts[page], starts[page + 1])
    return Packet(record | {
        "number": found.torch_value,
        "pages": len(starts) - 1,
        "kind": found.kind,
        "operation": found.operation,
        "formula": formula_of(found),
        "adds": found.kind in SUMS,
        "groups": [_written(opened, found, groups[number], float(sums[number])) for number in shown],
        "count": sum(int(np.broadcast_to(one.inside, one.numbers.shape).sum()) for one in found.worked.operands),
        "group_count": len(groups),
        "steps": list(_steps(found, float(sums[starts[page + 1]]), float(sums[-1]), last=page == len(starts) - 2)),
        "bias": _bias(found),
        "sum": found.value,
        "check": {"network": found.torch_value, "ours": found.value, "difference": found.difference},
        "operands": [_operands(opened, one) for one in found.worked.operands],
        "placement": _placement(opened, found),
        "following": [{"text": line.text, "number": line.number} for line in found.following],
        "winner": None if found.worked.winner is None else _winner(opened, found),
    })  # fmt: skip


def _groups(found: Explanation) -> Iterator[TermGroup]:
    """Yield the terms in groups, those that add the most first; of products that are a window one a channel."""
    worked = found.worked
    if worked.kind == "products" and worked.operands[0].numbers.ndim > 1:
        operands = worked.operands[0]
        added = operands.contributions.reshape(len(operands.numbers), -1)
        sums = added.sum(axis=1)
        kernel = operands.numbers.shape[1:]
        places = list(np.ndindex(*kernel))
        channels = operands.channels
        for number in np.argsort(-sizes_of(sums), kind="stable"):
            row = int(number)
            yield TermGroup(f"channel {channels[row]}", operands, [(row, *place) for place in places], float(sums[row]),
                         channels[row], kernel)  # fmt: skip
        return
    for operands in worked.operands:
        places = list(np.ndindex(*operands.numbers.shape))
        added = np.asarray(operands.contributions, dtype=np.float64)
        if len(places) > FIRST_TERMS and worked.kind in ("products", "softmax", "sum", "mean"):
            order = np.argsort(-sizes_of(added).reshape(-1), kind="stable")
            places = [tuple(int(n) for n in np.unravel_index(int(flat), added.shape)) for flat in order]
            start = 0
            while start < len(places):
                part = places[start : start + (FIRST_TERMS if not start else MORE_TERMS)]
                total = float(sum(added[place] for place in part))
                title = "the largest terms" if not start else f"terms {start + 1} to {start + len(part)}"
                yield TermGroup(title, operands, part, total)
                start += len(part)
        else:
            title = found.label_of(operands) + (f" ({operands.role})" if operands.role else "")
            shape = operands.numbers.shape[1:] if operands.numbers.ndim > 1 else ()
            yield TermGroup(title, operands, places, float(added.sum()), shape=shape)


def _pages(groups: Sequence[TermGroup]) -> list[int]:
    """Return the number of the first group of each page, and the number of groups."""
    if not groups or groups[0].channel is None:
        paged = len(groups) > 1 and groups[0].operands is groups[-1].operands
        return list(range(len(groups) + 1)) if paged else [0, len(groups)]
    starts = [0, *range(FIRST_GROUPS, len(groups), MORE_GROUPS)]
    return [*starts, len(groups)]


def _step(kind: str, number: float, running: float | None = None, title: str = "") -> dict[str, Any]:
    return {"kind": kind, "number": number, "running": running, "title": title}


def _steps(found: Explanation, shown: float, total: float, *, last: bool) -> Iterator[dict[str, Any]]:
    """Yield the steps after the terms: what later pages add, the bias or the lines that lead to the number, the number.

    Args:
        found: the number.
        shown: the sum of the terms so far, those of earlier pages too.
        total: the sum of all terms.
        last: whether there is no later page.
    """
    if found.kind in SUMS and not last:
        yield _step("rest", total - shown, total)
    if found.kind == "products":
        if (bias := _bias(found)) is not None:
            yield _step("bias", bias, found.value)
    else:
        for line in found.worked.lines:
            yield _step("line", line.number, line.number, line.text)
    yield _step("result", found.torch_value, found.torch_value)


def _written(opened: OpenedModel, found: Explanation, group: TermGroup, running: float) -> dict[str, Any]:
    """Return a group as the page shows it; `running` is the sum of the groups before it."""
    operands = group.operands
    numbers = operands.numbers
    inside = np.broadcast_to(operands.inside, numbers.shape)
    positions = [np.broadcast_to(axis, numbers.shape) for axis in operands.positions]
    weights = None if operands.weights is None else np.broadcast_to(operands.weights, numbers.shape)
    terms = []
    for place in group.places:
        term: dict[str, Any] = {"operand": None, "number": 0.0}
        if inside[place]:
            at = tuple(int(axis[place]) for axis in positions)
            term = {"operand": _place(opened, operands.value, at), "number": float(numbers[place])}
        term["weight"] = None if weights is None else float(weights[place])
        term["product"] = term["number"] * (1.0 if weights is None else float(weights[place]))
        if found.kind in SUMS:
            running += term["product"]
            term["running"] = running
        if found.worked.winner == place and found.worked.operands[0] is operands:
            term["winner"] = True
        terms.append(term)
    read = [term["operand"] for term in terms if term["operand"]]
    first = read[0] if read else None
    corners = [(min(along), max(along) + 1) for along in zip(*(operand["at"] for operand in read), strict=False)]
    columns = group.shape[-1] if group.shape else 1
    return {
        "title": group.title,
        "channel": first["c"] if group.channel is None and first else group.channel,
        "value": "" if first is None else first["value"],
        "box": [*(low for low, _ in corners[:2]), *(high for _, high in corners[:2])] or None,
        "columns": columns if columns and len(terms) % columns == 0 else 1,
        "terms": terms,
        "sum": group.total,
    }


def _place(opened: OpenedModel, value: int, position: Coordinates) -> dict[str, Any]:
    """Return a number as the page asks for it: its value, its channel, its row and column."""
    record = opened.graph.values[value]
    if record.kind in ("parameter", "buffer", "constant"):
        return {"value": "weight", "name": record.name, "c": 0, "at": list(position)}
    axes = opened.axes_of(value)
    at = [position[axis] for axis in axes.positions if axis < len(position)]
    channel = 0 if axes.channels is None or axes.channels >= len(position) else position[axes.channels]
    if len(position) < 2 and position:
        channel, at = position[0], []
    return {"value": key_of(opened, value), "c": channel, "at": [*(0 for _ in range(2 - len(at))), *at]}


def _bias(found: Explanation) -> float | None:
    lines = found.worked.lines
    for before, line in zip((None, *lines), lines, strict=False):
        if line.text.startswith("+ bias") and found.kind == "products":
            return line.number - (0.0 if before is None else before.number)
    return None


def _operands(opened: OpenedModel, operands: Operands) -> dict[str, Any]:
    record = opened.graph.values[operands.value]
    made = record.kind in ("activation", "input")
    return {
        "value": key_of(opened, operands.value) if made else "weight",
        "name": opened.names.of_value(operands.value),
        "shape": list(drawn_shape(opened, operands.value)) if made else list(record.spec.shape),
        "role": operands.role,
    }


def _placement(opened: OpenedModel, found: Explanation) -> dict[str, Any] | None:
    """Return where the window is on the map that it reads: its box, of which parts may be in the padding."""
    if not found.worked.operands:
        return None
    operands = found.worked.operands[0]
    if opened.graph.values[operands.value].kind not in ("activation", "input"):
        return None
    axes = opened.axes_of(operands.value).positions
    ends = []
    for axis in axes[-2:]:
        if axis >= len(operands.positions):
            return None
        along = operands.positions[axis]
        ends.append((int(np.min(along)), int(np.max(along)) + 1))
    ends = [(0, 1)] * (2 - len(ends)) + ends
    (y0, y1), (x0, x1) = ends
    return {"value": key_of(opened, operands.value), "box": [y0, x0, y1, x1]}


def _winner(opened: OpenedModel, found: Explanation) -> dict[str, Any]:
    operands, winner = found.worked.operands[0], found.worked.winner
    assert winner is not None
    return _place(opened, operands.value, operands.position(winner))
