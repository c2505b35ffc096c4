"""Values as JSON's types. NaN and the infinities, which JSON lacks, become the texts "nan", "inf" and "-inf"."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

_NOT_FINITE = frozenset({"nan", "inf", "-inf"})


def json_dict(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values by key as JSON's types; see `in_json`."""
    return {name: in_json(value) for name, value in values.items()}


def in_json(value: Any) -> Any:
    """Return a value as JSON's types: arrays, tuples and NumPy's numbers as lists and numbers, NaN as "nan".

    >>> import numpy as np
    >>> in_json({"loss": (0.5, float("nan")), "counts": np.eye(2, dtype=int), "best": None})
    {'loss': [0.5, 'nan'], 'counts': [[1, 0], [0, 1]], 'best': None}
    """
    numpy = sys.modules.get("numpy")  # not imported before, there is nothing of it
    if numpy is not None and isinstance(value, numpy.generic | numpy.ndarray):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {name: in_json(inner) for name, inner in value.items()}
    return [in_json(inner) for inner in value] if isinstance(value, list | tuple) else value


def json_text(value: Any, *, indent: int = 1) -> str:
    """Return JSON's types as indented text in which a list of numbers is one line.

    A map of 32×32 is so 32 lines, not 1,024.

    >>> print(json_text({"shape": [2, 3], "rows": [[0.5, 1], ["nan", 2]], "notes": ["none"]}))
    {
     "shape": [2, 3],
     "rows": [
      [0.5, 1],
      ["nan", 2]
     ],
     "notes": [
      "none"
     ]
    }
    """
    return "".join(_pieces(value, "\n", " " * indent))


def _pieces(value: Any, margin: str, step: str) -> Iterator[str]:
    """Yield the text of a value in pieces; `margin` is the line break before what is as deep as the value."""
    if not isinstance(value, dict | list) or not value or _is_row(value):
        yield json.dumps(value, allow_nan=False)
        return
    inner = margin + step
    before = ("{" if isinstance(value, dict) else "[") + inner
    for key, item in value.items() if isinstance(value, dict) else ((None, item) for item in value):
        yield before
        yield "" if key is None else f"{json.dumps(key)}: "
        yield from _pieces(item, inner, step)
        before = "," + inner
    yield margin + ("}" if isinstance(value, dict) else "]")


def _is_row(value: Any) -> bool:
    """Return whether a value is a list of numbers, as texts where they are not finite."""
    return isinstance(value, list) and all(
        item in _NOT_FINITE if isinstance(item, str) else item is None or isinstance(item, int | float)
        for item in value
    )
