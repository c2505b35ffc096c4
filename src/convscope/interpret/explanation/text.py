"""The explained cell in a terminal, in the layout of a worked example."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from convscope.geometry.axis_names import axis_names
from convscope.interpret.explanation.patch_text import ink, products_lines, window_lines
from convscope.interpret.explanation.record import LISTED, Explanation
from convscope.interpret.explanation.worked import Operands
from convscope.report.table import display_width
from convscope.report.units import plural, shape

GRIDS = 3  # channels whose patch and kernel are shown in full
LARGEST_WINDOW = 144  # numbers up to which a window is written out


def signed(number: float) -> str:
    """A number with its sign."""
    return ink(number) if number < 0 else f"+{ink(number)}"


@np.errstate(divide="ignore", over="ignore", invalid="ignore")
def explanation_text(explanation: Explanation) -> str:
    """The whole explanation as plain lines."""
    ways: dict[str, Callable[[Explanation], list[str]]] = {
        "products": _products, "choice": _window, "mean": _window, "sum": _window,
    }  # fmt: skip
    lines = [*heading(explanation), ""]
    lines += ways.get(explanation.kind, _alone)(explanation)
    lines += ["", *_steps(explanation)]
    down = _down(explanation)
    return "\n".join([*lines, *(["", *down] if down else [])])


def heading(explanation: Explanation) -> list[str]:
    """What is explained, and where in the input it came from."""
    lines = [
        f"{explanation.lens.graph.name} · {explanation.layer} · {explanation.operation}",
        f"{place(explanation.position)}, of {shape(explanation.shape[1:])}",
    ]
    if explanation.box is not None:
        lines.append(f"made from {box_text(explanation)}")
    return lines + [f"note: {note}" for note in explanation.lens.notes]


def box_text(explanation: Explanation) -> str:
    """The box in the input in words."""
    box = explanation.box
    if box is None:
        return "no position of the input"
    names = axis_names(len(box.first))
    spans = ", ".join(f"{name} {a}–{b}" for name, a, b in zip(names, box.first, box.last, strict=True))
    holes = "" if box.filled == 1 else f", {box.filled:.0%} of it"
    exact = "" if box.status == "exact" else f" ({box.status})"
    return f"input {spans} ({shape(box.sizes)}{holes}){exact}"


def place(position: Sequence[int]) -> str:
    """A position in words, the batch left out.

    >>> place((0, 3, 10, 20)), place((0, 7)), place(())
    ('channel 3 at (10, 20)', 'unit 7', 'the one number')
    """
    if not position:
        return "the one number"
    channel, at = position[1] if len(position) > 1 else position[0], position[2:]
    return f"channel {channel} at ({', '.join(map(str, at))})" if at else f"unit {channel}"


def _products(explanation: Explanation) -> list[str]:
    operands = explanation.worked.operands[0]
    source = explanation.label_of(operands)
    if operands.numbers.ndim < 2:
        return _row(explanation, operands, source)
    channels = explanation.by_channel()
    index_of = {channel: index for index, channel in enumerate(operands.channels)}
    lines = [f"{plural(len(channels), 'channel')} of {source}, the largest first" if len(channels) > 1
             else f"from {source}, channel {channels[0][0]}"]  # fmt: skip
    for channel, added in channels[:GRIDS]:
        lines += ["", f"channel {channel} adds {signed(added)}"] if len(channels) > 1 else [""]
        lines += [f"  {line}" for line in products_lines(operands, index_of[channel])]
    lines += [f"channel {channel} adds {signed(added)}" for channel, added in channels[GRIDS:LISTED]]
    others = channels[LISTED:]
    if others:
        verb = "adds" if len(others) == 1 else "add"
        lines.append(f"the other {plural(len(others), 'channel')} {verb} {signed(sum(added for _, added in others))}")
    return lines


def _row(explanation: Explanation, operands: Operands, source: str) -> list[str]:
    found = explanation.contributors()
    count = operands.numbers.size
    lines = [f"{plural(count, 'number')} of {source}, the largest products first", ""]
    lines += [
        f"{place(one.position):>14}   {ink(one.number):>9} × {ink(one.weight or 0.0):>9} = {signed(one.contribution)}"
        for one in found
    ]
    rest = float(operands.contributions.sum()) - sum(one.contribution for one in found)
    if count > len(found):
        verb = "adds" if count - len(found) == 1 else "add"
        lines.append(f"the other {count - len(found):,} {verb} {signed(rest)}")
    return lines


def _window(explanation: Explanation) -> list[str]:
    operands, winner = explanation.worked.operands[0], explanation.worked.winner
    title = f"from {explanation.label_of(operands)}"
    numbers = operands.numbers
    if numbers.size > LARGEST_WINDOW:
        return [f"{title}: {numbers.size:,} numbers from {ink(float(numbers.min()))} to {ink(float(numbers.max()))}"]
    return [title, "", *(f"  {line}" for line in window_lines(operands, winner))]


def _alone(explanation: Explanation) -> list[str]:
    lines = []
    letters = "ab" if len(explanation.worked.operands) > 1 else "x"
    if explanation.kind == "softmax":
        operands = explanation.worked.operands[0]
        scores = operands.numbers
        largest = np.argsort(-scores, kind="stable")[:LISTED]
        head = f"{plural(scores.size, 'score')} of {explanation.label_of(operands)}, the largest first"
        return [head, "", *(f"{place(operands.position((int(i),))):>14}   {ink(float(scores[i])):>9}" for i in largest)]
    for letter, operands in zip(letters * 9, explanation.worked.operands, strict=False):
        where = place(operands.position(())) if operands.positions else "a constant"
        role = f"; {operands.role}" if " " in operands.role else ""
        lines.append(f"{letter} = {ink(float(operands.numbers)):>9}   {explanation.label_of(operands)}, {where}{role}")
    return lines or ["from the padding"]


def _steps(explanation: Explanation) -> list[str]:
    rows = [(line.text.replace("-", "−"), _long(line.number)) for line in explanation.worked.lines]
    difference = f"{explanation.difference:.0e}".replace("-", "−")
    rows.append(("torch has", f"{_long(explanation.torch_value)}   (difference {difference})"))
    rows += [(f"then {line.text}", _long(line.number)) for line in explanation.following]
    width = max(display_width(text) for text, _ in rows)
    return [f"{text}{' ' * (width - display_width(text))}   {number}" for text, number in rows]


def _long(number: float) -> str:
    return f"{number:.7g}".replace("-", "−")


def _down(explanation: Explanation) -> list[str]:
    graph = explanation.lens.graph
    found = [one for one in explanation.contributors(3) if graph.values[one.value].producer is not None]
    if not found:
        return []
    lines = ["further down:"]
    for one in found:
        if len(one.position) < 2:  # one number for the whole network has no channel to ask for
            continue
        at = f" --at {','.join(map(str, one.position[2:]))}" if one.position[2:] else ""
        lines.append(f"  --layer {one.label} --channel {one.position[1]}{at}")
    return lines if len(lines) > 1 else []
