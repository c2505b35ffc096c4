"""A tensor's numbers as float64, converted where they are read: of a million of a map a cell needs a hundred."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from convscope.arrays import Array
from convscope.interpret.execution.torch_executor import as_array

_OF_NUMPY = (torch.float32, torch.float16)  # that NumPy has, and that are converted


class ReadAsFloat64(np.ndarray[Any, np.dtype[Any]]):
    """Floating-point numbers of fewer digits that are float64 once they are indexed."""

    def __getitem__(self, place: Any) -> Any:
        found = np.asarray(self)[place]
        return found.astype(np.float64)


def read_as_float64(tensor: torch.Tensor) -> Array:
    """Return a tensor in NumPy without a copy where it can be; indexed, floating-point numbers are float64.

    >>> numbers = read_as_float64(torch.tensor([[0.5, 0.25]]))
    >>> numbers.dtype, numbers[0].dtype, float(numbers[0, 1])
    (dtype('float32'), dtype('float64'), 0.25)
    """
    if tensor.dtype not in _OF_NUMPY:
        return as_array(tensor)
    return tensor.detach().resolve_neg().cpu().numpy().view(ReadAsFloat64)
