"""A cell worked out, as blocks of a document: patch × kernel = products, a window, a row, and the steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from convscope.arrays import Array
from convscope.graph.axes import ValueAxes
from convscope.interpret.explanation.patch_drawing import (
    largest_of,
    matrix,
    products_drawing,
    row_of_matrices,
    rows_drawing,
)
from convscope.interpret.explanation.patch_text import grid, ink, row_lines, signed, worked_example
from convscope.interpret.explanation.worked import Coordinates, Operands, Worked, WorkedLine
from convscope.report.document import Block, Code, Figure, Paragraph
from convscope.report.svg import Drawing
from convscope.report.table import Cell, Column, Table
from convscope.report.units import plural

LISTED = 8  # channels and contributors in a table
GRIDS = 3  # channels whose patch and kernel are shown in full
LARGEST_WINDOW = 144  # numbers up to which a window is written out
LARGEST_GRID = 16  # rows or columns up to which it is drawn cell by cell
SLICES = 8  # of a window in three dimensions, that are shown


PlaceOf = Callable[[int, Coordinates], str]


def worked_blocks(worked: Worked, label_of: Callable[[Operands], str], place_of: PlaceOf) -> list[Block]:
    """Return how a cell was made of its operands.

    Args:
        worked: the cell.
        label_of: names the layer that operands come from.
        place_of: says where a position of one of the graph's values is.
    """
    if worked.kind == "given":
        return [Paragraph("How this operation makes its numbers is not worked out here: the number is torch's own.")]
    if not worked.operands:
        return [Paragraph("It lies in the padding: no number of the input went into it.")]
    operands = worked.operands[0]
    source = label_of(operands)
    if worked.kind == "products":
        return _products(worked, source) if operands.numbers.ndim > 1 else _row(worked, source, place_of)
    if worked.kind in ("choice", "mean", "sum"):
        return _window(worked, source)
    if worked.kind == "softmax":
        return _scores(operands, source, place_of)
    letters = "ab" if len(worked.operands) > 1 else "x"
    rows: list[list[Cell]] = []
    for letter, one in zip(letters * 9, worked.operands, strict=False):
        where = place_of(one.value, one.position(())) if one.positions else "a constant"
        rows.append([letter, _number(float(one.numbers)), label_of(one), where, one.role if " " in one.role else ""])
    columns = [Column(""), Column("number", numeric=True), Column("from"), Column("where"), Column("")]
    return [Table.of(columns, rows)]


def steps_table(worked: Worked, torch_value: float, following: Sequence[WorkedLine]) -> Table:
    """Return the steps to the number, torch's own, and what becomes of it in the activations right after."""
    steps = [(line.text.replace(" -", " −"), line.number) for line in worked.lines]
    steps.append(("torch has", torch_value))
    steps += [(f"then {line.text}", line.number) for line in following]
    rows = [(text, (f"{number:.7g}".replace("-", "−"), number)) for text, number in steps]
    return Table.of([Column("step"), Column("gives", numeric=True)], rows)


def place(position: Coordinates, axes: ValueAxes) -> str:
    """Return a position in words, the batch left out.

    >>> from convscope.graph.axes import plain_axes
    >>> place((0, 3, 10, 20), plain_axes(4)), place((0, 7), plain_axes(2)), place((), plain_axes(0))
    ('channel 3 at (10, 20)', 'unit 7', 'the one number')
    """
    if not position:
        return "the one number"
    channel, at = axes.channel(position), ", ".join(map(str, axes.cell(position)))
    if not at:
        return f"unit {position[0] if channel is None else channel}"
    return f"position ({at})" if channel is None else f"channel {channel} at ({at})"


def _number(number: float) -> Cell:
    return ink(number), number


def _added(number: float) -> Cell:
    return signed(number), number


