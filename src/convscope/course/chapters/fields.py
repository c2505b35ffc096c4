"""Chapter 6: receptive fields."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from convscope.course.chapter import Chapter
from convscope.course.records.trained import trained_numbers
from convscope.exercises.stack import StackLayer, fields_of
from convscope.geometry.cost import convolution_cost

_STACK = ("3", "3", "p", "3", "3", "p", "3")
_FUNDUS = ("3", "3", "p", "3", "3", "p", "3", "3", "p", "3", "3")
_CHANNELS = 64
_FAR = 200  # pixels of a large object


def _fields(names: tuple[str, ...]) -> list[int]:
    return [field.size for field in fields_of(tuple(map(StackLayer.named, names)))]


def _numbers() -> Mapping[str, object]:
    stack, fundus = _fields(_STACK), _fields(_FUNDUS)
    far_layers = next(layers for layers in count(1) if _fields(("3",) * layers)[-1] >= _FAR)
    small, large = (
        convolution_cost(_CHANNELS, _CHANNELS, (side, side), (1, 1), bias=False).parameters for side in (3, 7)
    )
    deepest = trained_numbers()["fields"]["layers"][-1]
    return {
        "one": _fields(("3",))[-1], "two": _fields(("3", "3"))[-1], "three": _fields(("3",) * 3)[-1],
        "far": _FAR, "far_layers": far_layers, "channels": _CHANNELS, "weights_three": 3 * small, "weights_one": large,
        "fewer": f"{100 * (1 - 3 * small / large):.0f} %",
        "before_pool": stack[1], "after_pool": stack[2], "stack": ", ".join(map(str, stack)),
        "dilated": fields_of((StackLayer(3), StackLayer(5)))[-1].size,
        "fundus": ", ".join(str(fundus[place]) for place in (1, 4, 7, 10)),
        "theory": deepest["size"], "half": deepest["sizes"]["trained"]["half"],
        "most": deepest["sizes"]["trained"]["most"], "layer": deepest["layer"],
    }  # fmt: skip


CHAPTER = Chapter(
    number=6,
    widget="fields",
    exercises=(
        "6a", "6b", "6c", "6d", "design", "quiz-pool-growth", "quiz-effective-field", "quiz-wider-kernel",
    ),
    slips=(
        "slip-field-47", "slip-pooling-doubles", "slip-growth-of-fields", "slip-six-fields", "slip-fundus-field-2",
        "slip-fundus-field-3", "slip-fundus-field-4", "slip-modern-kernels", "slip-densenet-block-that-spans",
    ),
    numbers=_numbers,
    own="fields",
)  # fmt: skip
