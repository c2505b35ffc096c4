"""An exercise as the page marks it: the question, and everything that marking needs."""

from __future__ import annotations

from typing import Any

from convscope.exercises.draw import AnswerValue
from convscope.exercises.exercise import exercise
from convscope.exercises.marking import ROUNDED
from convscope.exercises.record import Exercise, digits_of, in_lists
from convscope.exercises.texts import filled


def exercise_record(name: str, seed: int) -> dict[str, Any]:
    """Return an exercise as JSON's types.

    Keys:
        all of `Exercise.to_dict`: the question, the answer, the formula, the steps, the misconceptions.
        within: how far a number may be from the answer, relative.
        rounded: how far a fraction may be from what a misconception leads to, relative.
        words: answers in words: the spellings of each, by its name.
        lengths: how many numbers an answer may have, the right length first.
        sizes: rows and columns that a matrix may have, the right ones first.
        digits: how many digits the whole numbers that may be meant have.
        wrong: every answer that a known mistake leads to, in the order in which marking compares them.
        sentences: of a design, what is said of each mistake, with {names} left to fill in.
        limits: of a design, the numbers that it has to keep to.

    Raises:
        ArgumentError: there is no exercise of this name, or the seed is too large.

    >>> record = exercise_record("3a", 42)
    >>> record["answer"], record["wrong"][0]["name"]
    (55, 'no-plus-one')
    """
    asked = exercise(name, seed=seed)
    values = [asked.answer, *(known.value for known in asked.misconceptions)]
    tuples = [value for value in values if isinstance(value, tuple)]
    sizes = [(len(value), len(value[0])) for value in tuples if isinstance(value[0], tuple)]
    design = asked.rule.judge is not None
    return {
        **asked.to_dict(),
        "within": asked.rule.within,
        "rounded": ROUNDED,
        "words": {key: list(spellings) for key, spellings in asked.words.items()},
        "lengths": list(dict.fromkeys(map(len, tuples))) if asked.kind in ("numbers", "shape") else [],
        "sizes": [list(size) for size in dict.fromkeys(sizes)],
        "digits": sorted(digits_of(values)),
        "wrong": [] if design else _wrong(asked),
        "sentences": dict(asked.sentences) if design else {},
        "limits": _limits(asked) if design else {},
    }


def _wrong(asked: Exercise) -> list[dict[str, Any]]:
    letters = dict(zip(asked.drawn.options, asked.options, strict=True))

    def shown(value: AnswerValue) -> Any:
        return letters[str(value)] if asked.kind == "choice" else in_lists(value)

    return [
        {
            "name": name,
            "value": shown(value),
            # The page puts the answer, as it was read, in the place of {given}.
            "sentence": filled(asked.sentences[name], {**asked.drawn.numbers, "given": "{given}"}),
        }
        for name, value in asked.drawn.wrong.items()
        if value is not None
    ]


def _limits(asked: Exercise) -> dict[str, Any]:
    return {key: value for key, value in asked.drawn.numbers.items() if isinstance(value, int)}
