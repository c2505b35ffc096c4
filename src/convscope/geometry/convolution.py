"""Sizes of convolution and transposed convolution in one, two or three dimensions.

A layer has one `Window` per spatial axis; axes never mix, so a 3-D size is three 1-D sizes.

Source: Dumoulin and Visin (2016), sections 2 to 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convscope.errors import GeometryError
from convscope.geometry.window import Padding, Window


def windows(
    dimensions: int,
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
) -> tuple[Window, ...]:
    """Return one window per axis from settings given once or per axis, as PyTorch takes them.

    Raises:
        GeometryError: a sequence whose length is not `dimensions`.

    >>> [w.padding for w in windows(2, (1, 7), padding=(0, 3))]
    [(0, 0), (3, 3)]
    """
    paddings: Sequence[Padding]
    if isinstance(padding, str):
        paddings = [padding] * dimensions
    else:
        paddings = per_axis("padding", padding, dimensions)
    return tuple(
        Window.of(k, stride=s, padding=p, dilation=d)
        for k, s, p, d in zip(
            per_axis("kernel_size", kernel_size, dimensions),
            per_axis("stride", stride, dimensions),
            paddings,
            per_axis("dilation", dilation, dimensions),
            strict=True,
        )
    )


def per_axis(name: str, value: int | Sequence[int], dimensions: int) -> tuple[int, ...]:
    """Return a setting spread over the axes: 3 -> (3, 3); a sequence must already have one number per axis.

    >>> per_axis("stride", 2, 3)
    (2, 2, 2)
    """
    if isinstance(value, int):
        return (value,) * dimensions
    if len(value) == 1:
        return (int(value[0]),) * dimensions
    if len(value) != dimensions:
        raise GeometryError(
            f"{name} has {len(value)} numbers, but the layer has {dimensions} spatial axes: give 1 or {dimensions}"
        )
    return tuple(int(v) for v in value)


def output_sizes(input_sizes: Sequence[int], layer_windows: Sequence[Window]) -> tuple[int, ...]:
    """Return the output size per axis of a convolution or pooling; GeometryError names the axis that does not fit.

    >>> output_sizes((39, 39), windows(2, 3))
    (37, 37)
    >>> output_sizes((16, 112, 112), windows(3, 3, padding=1))
    (16, 112, 112)
    """
    if len(input_sizes) != len(layer_windows):
        raise GeometryError(
            f"{len(layer_windows)} windows for {len(input_sizes)} spatial axes: give one window per axis"
        )
    return tuple(window.output_size(size) for size, window in zip(input_sizes, layer_windows, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class TransposedWindow:
    """One axis of a transposed convolution: `window` is the convolution that it undoes in size.

    Output position `u` is written from every input position `i` with `u = i * stride - padding + t * dilation`.

    >>> TransposedWindow(window=Window(kernel_size=2, stride=2)).output_size(2)
    4
    >>> TransposedWindow(window=Window.of(3, stride=2, padding=1), output_padding=1).output_size(7)
    14
    """

    window: Window
    output_padding: int = 0

    def __post_init__(self) -> None:
        limit = max(self.window.stride, self.window.dilation)
        if not 0 <= self.output_padding < limit:
            raise GeometryError(
                f"output_padding must be at least 0 and less than the stride or the dilation ({limit}), "
                f"got {self.output_padding}"
            )

    def output_size(self, input_size: int) -> int:
        """Return the output size, `(input_size − 1) · stride − padding + span + output_padding`.

        Raises:
            GeometryError: the padding cuts the whole output away.
        """
        w = self.window
        size = (input_size - 1) * w.stride - w.padding_before - w.padding_after + w.span + self.output_padding
        if size < 1:
            raise GeometryError(
                f"padding {w.padding_before + w.padding_after} cuts away all of the transposed convolution's output on "
                f"an axis of {input_size}: pad by less or use a larger input"
            )
        return size

    def formula(self, input_size: int) -> str:
        """Return the output size's formula with the numbers filled in.

        >>> TransposedWindow(window=Window(kernel_size=2, stride=2)).formula(2)
        '(2 − 1)·2 + 2 = 4'
        """
        w = self.window
        padding = w.padding_before + w.padding_after
        terms = f"({input_size} − 1)·{w.stride}"
        if padding:
            terms += f" − {padding}"
        terms += f" + {w.span}"
        if self.output_padding:
            terms += f" + {self.output_padding}"
        return f"{terms} = {self.output_size(input_size)}"
