"""A window sliding along one axis: the arithmetic under every convolution and pooling.

A window of `kernel_size` taps, `dilation` apart, starts at `-padding_before` and moves by `stride`.
Output position `u` reads the input positions `u * stride - padding_before + t * dilation`, `0 <= t < kernel_size`.

Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016), sections 2 and 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from convscope.errors import GeometryError

Padding = int | tuple[int, int] | Literal["same", "valid"]


def _require_whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise GeometryError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise GeometryError(f"{name} must be at least {least}, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One axis of a convolution or pooling window; checked once, here.

    Args:
        kernel_size: taps of the window, at least 1.
        stride: positions the window moves by, at least 1.
        dilation: distance between neighbouring taps, at least 1.
        padding_before: cells added before the axis, at least 0.
        padding_after: cells added after the axis, at least 0.
        ceil_mode: also keep a last window that hangs over the end by less than a stride, if it starts inside the
            input or the padding before it (PyTorch's rule for pooling).

    Raises:
        GeometryError: a value is not a whole number or too small.

    The first layer of ResNet-50, on 224 pixels:

    >>> Window(kernel_size=7, stride=2, padding_before=3, padding_after=3).output_size(224)
    112
    """

    kernel_size: int
    stride: int = 1
    dilation: int = 1
    padding_before: int = 0
    padding_after: int = 0
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        _require_whole("kernel_size", self.kernel_size, 1)
        _require_whole("stride", self.stride, 1)
        _require_whole("dilation", self.dilation, 1)
        _require_whole("padding", self.padding_before, 0)
        _require_whole("padding", self.padding_after, 0)

    @classmethod
    def of(cls, kernel_size: int, *, stride: int = 1, padding: Padding = 0, dilation: int = 1) -> Window:
        """Return a window with its padding given as one number, a pair (before, after), "same" or "valid".

        "same" follows PyTorch: stride 1 only, and the odd cell goes to the end of the axis.

        >>> Window.of(5, padding="same").padding
        (2, 2)
        >>> Window.of(4, padding="same").padding
        (1, 2)
        """
        if padding == "valid":
            before = after = 0
        elif padding == "same":
            if stride != 1:
                raise GeometryError(f"padding 'same' needs stride 1, got stride {stride}: give the padding as a number")
            before, after = same_padding(kernel_size, dilation=dilation)
        elif isinstance(padding, str):
            raise GeometryError(f"padding must be a whole number, 'same' or 'valid', got {padding!r}")
        elif isinstance(padding, tuple):
            before, after = padding
        else:
            before = after = padding
        return cls(
            kernel_size=kernel_size, stride=stride, dilation=dilation, padding_before=before, padding_after=after
        )

    @property
    def padding(self) -> tuple[int, int]:
        """Cells added before and after the axis."""
        return self.padding_before, self.padding_after

    @property
    def span(self) -> int:
        """Positions from the first tap to the last, both included.

        >>> Window(kernel_size=3, dilation=4).span
        9
        """
        return self.dilation * (self.kernel_size - 1) + 1

    def padded_size(self, input_size: int) -> int:
        """Return the axis with its padding."""
        return input_size + self.padding_before + self.padding_after

    @property
    def overhang(self) -> int:
        """Positions that the last window may lack: one less than the stride in ceil mode, else none."""
        return self.stride - 1 if self.ceil_mode else 0

    def fits(self, input_size: int) -> bool:
        """Return whether the window has at least one place on the padded axis.

        >>> Window(kernel_size=3, stride=2).fits(2), Window(kernel_size=3, stride=2, ceil_mode=True).fits(2)
        (False, True)
        """
        return self.padded_size(input_size) + self.overhang >= self.span

    def output_size(self, input_size: int) -> int:
        """Return how many places the window has on an axis of `input_size` positions, rounded as `ceil_mode` says.

        Raises:
            GeometryError: the window is longer than the padded axis.

        The notes' own examples: (input, kernel, stride, padding) -> output.

        >>> [Window.of(f, stride=s, padding=p).output_size(n)
        ...  for n, f, s, p in [(32, 5, 1, 2), (5, 3, 1, 0), (5, 3, 2, 0), (7, 3, 2, 0), (64, 3, 2, 0), (128, 3, 2, 0)]]
        [32, 3, 2, 3, 31, 63]
        >>> Window(kernel_size=7, dilation=2).output_size(12)
        Traceback (most recent call last):
        ...
        convscope.errors.GeometryError: kernel 7 with dilation 2 does not fit: it spans 13, but the axis has 12: \
pad by 1 more on each side, or lower the dilation or the kernel
        """
        _require_whole("input_size", input_size, 1)
        if not self.fits(input_size):
            raise GeometryError(self._misfit(input_size))
        size = self._rounded(input_size)
        return size - 1 if self._drops_last(input_size, size) else size

    def remainder(self, input_size: int) -> int:
        """Return the padded positions left over after the last window: 0 when "the result is a whole number".

        >>> Window(kernel_size=3, stride=2).remainder(64)
        1
        """
        last_end = (self.output_size(input_size) - 1) * self.stride + self.span
        return max(0, self.padded_size(input_size) - last_end)

    def starts(self, input_size: int) -> list[int]:
        """Return the first tap of every window, in input positions; negative in the padding."""
        return [u * self.stride - self.padding_before for u in range(self.output_size(input_size))]

    def never_read(self, input_size: int) -> list[int]:
        """Return the input positions that no tap of any window reads.

        A stride of 2 under a kernel of 3 on an even axis leaves the last column out; so does every stride
        larger than the kernel, between the windows.

        >>> Window(kernel_size=3, stride=2).never_read(64)
        [63]
        >>> Window(kernel_size=1, stride=2).never_read(6)
        [1, 3, 5]
        """
        return list(_never_read(self, input_size))

    def formula(self, input_size: int) -> str:
        """Return the output size's formula with the numbers filled in.

        >>> Window.of(7, stride=2, padding=3).formula(224)
        '⌊(224 + 2·3 − 7) / 2⌋ + 1 = 112'
        >>> Window.of(3, dilation=2, padding=(1, 2)).formula(10)
        '⌊(10 + 1 + 2 − 5) / 1⌋ + 1 = 9'

        In ceil mode a last window that would start in the padding after the input is left out:

        >>> Window(kernel_size=2, stride=2, padding_before=1, padding_after=1, ceil_mode=True).formula(3)
        '⌈(3 + 2·1 − 2) / 2⌉ + 1 − 1 in the padding = 2'
        """
        before, after = self.padding
        if before == after == 0:
            padded = f"{input_size}"
        elif before == after:
            padded = f"{input_size} + 2·{before}"
        else:
            padded = f"{input_size} + {before} + {after}"
        left, right = ("⌈", "⌉") if self.ceil_mode else ("⌊", "⌋")
        output_size = self.output_size(input_size)
        dropped = " − 1 in the padding" if self._drops_last(input_size, self._rounded(input_size)) else ""
        return f"{left}({padded} − {self.span}) / {self.stride}{right} + 1{dropped} = {output_size}"

    def _rounded(self, input_size: int) -> int:
        return (self.padded_size(input_size) - self.span + self.overhang) // self.stride + 1

    def _drops_last(self, input_size: int, size: int) -> bool:
        """Return whether the last of `size` windows would start in the padding after the input, in ceil mode."""
        return self.ceil_mode and (size - 1) * self.stride >= input_size + self.padding_before

    def _misfit(self, input_size: int) -> str:
        pad = -(-(self.span - self.padded_size(input_size) - self.overhang) // 2)
        dilated = f" with dilation {self.dilation}" if self.dilation > 1 else ""
        axis = f"the axis has {input_size}"
        if self.padding_before or self.padding_after:
            axis = f"the padded axis has {self.padded_size(input_size)} ({input_size} and its padding)"
        if self.overhang:
            axis += f", and in ceil mode it may hang over by {self.overhang}"
        lower = "lower the dilation or the kernel" if self.dilation > 1 else "use a smaller kernel or a larger input"
        return (
            f"kernel {self.kernel_size}{dilated} does not fit: it spans {self.span}, but {axis}: "
            f"pad by {pad} more on each side, or {lower}"
        )


@lru_cache(maxsize=1024)
def _never_read(window: Window, input_size: int) -> tuple[int, ...]:
    read = bytearray(input_size)
    for start in window.starts(input_size):
        for tap in range(start, start + window.span, window.dilation):
            if 0 <= tap < input_size:
                read[tap] = 1
    return tuple(i for i in range(input_size) if not read[i])


def same_padding(kernel_size: int, *, dilation: int = 1) -> tuple[int, int]:
    """Return the padding (before, after) that keeps the size at stride 1; an odd total puts one more cell after.

    >>> same_padding(3), same_padding(4), same_padding(3, dilation=4)
    ((1, 1), (1, 2), (4, 4))
    """
    total = dilation * (kernel_size - 1)
    return total // 2, total - total // 2


def smallest_input(window: Window) -> int:
    """Return the shortest axis, in positions, on which the window has a place.

    >>> smallest_input(Window.of(7, stride=2, padding=3))
    1
    >>> smallest_input(Window(kernel_size=3, dilation=2))
    5
    >>> smallest_input(Window(kernel_size=3, stride=2, ceil_mode=True))
    2
    """
    return max(1, window.span - window.overhang - window.padding_before - window.padding_after)
