"""`exercise`: one exercise with numbers from a seed. No torch is imported here."""

from __future__ import annotations

import secrets
from string import ascii_lowercase
from typing import Any, cast

from convscope.api.annotations import NotNegative
from convscope.api.public import public
from convscope.errors import ArgumentError
from convscope.exercises.draw import AnswerValue, Drawn, discriminating
from convscope.exercises.marking import find_misconception
from convscope.exercises.record import Exercise, Misconception
from convscope.exercises.registry import rule_of, title_of
from convscope.exercises.texts import filled, rows_text, steps_filled, table

LARGEST_SEED = 10**18
_FRESH = 10**6  # seeds that are drawn where none is given


@public
def exercise(name: str, *, seed: NotNegative | None = None) -> Exercise:
    """Return an exercise with the numbers that a seed draws: its question, its answer and its worked steps.

    Args:
        name: such as "3a"; `convscope exercise --list` has all.
        seed: the same on every machine; drawn anew unless given.

    Raises:
        ArgumentError: there is no exercise of this name, or the seed is too large.

    >>> asked = exercise("3a", seed=42)
    >>> asked.mark("many words")
    Traceback (most recent call last):
    ...
    convscope.exercises.number_text.AnswerError: 'many words' is not a number: write it like 15,052,900 or 15052900
    >>> asked.mark(asked.answer).right
    True
    """
    if seed is not None and seed > LARGEST_SEED:
        raise ArgumentError(f"seed is {seed:,}: give {LARGEST_SEED:,} at most")
    rule = rule_of(name)
    seed = secrets.randbelow(_FRESH) if seed is None else seed
    drawn, told = discriminating(name, seed, rule)
    texts = _texts(name, drawn)
    letters = dict(zip(drawn.options, ascii_lowercase, strict=False))
    sentences = {key.removeprefix("wrong."): text for key, text in texts.items() if key.startswith("wrong.")}

    def lettered(value: AnswerValue) -> AnswerValue:
        return letters[str(value)] if rule.kind == "choice" else value

    return Exercise(
        name=name,
        seed=seed,
        title=title_of(name),
        statement=filled(texts["statement"], drawn.numbers),
        shown={one["label"]: rows_text(cast("Any", drawn.numbers[one["value"]])) for one in texts.get("shown", ())},
        unit=filled(texts.get("unit", ""), drawn.numbers),
        kind=rule.kind,
        options={letters[option]: filled(texts[f"options.{option}"], drawn.numbers) for option in drawn.options},
        answer=lettered(drawn.answer),
        formula=filled(texts["formula"], drawn.numbers),
        steps=tuple(steps_filled(texts["steps"], drawn.numbers)),
        misconceptions=tuple(
            Misconception(key, lettered(value), find_misconception(rule, drawn, value, sentences)[1])
            for key, value in told.items()
        ),
        rule=rule,
        drawn=drawn,
        words=texts.get("words", {}),
        sentences=sentences,
    )


def _texts(name: str, drawn: Drawn) -> dict[str, Any]:
    """Return the texts of an exercise by key, those of its parts as "options.a"; with the draw's own in their place."""
    own = table()["slip" if name.startswith("slip-") else name]
    texts: dict[str, Any] = {key: text for key, text in own.items() if key not in ("options", "wrong")}
    for part in ("options", "wrong"):
        texts |= {f"{part}.{key}": text for key, text in own.get(part, {}).items()}
    chosen = {key: texts[other] for key, other in drawn.texts.items()}
    return texts | chosen | dict(drawn.written)
