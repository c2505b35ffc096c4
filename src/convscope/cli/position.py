"""Positions as the options of commands write them."""

from __future__ import annotations

import re

from convscope.errors import GeometryError


def position_of(text: str) -> tuple[int, ...]:
    """Return the position that `--at` names.

    Raises:
        GeometryError: it is not of whole numbers with commas.

    >>> position_of("3,4")
    (3, 4)
    """
    if not re.fullmatch(r"-?[0-9]{1,18}(,-?[0-9]{1,18})*", text):
        raise GeometryError(f"--at must be whole numbers with commas, such as 3,4; got {text!r}")
    return tuple(int(part) for part in text.split(","))
