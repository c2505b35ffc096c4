"""Chapter 3: padding and stride."""

from __future__ import annotations

from collections.abc import Mapping

from convscope.course.chapter import Chapter
from convscope.course.records.layers import REAL_LAYERS
from convscope.exercises.chapters.sizes import uses
from convscope.geometry.convolution import TransposedWindow
from convscope.geometry.window import Window


def _numbers() -> Mapping[str, object]:
    small, same = Window.of(3), Window.of(3, padding="same")
    strided = Window.of(3, stride=2)
    stem = REAL_LAYERS["resnet"]
    stem_window = Window.of(stem.kernel, stride=stem.stride, padding=stem.padding)
    corner, middle, bare = uses(7, same, 0), uses(7, same, 3), uses(7, small, 0)
    written = TransposedWindow(window=strided).output_size(5)
    return {
        "size": 7,
        "small": small.output_size(7),
        "repeated": small.output_size(small.output_size(small.output_size(7))),
        "halved": strided.output_size(9),
        "dense": small.output_size(9),
        "strided": strided.output_size(8),
        "strided_left": strided.remainder(8),
        "strided_row": strided.never_read(8)[0] + 1,
        "stem_formula": stem_window.formula(stem.side),
        "stem_left": stem_window.remainder(stem.side),
        "stem_unread": len(stem_window.never_read(stem.side)),
        "corner": corner * corner,
        "edge": corner * middle,
        "bare_corner": bare * bare,
        "bare_edge": bare * middle,
        "centre": middle * middle,
        "written": written,
        "dilated_span": Window.of(3, dilation=2).span,
        "dilated_padding": Window.of(3, dilation=2, padding="same").padding_before,
        "gaps": len(Window.of(1, stride=2).never_read(8)),
    }


CHAPTER = Chapter(
    number=3,
    widget="padding",
    exercises=("3a", "3b", "3c", "3d", "quiz-stride-padding", "quiz-odd-kernels"),
    numbers=_numbers,
    own="layers",
    slips=("slip-stride-parameters", "slip-size-with-exponent", "slip-corners-equal"),
)
