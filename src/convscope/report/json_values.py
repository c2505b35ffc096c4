"""Values as JSON's types. NaN and the infinities, which JSON lacks, become the texts "nan", "inf" and "-inf"."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any


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
