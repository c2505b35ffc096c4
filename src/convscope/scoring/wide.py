"""Double precision wherever a device has it."""

from __future__ import annotations

from torch import Tensor

# Apple's GPUs know no float64.
WITHOUT_FLOAT64 = ("mps",)


def to_float64(values: Tensor) -> Tensor:
    """The values in float64: where they are, or on the CPU where their device has no such numbers."""
    return (values.cpu() if values.device.type in WITHOUT_FLOAT64 else values).double()
