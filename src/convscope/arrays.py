"""The types of NumPy arrays and shapes, each under one name; the type that arithmetic on an array gives."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

# Of any element type, where an operation takes several.
Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Booleans: TypeAlias = npt.NDArray[np.bool_]
# Red, green and blue along the last axis, 0 to 255.
Rgb: TypeAlias = npt.NDArray[np.uint8]
Shape: TypeAlias = tuple[int, ...]


def floating_dtype(x: Array) -> np.dtype[Any]:
    """Return the element type of means of an array: its own, or float64 where it holds whole numbers.

    >>> floating_dtype(np.zeros(3, np.float32)), floating_dtype(np.zeros(3, np.uint8))
    (dtype('float32'), dtype('float64'))
    """
    return x.dtype if np.issubdtype(x.dtype, np.inexact) else np.dtype(np.float64)
