"""Marking: which misconception an answer shows, and with which sentence it is met."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from convscope.exercises.draw import AnswerValue, Drawn, ExerciseRule, agree
from convscope.exercises.texts import answer_text, filled

Mark = Literal["right", "misconception", "wrong"]
ROUNDED = 5e-3  # relative: what a fraction may be rounded by where a misconception leads to it


def find_misconception(
    rule: ExerciseRule, drawn: Drawn, given: AnswerValue, sentences: Mapping[str, str]
) -> tuple[str, str]:
    """Return the name and sentence of what is wrong with an answer: ("", "") if right, ("wrong", "") if unknown.

    Args:
        rule: of the exercise.
        drawn: its numbers.
        given: the answer, as the draw has it.
        sentences: of each misconception, by its name, with its numbers left to be filled in.
    """
    if rule.judge is not None:
        assert isinstance(given, tuple)
        found = rule.judge(tuple(map(str, given)), drawn.numbers)
        if found is None:
            return "", ""
        missed, numbers = found
        return missed, filled(sentences[missed], {**drawn.numbers, **numbers, "given": answer_text(given)})
    if agree(given, drawn.answer, within=rule.within):
        return "", ""
    name = _named(given, drawn, rule.within)
    if name is None:
        return "wrong", ""
    return name, filled(sentences[name], {**drawn.numbers, "given": answer_text(given)})


def _named(given: AnswerValue, drawn: Drawn, within: float) -> str | None:
    """Return the misconception that leads to an answer, or to those of its numbers that are wrong."""
    values = {name: value for name, value in drawn.wrong.items() if value is not None}
    values = {name: value for name, value in values.items() if not agree(value, drawn.answer, within=within)}
    for allowed in (within, ROUNDED) if _is_fractional(given) else (within,):
        for name, value in values.items():
            if agree(given, value, within=allowed) and (allowed == within or _is_fractional(value)):
                return name
    return next((name for name, value in values.items() if _in_part(given, drawn.answer, value)), None)


def _is_fractional(value: AnswerValue) -> bool:
    """Return whether a value is a number that is not whole."""
    return isinstance(value, float) and not value.is_integer()


def _in_part(given: AnswerValue, answer: AnswerValue, value: AnswerValue) -> bool:
    """Return whether each number of an answer is the right one or the misconception's."""
    if not (isinstance(given, tuple) and isinstance(answer, tuple) and isinstance(value, tuple)):
        return False
    if not len(given) == len(answer) == len(value):
        return False
    return all(one in (right, other) for one, right, other in zip(given, answer, value, strict=True))
