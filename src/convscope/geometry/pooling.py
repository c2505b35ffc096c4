"""Sizes of pooling: windows that have no weights, and adaptive windows that are cut to a wanted size.

Source: PyTorch's `ceil_mode` and `adaptive_avg_pool2d` rules; Dumoulin and Visin (2016), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

from convscope.errors import GeometryError
from convscope.geometry.convolution import per_axis
from convscope.geometry.window import Window


def pooling_windows(
    dimensions: int,
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> tuple[Window, ...]:
    """Return one window per axis; the stride is the kernel's size unless given (windows side by side).

    Raises:
        GeometryError: padding of more than half the kernel, as in PyTorch.

    >>> [w.output_size(224) for w in pooling_windows(2, 2)]
    [112, 112]
    >>> [w.output_size(55) for w in pooling_windows(2, 3, stride=2)]
    [27, 27]
    """
    kernels = per_axis("kernel_size", kernel_size, dimensions)
    strides = kernels if stride is None else per_axis("stride", stride, dimensions)
    paddings = per_axis("padding", padding, dimensions)
    for kernel, pad in zip(kernels, paddings, strict=True):
        if pad > kernel // 2:
            raise GeometryError(
                f"padding {pad} is more than half the pooling kernel {kernel}: some windows would hold padding alone"
            )
    return tuple(
        Window(kernel_size=k, stride=s, dilation=d, padding_before=p, padding_after=p, ceil_mode=ceil_mode)
        for k, s, p, d in zip(kernels, strides, paddings, per_axis("dilation", dilation, dimensions), strict=True)
    )


def adaptive_ranges(input_size: int, output_size: int) -> list[tuple[int, int]]:
    """Return the first and one-past-last input position of each adaptive window: `[⌊uL/M⌋, ⌈(u+1)L/M⌉)`.

    Windows differ in length and overlap where the sizes do not divide: 32 to 3 gives 11, 12 and 11.

    >>> adaptive_ranges(32, 3)
    [(0, 11), (10, 22), (21, 32)]
    """
    if output_size < 0 or (input_size < 1 and output_size):
        raise GeometryError(f"adaptive pooling reads at least 1 position, got {input_size} to {output_size}")
    return [(u * input_size // output_size, -((u + 1) * input_size // -output_size)) for u in range(output_size)]