def _products(worked: Worked, source: str) -> list[Block]:
    operands = worked.operands[0]
    channels = worked.by_channel()
    index_of = {channel: index for index, channel in enumerate(operands.channels)}
    many = len(channels) > 1
    blocks: list[Block] = [Paragraph(
        f"The patch of {source}, {plural(len(channels), 'channel')} deep, times the kernel, number by number"
        + (f"; the {min(GRIDS, len(channels))} channels that add the most are shown." if many else ".")
    )]  # fmt: skip
    for channel, added in channels[:GRIDS]:
        blocks += _products_figures(operands, index_of[channel], f"channel {channel}", f"adds {signed(added)}")
        blocks += _left_out(len(operands.numbers[0])) if operands.numbers.ndim == 4 else []
    if many:
        rows: list[list[Cell]] = [[f"channel {channel}", _added(added)] for channel, added in channels[:LISTED]]
        others = channels[LISTED:]
        if others:
            total = sum(added for _, added in others)
            rows.append([f"the other {plural(len(others), 'channel')}", _added(total)])
        blocks.append(Table.of([Column("input"), Column("adds", numeric=True)], rows))
    return blocks


def _products_figures(operands: Operands, index: int, name: str, adds: str) -> Iterator[Figure]:
    """Give patch × kernel = products of one channel: one figure, or one for each slice of a volume."""
    assert operands.weights is not None
    inside = np.broadcast_to(operands.inside, operands.numbers.shape)[index]
    patch, kernel, products = operands.numbers[index], operands.weights[index], operands.contributions[index]
    description = f"Patch times kernel of {name}; the products {adds.replace('adds', 'add')}."
    if patch.ndim == 1:
        positions = positions_along(operands, index)
        drawn = [(f"patch, {name}", patch, inside), ("× kernel", kernel, None), ("= products", products, inside)]
        written = [("patch", patch, inside), ("× kernel", kernel, np.ones(kernel.shape, bool)),
                   ("= products", products, inside)]  # fmt: skip
        text = "\n".join([f"{name} {adds}", *row_lines(written, positions)])
        yield Figure(rows_drawing(drawn, positions, None, adds, description), text=text)
        return
    if patch.ndim == 2:
        text = "\n".join([f"{name} {adds}", *worked_example(patch, kernel, products, inside)])
        drawing = products_drawing(f"patch, {name}", patch, kernel, products, inside, adds, description)
        yield Figure(drawing, text=text)
        return
    for depth, where in _slices(operands, index):
        parts = patch[depth], kernel[depth], products[depth], inside[depth]
        added = f"adds {signed(float(products[depth].sum()))}"
        text = "\n".join([f"{name}, {where}, {added}", *worked_example(*parts)])
        yield Figure(products_drawing(f"patch, {name}, {where}", *parts, added, description), text=text)


def _row(worked: Worked, source: str, place_of: PlaceOf) -> list[Block]:
    operands = worked.operands[0]
    assert operands.weights is not None
    found = worked.largest(LISTED)
    rows: list[list[Cell]] = [
        [place_of(one.value, one.position(index)), _number(float(one.numbers[index])),
         _number(float(operands.weights[index])), _added(added)]
        for one, index, added in found
    ]  # fmt: skip
    if operands.numbers.size > len(found):
        rest = float(operands.contributions.sum()) - sum(added for _, _, added in found)
        rows.append([f"the other {operands.numbers.size - len(found):,}", ("", None), ("", None), _added(rest)])
    columns = [Column("from"), *(Column(name, numeric=True) for name in ("number", "weight", "product"))]
    count = plural(operands.numbers.size, "number")
    return [Paragraph(f"{count} of {source}, each times its weight; the largest products first."),
            Table.of(columns, rows)]  # fmt: skip


