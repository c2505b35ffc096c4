"""Conversion to float64, also from devices without it."""

from __future__ import annotations

from torch import Tensor

# Apple's GPUs know no float64.
WITHOUT_FLOAT64 = ("mps",)


def to_float64(values: Tensor) -> Tensor:
    """Return the values in float64, on the CPU if their device has no float64."""
    return (values.cpu() if values.device.type in WITHOUT_FLOAT64 else values).double()
