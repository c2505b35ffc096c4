"""Patches of numbers in a terminal: a grid in two dimensions, a wrapped row in one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from convscope.arrays import Array
from convscope.report.table import display_width

PADDING = "·"
WIDEST = 110
DIGITS = 3  # of the largest number in a grid


def ink(number: float) -> str:
    """Return a number in four significant digits, with a minus that is as wide as a plus.

    >>> ink(-0.123456), ink(30.0), ink(0.0)
    ('−0.1235', '30', '0')
    """
    return f"{number:.4g}".replace("-", "−") if number else "0"


def signed(number: float) -> str:
    """Return a number in four significant digits with its sign.

    >>> signed(30.0), signed(-0.5)
    ('+30', '−0.5')
    """
    return ink(number) if number < 0 else f"+{ink(number)}"


def decimals(values: Array, digits: int) -> int | None:
    """Return the decimals that give the largest number `digits` significant digits; None where all numbers are whole.

    Numbers that are not finite do not count.

    >>> decimals(np.array([0.0456, -0.002]), 3), decimals(np.array([30.0, 0.0]), 3)
    (4, None)
    """
    values = values[np.isfinite(values)]
    if not values.size or ((values == np.round(values)).all() and np.abs(values).max() < 1e6):
        return None
    largest = float(np.abs(values).max())
    return max(0, digits - 1 - math.floor(math.log10(largest)))


def grid(
    values: Array,
    inside: Array,
    winner: tuple[int, ...] | None = None,
    *,
    digits: int = DIGITS,
    like: Array | None = None,
) -> list[str]:
    """Return numbers as lines of columns: padding as a dot, the winner in brackets, the decimals of `like`."""
    rows = np.atleast_2d(values.reshape(-1, values.shape[-1]) if values.ndim > 1 else values)
    shown = np.broadcast_to(inside, values.shape).reshape(rows.shape)
    written_like = rows[shown] if like is None else like
    places = decimals(written_like, digits) if written_like.size else None
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
    """Return titled blocks of lines side by side, with a sign between them half-way down."""
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


def worked_example(patch: Array, kernel: Array, products: Array, inside: Array) -> list[str]:
    """Return patch × kernel = products, side by side where they fit; small whole ones also in a line."""
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
    if not read:
        return lines
    terms = " + ".join(f"{_bracketed(a)}·{_bracketed(b)}" for a, b in read) + f" = {ink(float(products.sum()))}"
    return [*lines, terms] if len(terms) <= WIDEST else lines


def _bracketed(number: float) -> str:
    return f"({ink(number)})" if number < 0 else ink(number)


def row_lines(
    rows: Sequence[tuple[str, Array, Array]], positions: Sequence[int | None], winner: int | None = None
) -> list[str]:
    """Return numbers in one dimension under their positions, wrapped at the width of a terminal.

    Args:
        rows: of each row its title, its numbers, and which of them are inside the input.
        positions: of the numbers, above them; None in the padding.
        winner: the number to put in brackets.

    >>> numbers = np.array([0.0, 4.0, 2.0])
    >>> print("\\n".join(row_lines([("window", numbers, numbers > 0)], [None, 7, 8], 1)))
    position     ·   7   8
    window       · [4]   2
    """
    written = []
    for _, numbers, inside in rows:
        (line,) = grid(numbers, inside, None if winner is None else (winner,))
        written.append(line.split())
    above = [PADDING if place is None else str(place) for place in positions]
    columns = list(zip(above, *written, strict=True))
    titles = ["position", *(title for title, _, _ in rows)]
    margin = max(map(display_width, titles)) + 2
    width = max(display_width(cell) for column in columns for cell in column) + 1
    fitting = max(1, (WIDEST - margin) // width)
    lines: list[str] = []
    for start in range(0, len(columns), fitting):
        part = columns[start : start + fitting]
        lines += [""] if start else []
        lines += [
            title + " " * (margin - display_width(title)) + "".join(column[row].rjust(width) for column in part)
            for row, title in enumerate(titles)
        ]
    return lines
