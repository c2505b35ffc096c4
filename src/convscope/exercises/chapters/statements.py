"""Statements of the lecture notes with other numbers: of each the right and the mistaken value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from convscope.claims.arithmetic import conv_parameters, conv_weights, places_of_a_crop, size, square
from convscope.claims.claim import ClaimValue
from convscope.claims.text import value_text
from convscope.exercises.chapters.convolution import VERTICAL, map_of, transposed
from convscope.exercises.chapters.fields import doubled, field, stack
from convscope.exercises.chapters.pooling import pooled
from convscope.exercises.chapters.sizes import uses
from convscope.exercises.draw import Draw
from convscope.exercises.stack import fields_of
from convscope.exercises.texts import filled, table, word
from convscope.geometry.cost import linear_cost
from convscope.geometry.pooling import pooling_windows
from convscope.geometry.window import Window
from convscope.report.document import sentence

StatedNumbers = Mapping[str, Any]
StatedValue = Callable[[StatedNumbers], ClaimValue]

_SPOT = ((-1, -1, -1), (-1, 8, -1), (-1, -1, -1))


@dataclass(frozen=True, slots=True)
class StatementRule:
    """How a statement is drawn.

    Args:
        chapter: of the course, after which it can be judged.
        draw: its numbers.
        right: its value.
        mistaken: the value that the mistake in the notes leads to.
    """

    chapter: int
    draw: Callable[[Draw], StatedNumbers]
    right: StatedValue
    mistaken: StatedValue


@dataclass(frozen=True, slots=True)
class DrawnStatement:
    """A statement with its numbers: what it is about, its right value, and the mistaken one, as texts."""

    id: str
    numbers: StatedNumbers
    right: str
    mistaken: str

    def text(self, key: str) -> str:
        """Return one of its texts in the table: "says", "why" or "mistake", filled in."""
        numbers = {**self.numbers, "right": self.right, "mistaken": self.mistaken}
        return filled(table()["statements"][self.id][key], numbers)

    def line(self, *, wrong: bool = False) -> str:
        """Return the statement: what it is about, and its right or mistaken value."""
        return f"{sentence(self.text('says'))[:-1]}: {self.mistaken if wrong else self.right}"


def statement(claim_id: str, draw: Draw) -> DrawnStatement:
    """Return the statement of a claim with numbers for which its right and mistaken values differ."""
    rule = STATEMENTS[claim_id]
    while True:
        numbers = rule.draw(draw)
        right, mistaken = rule.right(numbers), rule.mistaken(numbers)
        if right != mistaken:
            return DrawnStatement(claim_id, numbers, value_text(right), value_text(mistaken))


def _layer(draw: Draw) -> StatedNumbers:
    """Return channels, filters, kernel and side of a convolution."""
    return {
        "C": draw.one((3, 3, 4, 8, 12, 16, 32)), "K": draw.one((5, 6, 10, 16, 20, 24, 64)),
        "F": draw.one((3, 5, 5, 7)), "H": draw.one((28, 32, 48, 64, 96)),
    }  # fmt: skip


def _strided(draw: Draw) -> StatedNumbers:
    """Return a convolution with stride and padding, and a pooling of the same kernel."""
    kernel = draw.one((3, 5, 7))
    return {**_layer(draw), "F": kernel, "s": draw.one((2, 3)), "P": draw.whole(1, kernel // 2)}


def _pooling(draw: Draw) -> StatedNumbers:
    return {"F": draw.one((2, 3)), "s": draw.one((2, 3)), "n": draw.whole(5, 64), "C": 2 * draw.whole(4, 64)}


def _shift(draw: Draw) -> StatedNumbers:
    stride = draw.one((2, 2, 3, 4))
    return {"s": stride, "d": draw.whole(2, 3 * stride)}


def _crop(draw: Draw) -> StatedNumbers:
    crop = draw.one((28, 32, 64, 112, 160, 192, 224))
    return {"crop": crop, "image": crop + draw.whole(4, 40)}


def _stack(draw: Draw) -> StatedNumbers:
    return {"L": draw.whole(2, 6), "F": draw.one((3, 3, 5))}


def _blocks(blocks: int, draw: Draw) -> StatedNumbers:
    layers, kernel = draw.whole(1, 3), draw.one((3, 3, 5))
    block = [str(kernel)] * layers
    return {"L": layers, "F": kernel, "n": blocks, **_of_stack(([*block, "p"] * blocks)[:-1])}


def _pooled_stack(draw: Draw) -> StatedNumbers:
    names = [draw.one(("3", "3", "5"))] * draw.whole(1, 3)
    return _of_stack([*names, "p", *[draw.one(("3", "5"))] * draw.whole(1, 3), "p", draw.one(("3", "5"))])


def _of_stack(names: Sequence[str]) -> StatedNumbers:
    """Return the layers of a stack by their names, and what each adds to the field."""
    sizes = [1, *(one.size for one in fields_of(stack(names)))]
    return {"names": " ".join(names), "terms": " + ".join(str(after - one) for one, after in pairwise(sizes))}


def _moves(n: StatedNumbers) -> ClaimValue:
    return n["d"] // n["s"] if n["d"] % n["s"] == 0 else word("not-whole")


def _response(n: StatedNumbers) -> list[object]:
    """Return the strongest responses of the vertical kernel to an edge and to the edge turned by 90 degrees."""
    image = ((n["bright"],) * 3 + (n["dark"],) * 3,) * 6
    return [max(max(row) for row in map_of(one, VERTICAL)) for one in (image, transposed(image))]


def _edge(draw: Draw) -> StatedNumbers:
    dark = draw.whole(0, 5)
    return {"dark": dark, "bright": dark + draw.whole(2, 10)}


def _spots(n: StatedNumbers) -> list[object]:
    """Return the strongest pooled responses of a spot detector to one bright pixel and to 3x3 of them."""

    def response(reach: int) -> int:
        lit = [abs(at - 4) <= reach for at in range(9)]
        image = tuple(tuple(n["bright"] if row and column else 0 for column in lit) for row in lit)
        return int(max(map(max, pooled(map_of(image, _SPOT), 2, 2, average=False))))

    return [response(0), response(1)]


def _rows(draw: Draw) -> StatedNumbers:
    """Return the first rows of an image, as numbers and as text."""
    rows = tuple(tuple(draw.whole(0, 9) for _ in range(6)) for _ in range(3))
    return {"rows": rows, "image": "; ".join(" ".join(map(str, row)) for row in rows)}


def _first_output(n: StatedNumbers) -> int:
    from convscope.claims.arrays import first_output_changed

    return first_output_changed(n["t"], n["r"])


def _growth(n: StatedNumbers) -> int:
    return linear_cost(n["m"] ** 2, 1, bias=False).weights


_names: StatedValue = lambda n: field(n["names"].split())  # noqa: E731
_doubled: StatedValue = lambda n: doubled(n["names"].split())  # noqa: E731
_fundus = tuple(StatementRule(6, partial(_blocks, blocks), _names, _doubled) for blocks in (2, 3, 4))

# By the name of the claim. The numbers are F for the kernel, K for filters, C for input channels, H and n for sides.
STATEMENTS: Mapping[str, StatementRule] = {
    "equivariance-stride-2": StatementRule(5, _shift, _moves, lambda n: n["d"]),
    "fc-growth": StatementRule(1, lambda draw: {"m": draw.one((3, 5, 6, 7, 8, 10))}, _growth, lambda n: 2 ** n["m"]),
    "first-window-column": StatementRule(
        2, _rows,
        lambda n: [row[1] for row in n["rows"][:3]],
        lambda n: [n["rows"][0][1], n["rows"][0][0], n["rows"][2][1]],
    ),
    "stride-parameters": StatementRule(
        3, _strided,
        lambda n: conv_parameters(n["C"], n["K"], n["F"]),
        lambda n: conv_weights(n["C"], n["K"], n["F"]) // n["s"] ** 2 + n["K"],
    ),
    "flip-and-causality": StatementRule(
        2, lambda draw: {"t": draw.whole(5, 20), "r": draw.whole(1, 2)}, _first_output, lambda n: n["t"]
    ),
    "rotation": StatementRule(2, _edge, _response, lambda n: _response(n)[:1] * 2),
    "pool-height-formula": StatementRule(
        5, _pooling,
        lambda n: pooling_windows(1, n["F"], stride=n["s"])[0].output_size(n["n"]),
        lambda n: (n["n"] - n["F"] + 1) // n["s"],
    ),
    "filter-depth": StatementRule(
        1, _layer, lambda n: conv_weights(n["C"], 1, n["F"]), lambda n: conv_weights(n["K"], 1, n["F"])
    ),
    "conv-156": StatementRule(
        1, _layer, lambda n: conv_parameters(n["C"], n["K"], n["F"]), lambda n: conv_parameters(1, n["K"], n["F"])
    ),
    "dot-product-15": StatementRule(2, _layer, lambda n: conv_weights(n["C"], 1, n["F"]), lambda n: n["F"] * n["C"]),
    "size-with-exponent": StatementRule(
        3, _strided,
        lambda n: size(n["H"], n["F"], n["s"], n["P"]),
        lambda n: (n["H"] + 2 * n["P"] - n["F"]) ** 2 + 1,
    ),
    "weights-f-times-d": StatementRule(1, _layer, lambda n: conv_weights(n["C"], 1, n["F"]), lambda n: n["F"] * n["C"]),
    "weights-ffk-k": StatementRule(
        1, _layer, lambda n: conv_weights(n["C"], n["K"], n["F"]), lambda n: conv_weights(n["K"], n["K"], n["F"])
    ),
    "n-channels": StatementRule(4, _layer, lambda n: n["K"], lambda n: n["C"]),
    "depth-slice": StatementRule(
        4, _layer, lambda n: (size(n["H"], n["F"], 1, n["F"] // 2),) * 2, lambda n: (n["H"], n["H"], n["K"])
    ),
    "tensor-of-four-sizes": StatementRule(
        4, _layer, lambda n: len((n["K"], *square(n["H"], n["F"], 1, n["F"] // 2))), lambda n: 4
    ),
    "bias-a-number": StatementRule(
        1, _layer, lambda n: conv_parameters(n["C"], n["K"], n["F"]) - conv_weights(n["C"], n["K"], n["F"]), lambda n: 1
    ),
    "pool-hyperparameters": StatementRule(5, _pooling, lambda n: n["C"], lambda n: n["C"] // 2),
    "pool-summary-heading": StatementRule(5, _layer, lambda n: conv_parameters(n["C"], n["K"], n["F"]), lambda n: 0),
    "six-fields": StatementRule(6, _layer, lambda n: 1, lambda n: n["K"]),
    "growth-of-fields": StatementRule(
        6, _stack, lambda n: field([str(n["F"])] * n["L"]), lambda n: n["F"] ** n["L"]
    ),
    "field-47": StatementRule(6, _pooled_stack, _names, _doubled),
    "crops-of-256": StatementRule(
        8, _crop, lambda n: places_of_a_crop(n["crop"], n["image"]), lambda n: 2 * (n["image"] - n["crop"]) ** 2
    ),
    "crops-and-flips": StatementRule(
        8, _crop, lambda n: 2 * places_of_a_crop(n["crop"], n["image"]), lambda n: 4 * (n["image"] - n["crop"]) ** 2
    ),
    "fundus-field-2": _fundus[0],
    "fundus-field-3": _fundus[1],
    "fundus-field-4": _fundus[2],
    "corners-equal": StatementRule(
        3, _layer, lambda n: uses(n["H"], Window.of(n["F"], padding="same"), 0) ** 2, lambda n: n["F"] ** 2
    ),
    "pooling-doubles": StatementRule(
        6, _stack, lambda n: field([str(n["F"])] * n["L"] + ["p"]), lambda n: 2 * field([str(n["F"])] * n["L"])
    ),
    "invariance-baked-in": StatementRule(2, lambda draw: {"d": draw.whole(2, 12)}, lambda n: n["d"], lambda n: 0),
    "pooling-shift-1": StatementRule(5, _shift, _moves, lambda n: n["d"]),
    "scale-invariance": StatementRule(
        5, lambda draw: {"bright": draw.whole(2, 12)}, _spots, lambda n: _spots(n)[:1] * 2
    ),
}  # fmt: skip