def _window(worked: Worked, source: str) -> list[Block]:
    operands, winner = worked.operands[0], worked.winner
    numbers = operands.numbers
    if not numbers.size:
        return [Paragraph(f"No number of {source} goes into it.")]
    inside = np.broadcast_to(operands.inside, numbers.shape)
    read = numbers[inside] if inside.any() else numbers  # in the padding of a maximum there is minus infinity
    span = f"{read.size:,} numbers of {source}, from {ink(float(read.min()))} to {ink(float(read.max()))}."
    one_channel = numbers.ndim < 3 or len(numbers) == 1
    if numbers.size > LARGEST_WINDOW and (max(numbers.shape[-2:]) > LARGEST_GRID or not one_channel):
        return [Paragraph(span)]
    what = "all numbers count alike" if winner is None else f"the {worked.chosen} is marked"
    title = f"window of {source}"
    small = numbers.size <= LARGEST_WINDOW
    if numbers.ndim == 2 and len(numbers) == 1:
        won = None if winner is None else winner[-1]
        positions = positions_along(operands, 0)
        text = "\n".join(row_lines([("window", numbers[0], inside[0])], positions, won))
        shown = np.where(inside[0], numbers[0], 0.0)
        figures = [Figure(rows_drawing([(title, shown, inside[0])], positions, won, "", what), text=text)]
    elif numbers.ndim == 4 and one_channel:
        figures = list(_volume_figures(operands, inside, winner, title, what))
    else:
        plane = numbers[0] if numbers.ndim > 1 and len(numbers) == 1 else numbers
        mask = inside.reshape(plane.shape)
        text = "\n".join(grid(plane, mask, winner[-plane.ndim :] if winner is not None else None)) if small else span
        if not one_channel or plane.ndim > 2 or max(numbers.shape[-2:]) > LARGEST_GRID:
            return [Paragraph(span), Code(text)]
        figures = [Figure(_plane_drawing(plane, mask, winner, title, what), text=text)]
    left_out = _left_out(numbers.shape[1]) if numbers.ndim == 4 else []
    return [Paragraph(f"From {source}; {what}."), *figures, *left_out]


def _plane_drawing(plane: Array, inside: Array, winner: Coordinates | None, title: str, description: str) -> Drawing:
    flat, mask = np.atleast_2d(np.where(inside, plane, 0.0)), np.atleast_2d(inside)
    marked = None if winner is None else (winner[-2] if len(flat) > 1 else 0, winner[-1])
    drawn = matrix(flat, title=title, inside=mask, marked=marked)
    return row_of_matrices([drawn], (), title="The window", description=description)


def _volume_figures(
    operands: Operands, inside: Array, winner: Coordinates | None, title: str, what: str
) -> Iterator[Figure]:
    shown = np.where(inside, operands.numbers, 0.0)
    largest = largest_of(shown) or None
    for depth, where in _slices(operands, 0):
        here = (winner[-2], winner[-1]) if winner is not None and winner[-3] == depth else None
        drawn = matrix(shown[0, depth], title=f"{title}, {where}", inside=inside[0, depth], marked=here,
                       largest=largest)  # fmt: skip
        lines = grid(operands.numbers[0, depth], inside[0, depth], here, like=operands.numbers[inside])
        drawing = row_of_matrices([drawn], (), title=f"The window, {where}", description=what)
        yield Figure(drawing, text="\n".join([where, *lines]))


def _scores(operands: Operands, source: str, place_of: PlaceOf) -> list[Block]:
    largest = np.argsort(-operands.numbers, kind="stable")[:LISTED]
    places = [place_of(operands.value, operands.position((int(i),))) for i in largest]
    rows = [[where, _number(float(operands.numbers[i]))] for where, i in zip(places, largest, strict=True)]
    return [
        Paragraph(f"One of {plural(operands.numbers.size, 'score')} of {source}; the largest first."),
        Table.of([Column("from"), Column("score", numeric=True)], rows),
    ]


def positions_along(operands: Operands, index: int) -> list[int | None]:
    """Return where the numbers of one channel are along its window's first axis; None where all there is padding."""
    dimensions = operands.numbers.ndim - 1
    shape = operands.numbers.shape
    places = np.broadcast_to(operands.positions[-dimensions], shape)[index]
    inside = np.broadcast_to(operands.inside, shape)[index]
    return [int(at[ok][0]) if ok.any() else None for at, ok in zip(places, inside, strict=True)]


def _slices(operands: Operands, index: int) -> Iterator[tuple[int, str]]:
    """Give the slices of a window in three dimensions that are shown, each with its name: its depth in the input."""
    for slice_, at in enumerate(positions_along(operands, index)[:SLICES]):
        yield slice_, "depth: padding" if at is None else f"depth {at}"


def _left_out(slices: int) -> list[Block]:
    return [Paragraph(f"and {plural(slices - SLICES, 'more slice')}")] if slices > SLICES else []
