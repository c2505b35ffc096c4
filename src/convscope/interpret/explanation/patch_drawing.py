"""A patch of numbers as drawings: matrices in two dimensions, rows in one, a drawing for each slice in three."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from convscope.arrays import Array
from convscope.interpret.explanation.matrix import column_of_matrices, largest_of, matrix, row_of_matrices
from convscope.interpret.explanation.patch_text import positions_along, shown_slices
from convscope.interpret.explanation.worked import Coordinates, Operands
from convscope.report.svg import Drawing

ACROSS = 12  # numbers of a signal in a row
LARGEST_GRID = 16  # rows or columns above which a window is not drawn cell by cell


def drawn_products(operands: Operands, index: int, name: str, adds: str) -> Iterator[Drawing]:
    """Give the drawings of patch × kernel = products of one channel: one, or one for each slice of a volume."""
    assert operands.weights is not None
    inside = np.broadcast_to(operands.inside, operands.numbers.shape)[index]
    patch, kernel, products = operands.numbers[index], operands.weights[index], operands.contributions[index]
    description = f"Patch times kernel of {name}; the products {adds.replace('adds', 'add')}."
    if patch.ndim == 1:
        rows = [(f"patch, {name}", patch, inside), ("× kernel", kernel, None), ("= products", products, inside)]
        yield _rows(rows, positions_along(operands, index, axis=0), None, adds, description)
        return
    if patch.ndim == 2:
        yield _side_by_side(f"patch, {name}", patch, kernel, products, inside, adds, description)
        return
    for depth, place in shown_slices(operands, index):
        added = f"adds {products[depth].sum():+.4g}".replace("-", "−")
        title = f"patch, {name}, {place}"
        yield _side_by_side(title, patch[depth], kernel[depth], products[depth], inside[depth], added, description)


def drawn_window(operands: Operands, winner: Coordinates | None, title: str, description: str) -> Iterator[Drawing]:
    """Give the drawings of a window over one channel, its winner framed: one, or one for each slice of a volume."""
    inside = np.broadcast_to(operands.inside, operands.numbers.shape)
    shown = np.where(inside, operands.numbers, 0.0)
    if operands.numbers.ndim == 2 and len(operands.numbers) == 1:
        marked = None if winner is None else winner[-1]
        yield _rows([(title, shown[0], inside[0])], positions_along(operands, 0, axis=0), marked, "", description)
        return
    if operands.numbers.ndim < 4:
        plane = shown[0] if operands.numbers.ndim == 3 else np.atleast_2d(shown)
        marked_cell = None if winner is None else (winner[-2] if plane.shape[0] > 1 else 0, winner[-1])
        drawn = matrix(plane, title=title, inside=inside.reshape(plane.shape), marked=marked_cell)
        yield row_of_matrices([drawn], (), title="The window", description=description)
        return
    largest = largest_of(shown) or None
    for depth, place in shown_slices(operands, 0):
        here = (winner[-2], winner[-1]) if winner is not None and winner[-3] == depth else None
        drawn = matrix(
            shown[0, depth], title=f"{title}, {place}", inside=inside[0, depth], marked=here, largest=largest
        )
        yield row_of_matrices([drawn], (), title=f"The window, {place}", description=description)


def _side_by_side(
    title: str, patch: Array, kernel: Array, products: Array, inside: Array, adds: str, description: str
) -> Drawing:
    parts = [
        matrix(patch, title=title, inside=inside),
        matrix(kernel, title="kernel"),
        matrix(products, title="products", inside=inside),
    ]
    return row_of_matrices(parts, ("×", "="), after=adds, title=title.capitalize(), description=description)


def _rows(
    rows: Sequence[tuple[str, Array, Array | None]],
    positions: Sequence[int | None],
    marked: int | None,
    after: str,
    description: str,
) -> Drawing:
    """Rows of numbers one under the other, in pieces of `ACROSS` columns that say their positions."""
    parts = []
    for start in range(0, len(positions), ACROSS):
        stop = min(start + ACROSS, len(positions))
        read = [place for place in positions[start:stop] if place is not None]
        where = f"positions {read[0]} to {read[-1]}" if read else "in the padding"
        for number, (title, values, inside) in enumerate(rows):
            here = None if marked is None or not start <= marked < stop else (0, marked - start)
            parts.append(matrix(
                values[None, start:stop], title=f"{title}, {where}" if number == 0 else title,
                inside=None if inside is None else inside[None, start:stop], marked=here,
                largest=largest_of(values) or None, wide=True,
            ))  # fmt: skip
    return column_of_matrices(parts, title=rows[0][0].capitalize(), description=description, after=after)
