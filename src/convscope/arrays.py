"""The types of NumPy arrays and shapes, each under one name."""

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
