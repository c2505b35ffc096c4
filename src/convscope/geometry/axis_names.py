"""The names of the spatial axes of a map: positions of a signal, rows and columns of an image, depth of a volume."""

from __future__ import annotations

_NAMES = {1: ("positions",), 2: ("rows", "columns"), 3: ("depth", "rows", "columns")}
_LETTERS = {"positions": "X", "columns": "X", "rows": "Y", "depth": "D", "frames": "T"}


def axis_names(dimensions: int) -> tuple[str, ...]:
    """Return the names of the spatial axes of a map, in the order of its axes.

    >>> axis_names(1), axis_names(3)
    (('positions',), ('depth', 'rows', 'columns'))
    """
    return _NAMES.get(dimensions, ("positions",) * dimensions)


def axis_letter(name: str, number: int) -> str:
    """Return how a place along an axis is written on the command line; `number` is which axis of positions it is.

    >>> axis_letter("rows", 0), axis_letter("axis 3:", 1)
    ('Y', 'P1')
    """
    return _LETTERS.get(name, f"P{number}")


def padded_position(at: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Return a position with 0 for leading axes of size 1 that it leaves out.

    torch pools a signal (N, C, X) as a map (N, C, 1, X).

    >>> padded_position((40,), (1, 2000)), padded_position((40,), (20, 2000))
    ((0, 40), (40,))
    """
    left_out = len(sizes) - len(at)
    return (0,) * left_out + at if at and left_out > 0 and set(sizes[:left_out]) == {1} else at
