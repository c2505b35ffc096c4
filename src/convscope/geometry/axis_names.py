"""The names of the spatial axes of a map: positions of a signal, rows and columns of an image, depth of a volume."""

from __future__ import annotations

_NAMES = {1: ("positions",), 2: ("rows", "columns"), 3: ("depth", "rows", "columns")}
_LETTERS = {1: ("X",), 2: ("Y", "X"), 3: ("D", "Y", "X")}


def axis_names(dimensions: int) -> tuple[str, ...]:
    """Return the names of the spatial axes of a map, in the order of its axes.

    >>> axis_names(1), axis_names(3)
    (('positions',), ('depth', 'rows', 'columns'))
    """
    return _NAMES.get(dimensions, ("positions",) * dimensions)


def axis_letters(dimensions: int) -> str:
    """Return how a position of a map is written on the command line.

    >>> axis_letters(2), axis_letters(3)
    ('Y,X', 'D,Y,X')
    """
    return ",".join(_LETTERS.get(dimensions, tuple(f"P{axis}" for axis in range(dimensions))))
