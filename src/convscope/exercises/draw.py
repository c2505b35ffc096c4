"""Numbers drawn from a seed, the same on every machine and in every Python, and what an exercise makes of them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar, cast

from convscope.report.short_repr import ShortRepr

Offered = TypeVar("Offered")

AnswerKind = Literal["whole", "float", "numbers", "shape", "matrix", "choice", "layers"]
NumberRows: TypeAlias = tuple[tuple[float, ...], ...]
# A number, numbers in order, rows of numbers, or a word: the name of an option, or of an answer in words.
AnswerValue: TypeAlias = int | float | str | tuple[int, ...] | tuple[str, ...] | NumberRows

LEAST_APART = 3  # misconceptions of every draw that differ from the answer and from each other
EXACT = 1e-9  # relative, for numbers of the kinds "numbers" and "matrix"


class Draw:
    """Draws from a seed by `random.Random.random` alone: its sequence is the same in every version of Python.

    >>> Draw("3a", 42).whole(1, 6) == Draw("3a", 42).whole(1, 6)
    True
    """

    def __init__(self, name: str, seed: int, attempt: int = 0) -> None:
        digest = hashlib.sha256(f"{name}/{seed}/{attempt}".encode()).digest()
        self._random = random.Random(int.from_bytes(digest, "big"))

    def whole(self, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`, both included."""
        return low + int(self._random.random() * (high - low + 1))

    def one(self, items: Sequence[Offered]) -> Offered:
        """Return one of the items."""
        return items[self.whole(0, len(items) - 1)]

    def shuffled(self, items: Sequence[Offered]) -> list[Offered]:
        """Return the items in another order (Fisher and Yates).

        >>> sorted(Draw("a", 1).shuffled([3, 1, 2]))
        [1, 2, 3]
        """
        left = list(items)
        return [left.pop(self.whole(0, len(left) - 1)) for _ in items]

    def some(self, items: Sequence[Offered], count: int) -> list[Offered]:
        """Return `count` different items."""
        return self.shuffled(items)[:count]

    def half(self) -> bool:
        """Return True in half of all draws."""
        return self._random.random() < 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Drawn(ShortRepr):
    """One exercise with its numbers.

    Args:
        numbers: what the texts are filled with; rows that a step repeats stand here as a sequence of mappings.
        answer: the right answer; of a choice, the name of the option.
        wrong: of each misconception, by its name, the answer that it leads to; None where these numbers can't show it.
        options: names of the options of a choice, in the order shown.
        texts: other texts of the table in the place of some: key for key, such as "steps" -> "steps-exact".
        written: texts in the place of some of the table, by the key there, such as "options.a".
    """

    numbers: Mapping[str, object]
    answer: AnswerValue
    wrong: Mapping[str, AnswerValue | None]
    options: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, str] = field(default_factory=dict)

    def headline(self) -> str:
        """Return how many numbers and misconceptions there are."""
        return f"{len(self.numbers)} numbers, {len(self.wrong)} misconceptions"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ExerciseRule(ShortRepr):
    """How an exercise is drawn and judged.

    Args:
        kind: of the answer.
        draw: makes the exercise from draws.
        within: how far a number may be from the answer, relative.
        judge: of an answer that several things can be, the misconception in it by name, or None where it is right;
            given the answer and the numbers.
    """

    kind: AnswerKind
    draw: Callable[[Draw], Drawn]
    within: float = EXACT
    judge: Callable[[tuple[str, ...], Mapping[str, object]], tuple[str, Mapping[str, object]] | None] | None = None

    def headline(self) -> str:
        """Return the kind of the answer."""
        return self.kind


def agree(one: AnswerValue, other: AnswerValue, *, within: float = EXACT) -> bool:
    """Return whether two answers are the same, numbers to a relative difference.

    >>> agree((32, 64, 64), (32, 64, 64)), agree(0.0066, 0.00665, within=0.02), agree(((8, 7),), ((8, 7.5),))
    (True, True, False)
    """
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    if isinstance(one, tuple) and isinstance(other, tuple):
        if len(one) != len(other):
            return False
        pairs = cast("zip[tuple[AnswerValue, AnswerValue]]", zip(one, other, strict=True))
        return all(agree(a, b, within=within) for a, b in pairs)
    if isinstance(one, tuple) or isinstance(other, tuple):
        return False
    return abs(one - other) <= within * max(abs(one), abs(other))


def apart(drawn: Drawn, *, within: float = EXACT) -> dict[str, AnswerValue]:
    """Return the misconceptions whose answers differ from the right one and from those before them, by name.

    Numbers differ here where they are further apart than twice what marking allows.
    """
    found: dict[str, AnswerValue] = {}
    for name, value in drawn.wrong.items():
        if value is None or agree(value, drawn.answer, within=2 * within):
            continue
        if not any(agree(value, other, within=2 * within) for other in found.values()):
            found[name] = value
    return found


def discriminating(name: str, seed: int, rule: ExerciseRule) -> tuple[Drawn, dict[str, AnswerValue]]:
    """Return the first draw of a seed with at least three misconceptions apart, and those misconceptions.

    Raises:
        AssertionError: none of 500 draws is such (a mistake in the exercise, never the user's).
    """
    for attempt in range(500):
        drawn = rule.draw(Draw(name, seed, attempt))
        told = apart(drawn, within=rule.within)
        if len(told) >= LEAST_APART:
            return drawn, told
    raise AssertionError(f"no draw of {name} from seed {seed} tells three misconceptions apart")
