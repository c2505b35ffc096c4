"""Chapter 3: padding and stride. Output sizes, "same" padding, rows never read, and windows on each pixel."""

from __future__ import annotations

from collections.abc import Mapping

from convscope.exercises.draw import Draw, Drawn, ExerciseRule
from convscope.geometry.window import Window, same_padding

# Input, kernel, stride, padding of layers of real networks.
_REAL = (
    (28, 5, 1, 0), (32, 5, 1, 2), (32, 5, 1, 0), (64, 3, 1, 1), (64, 3, 2, 0), (128, 3, 2, 0), (224, 7, 2, 3),
    (227, 11, 4, 0), (224, 11, 4, 2), (7, 3, 2, 0), (55, 3, 2, 0), (37, 5, 2, 0), (128, 5, 2, 2), (39, 3, 1, 0),
    (299, 3, 2, 0), (224, 4, 4, 0),
)  # fmt: skip
NOT_ALLOWED = "not-allowed"


def _setting(draw: Draw) -> tuple[int, int, int, int]:
    if draw.half():
        return draw.one(_REAL)
    kernel = draw.one((1, 2, 3, 4, 5, 7, 11))
    return draw.whole(max(6, kernel), 256), kernel, draw.whole(1, 4), draw.whole(0, kernel // 2)


def _output_size(draw: Draw) -> Drawn:
    size, kernel, stride, padding = _setting(draw)
    window = Window.of(kernel, stride=stride, padding=padding)
    answer = window.output_size(size)
    room = window.padded_size(size) - kernel
    whole = room % stride == 0
    return Drawn(
        numbers={
            "H": size, "K": kernel, "S": stride, "P": padding, "padded": window.padded_size(size), "room": room,
            "moves": answer - 1, "formula": window.formula(size), "answer": answer,
        },
        answer=answer,
        wrong={
            "one-side": (size + padding - kernel) // stride + 1 if padding else None,
            "no-plus-one": room // stride,
            "rounded-up": -(-room // stride) + 1,
            "unrounded": None if whole else room / stride + 1,
            "order": size // stride + 2 * padding - kernel + 1,
            "unchanged": size,
            "no-stride": room + 1,
            "half-kernel": (room + kernel // 2) // stride + 1,
        },
    )  # fmt: skip


def _same(draw: Draw) -> Drawn:
    kernel, dilation = draw.one((3, 5, 7, 9, 11)), draw.one((1, 1, 2, 3, 4, 6, 8))
    answer = same_padding(kernel, dilation=dilation)[0]
    window = Window.of(kernel, dilation=dilation, padding="same")
    side = draw.one((28, 32, 56, 64, 112, 224))
    unpadded = Window.of(kernel, dilation=dilation)
    fits = unpadded.fits(side + 2 * kernel)
    return Drawn(
        numbers={
            "K": kernel, "d": dilation, "side": side, "span": window.span, "total": sum(window.padding),
            "formula": window.formula(side), "answer": answer,
            "kernel_size": unpadded.output_size(side + 2 * kernel) if fits else 0,
        },
        answer=answer,
        wrong={
            "total": sum(window.padding),
            "no-dilation": same_padding(kernel)[0] if dilation > 1 else None,
            "half-kernel": (dilation * kernel + 1) // 2,
            "kernel": kernel if fits else None,
            "span": window.span,
        },
    )  # fmt: skip


def _never_read(draw: Draw) -> Drawn:
    kernel, stride = draw.one((1, 2, 3, 5, 7)), draw.whole(2, 4)
    size, padding = draw.whole(7, 64), draw.whole(0, kernel // 2)
    if draw.half():
        size, kernel, stride, padding = draw.one([real for real in _REAL if real[2] > 1])
    if stride > kernel or kernel > size:
        return Drawn(numbers={}, answer=0, wrong={})  # rows between the windows would be missed as well
    window = Window.of(kernel, stride=stride, padding=padding)
    answer, left = len(window.never_read(size)), window.remainder(size)
    last = (window.output_size(size) - 1) * stride - padding + kernel
    return Drawn(
        numbers={
            "H": size, "K": kernel, "S": stride, "P": padding, "padded": window.padded_size(size), "left": left,
            "output": window.output_size(size), "last": min(last, size), "answer": answer,
        },
        answer=answer,
        wrong={
            "remainder": left if padding else None,
            "not-allowed": NOT_ALLOWED if left else None,
            "none": 0 if answer else None,
            "no-padding": (size - kernel) % stride if padding and size >= kernel else None,
            "divided": size % stride,
            "to-next": stride - left if left else None,
            "overlap": kernel - stride if kernel > stride else None,
        },
    )  # fmt: skip


def uses(size: int, window: Window, position: int) -> int:
    """Return in how many windows one position of an axis lies, counted one by one.

    >>> [uses(6, Window.of(3, padding=1), position) for position in (0, 2)]
    [2, 3]
    """
    starts = window.starts(size)
    return sum(start <= position < start + window.kernel_size for start in starts)


def _windows_on_a_pixel(draw: Draw) -> Drawn:
    kernel = draw.one((3, 5, 7))
    padding = kernel // 2 if draw.half() else draw.whole(0, kernel // 2)
    size = draw.whole(2 * kernel, 4 * kernel)
    window = Window.of(kernel, padding=padding)
    first, middle = uses(size, window, 0), uses(size, window, size // 2)
    unpadded = uses(size, Window.of(kernel), 0)
    answer = (first * first, first * middle, middle * middle)
    return Drawn(
        numbers={
            "H": size, "K": kernel, "P": padding, "first": first, "middle": middle, "corner": answer[0],
            "edge": answer[1], "centre": answer[2], "answer": answer,
        },
        answer=answer,
        wrong={
            "equal": (answer[2],) * 3,
            "unpadded": (unpadded**2, unpadded * middle, answer[2]) if padding else None,
            "full": (((kernel + 1) // 2) ** 2, (kernel + 1) // 2 * middle, answer[2]),
            "one-axis": (first, first, middle),
            "padding-only": (padding**2, padding * middle, answer[2]) if padding else None,
            "reversed": answer[::-1],
        },
    )  # fmt: skip


RULES: Mapping[str, ExerciseRule] = {
    "3a": ExerciseRule(kind="whole", draw=_output_size),
    "3b": ExerciseRule(kind="whole", draw=_same),
    "3c": ExerciseRule(kind="whole", draw=_never_read),
    "3d": ExerciseRule(kind="numbers", draw=_windows_on_a_pixel),
}
