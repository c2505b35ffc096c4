"""The explained cell in a terminal, in the layout of a worked example."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from convscope.look.explanation.record import LISTED, Explanation
from convscope.look.explanation.worked import Array, Operands
from convscope.report.table import display_width
from convscope.report.units import plural, shape

PADDING = "·"
GRIDS = 3  # channels whose patch and kernel are shown in full
WIDEST = 110
DIGITS = 3  # of the largest number in a grid


def ink(number: float) -> str:
    """A number in four significant digits, with a minus that is as wide as a plus.

    >>> ink(-0.123456), ink(30.0), ink(0.0)
    ('−0.1235', '30', '0')
    """
    return f"{number:.4g}".replace("-", "−") if number else "0"


def signed(number: float) -> str:
    """A number with its sign."""
    return ink(number) if number < 0 else f"+{ink(number)}"


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
        return "no pixel"
    names = {1: ("positions",), 2: ("rows", "columns"), 3: ("frames", "rows", "columns")}[len(box.first)]
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


def decimals(values: Array, digits: int) -> int | None:
    """Decimals that give the largest number `digits` significant digits; None where all numbers are whole.

    >>> decimals(np.array([0.0456, -0.002]), 3), decimals(np.array([30.0, 0.0]), 3)
    (4, None)
    """
    if (values == np.round(values)).all() and np.abs(values).max() < 1e6:
        return None
    largest = float(np.abs(values).max())
    return max(0, digits - 1 - math.floor(math.log10(largest)))


def grid(values: Array, inside: Array, winner: tuple[int, ...] | None = None, *, digits: int = DIGITS) -> list[str]:
    """Numbers as lines of columns; padding as a dot, the winner in brackets."""
    rows = np.atleast_2d(values.reshape(-1, values.shape[-1]) if values.ndim > 1 else values)
    shown = np.broadcast_to(inside, values.shape).reshape(rows.shape)
    places = decimals(rows[shown], digits) if shown.any() else None
    won = None if winner is None else int(np.ravel_multi_index(winner, values.shape))

    def cell(i: int, j: int) -> str:
        if not shown[i, j]:
            return PADDING
        number = float(rows[i, j])
        written = f"{number:.0f}" if places is None else f"{number:.{places}f}" if number else "0"
        written = written.replace("-", "−")
        return f"[{written}]" if i * rows.shape[1] + j == won else written

    cells = [[cell(i, j) for j in range(rows.shape[1])] for i in range(rows.shape[0])]
    width = max(len(cell) for row in cells for cell in row)
    return [" ".join(cell.rjust(width) for cell in row) for row in cells]


def beside(blocks: Sequence[tuple[str, Sequence[str]]], signs: Sequence[str]) -> list[str]:
    """Titled blocks of lines side by side, with a sign between them half-way down."""
    height = max(len(lines) for _, lines in blocks)
    middle = (height - 1) // 2
    lines = [""] * (height + 1)
    for index, (title, block) in enumerate(blocks):
        width = max(display_width(title), *(display_width(line) for line in block))
        for row in range(height + 1):
            cell = title if row == 0 else block[row - 1] if row <= len(block) else ""
            sign = signs[index] if index < len(signs) and row == middle + 1 else " "
            lines[row] += cell + " " * (width - display_width(cell)) + f"  {sign}  "
    return [line.rstrip() for line in lines]


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
        lines += [f"  {line}" for line in _worked_channel(operands, index_of[channel])]
    lines += [f"channel {channel} adds {signed(added)}" for channel, added in channels[GRIDS:LISTED]]
    others = channels[LISTED:]
    if others:
        lines.append(f"the other {plural(len(others), 'channel')} add {signed(sum(added for _, added in others))}")
    return lines


def _worked_channel(operands: Operands, index: int) -> list[str]:
    assert operands.weights is not None
    inside = np.broadcast_to(operands.inside, operands.numbers.shape)[index]
    patch, kernel, products = operands.numbers[index], operands.weights[index], operands.contributions[index]
    return worked_example(patch, kernel, products, inside)


def worked_example(patch: Array, kernel: Array, products: Array, inside: Array) -> list[str]:
    """Patch × kernel = products, side by side where they fit; small whole ones also in a line."""
    lines: list[str] = []
    for digits in (DIGITS, DIGITS - 1):
        blocks = [
            ("patch", grid(patch, inside, digits=digits)),
            ("kernel", grid(kernel, np.ones(kernel.shape, bool), digits=digits)),
            ("products", grid(products, inside, digits=digits)),
        ]
        lines = beside(blocks, ("×", "="))
        if max(map(display_width, lines)) <= WIDEST:
            break
    else:
        lines = [line for title, block in blocks for line in (f"{title}:", *block)]
    read = [(float(a), float(b)) for a, b, ok in zip(patch.flat, kernel.flat, inside.flat, strict=True) if ok]
    terms = " + ".join(f"{_bracketed(a)}·{_bracketed(b)}" for a, b in read) + f" = {ink(float(products.sum()))}"
    return [*lines, terms] if len(terms) <= WIDEST else lines


def _bracketed(number: float) -> str:
    return f"({ink(number)})" if number < 0 else ink(number)


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
        lines.append(f"the other {count - len(found)} add {signed(rest)}")
    return lines


def _window(explanation: Explanation) -> list[str]:
    operands, winner = explanation.worked.operands[0], explanation.worked.winner
    title = f"from {explanation.label_of(operands)}"
    squeezed = operands.numbers[0] if operands.numbers.ndim > 1 and len(operands.numbers) == 1 else operands.numbers
    inside = np.broadcast_to(operands.inside, operands.numbers.shape).reshape(squeezed.shape)
    if squeezed.size > 144:
        return [f"{title}: {squeezed.size:,} numbers from {ink(float(squeezed.min()))} to {ink(float(squeezed.max()))}"]
    won = winner[-squeezed.ndim :] if winner is not None else None
    return [title, "", *(f"  {line}" for line in grid(squeezed, inside, won))]


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
